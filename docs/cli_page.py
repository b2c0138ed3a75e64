"""The reference of the command line: what ``--help`` says of each command."""

from __future__ import annotations

import click

from synthgen.cli.main import main

HEAD = """# Command line

What `synthgen COMMAND --help` prints. Options can also stand in a run file: `--config FILE` (TOML).

## Exit status

| status | what happened |
|---|---|
| 0 | done |
| 1 | a bug of synthgen |
| 2 | usage: a wrong option or value |
| 3 | data: the table cannot be used as it is |
| 4 | a model file cannot be used |
| 5 | output: a file cannot be written |
| 6 | training or sampling failed |
| 7 | a gate failed |
| 130, 143 | interrupted |

An error is one line: what went wrong, where, the value that was found, and what to do.
`synthgen --debug COMMAND` also shows where in the code it was raised.
"""


def page() -> str:
    """The page in MyST Markdown."""
    parts = [HEAD]
    with click.Context(main, info_name="synthgen"):
        for name, command in sorted(main.commands.items()):
            with click.Context(command, info_name=f"synthgen {name}", parent=None) as context:
                context.terminal_width = context.max_content_width = 100
                said = command.get_help(context).replace("\b\n", "")
            parts.append(f"## synthgen {name}\n\n```text\n{said}\n```\n")
    return "\n".join(parts)
