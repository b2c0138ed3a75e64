"""The `synthgen` command, a thin skin over the API: open, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from synthgen.cli import choosing, making, measuring
from synthgen.cli.terminal import Main, say

if TYPE_CHECKING:
    pass


# --- commands ---------------------------------------------------------------------------------


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


for command in (
    making.demo,
    making.fit,
    making.sample,
    making.augment,
    making.show,
    measuring.schema,
    measuring.audit,
    measuring.evaluate,
    choosing.compare,
    choosing.auto,
    choosing.predict,
):
    main.add_command(command)
