"""`python -m synthgen` is the `synthgen` command."""

from synthgen.cli.main import main

if __name__ == "__main__":
    main(prog_name="synthgen")
