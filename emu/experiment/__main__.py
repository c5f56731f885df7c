"""The command line of `python -m emu.experiment`."""

from __future__ import annotations

import importlib
import sys

import click

from emu import names
from emu.cli import SETTINGS, run_command

# Modules of emu.experiment.commands, in the order in which --help shows them.
COMMANDS = (
    "compare",
    "figures",
    "sweep",
    "plot",
    "growth",
    "annotate",
    "timeline",
    "mix",
    "roofline",
    "search",
    "ablate",
)


class _Commands(click.Group):
    """Imports a command's module when it is asked for."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        return importlib.import_module(f"emu.experiment.commands.{name}").command if name in COMMANDS else None

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-"):
            names.check("experiment", args[0], COMMANDS)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Whole sentences, where click would cut them off at the end of the line."""
        with formatter.section("Commands (each has --help with examples)"):
            formatter.write_dl([(name, self.get_command(context, name).get_short_help_str(500)) for name in COMMANDS])


@click.command(cls=_Commands, context_settings=SETTINGS, invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Experiments with the model."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


if __name__ == "__main__":
    sys.exit(run_command(main))
