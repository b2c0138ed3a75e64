"""The `synthgen` command, a thin skin over the API: open, call, print."""

from __future__ import annotations

import click

from synthgen.cli.choosing import auto, compare, predict
from synthgen.cli.demo import demo
from synthgen.cli.making import augment
from synthgen.cli.measuring import audit, evaluate, privacy, schema
from synthgen.cli.models import fit, sample, show
from synthgen.cli.terminal import Main, say


@click.group(
    cls=Main,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def main(context: click.Context, debug: bool, version: bool) -> None:
    """New rows for the rare class of a table.

    \b
    Example:
      synthgen demo
      synthgen augment data.csv --target outcome -o augmented.csv
    """
    if version:
        from synthgen import __version__

        say(f"synthgen {__version__}")
        context.exit()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (demo, audit, schema, augment, fit, sample, show, evaluate, privacy):
    main.add_command(command)
for command in (compare, auto, predict):
    main.add_command(command)
