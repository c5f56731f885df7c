"""The command line of `python -m emu.experiment`."""

from __future__ import annotations

import importlib
import sys

import click

from emu.cli import SETTINGS, run_command

# Modules of emu.experiment.commands, in the order in which --help shows them.
COMMANDS = (
    "compare",
    "figures",
    "sweep",
    "plot",
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


@click.command(cls=_Commands, context_settings=SETTINGS, invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Experiments with the model."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


if __name__ == "__main__":
    sys.exit(run_command(main))
