"""The command line of `python -m emu.accuracy`."""

from __future__ import annotations

import sys

import click

from emu.accuracy import points
from emu.cli import SETTINGS, progress, run_command
from emu.errors import UsageError

EPILOG = """\b
Examples
  python -m emu.accuracy                             every published point, modelled anew, with its error
  python -m emu.accuracy pqm4 --json - | jq .summary the programs of pqm4
  python -m emu.accuracy --core cortex-m7            one core's points
  python -m emu.accuracy --markdown docs/accuracy.md write the table of the docs

\b
Exit status
  0    done
  2    an option or a set that does not exist
  3    a recording or a table that cannot be read; an output that cannot be written
  70   a bug in thumbcycle
  130  interrupted
"""


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("sets", nargs=-1, metavar="[SET]...")
@click.option("--core", metavar="NAME", help="Only points of this core.")
@click.option("--json", "json_file", metavar="FILE", help="Write all points and summaries as JSON; - prints it.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write the document with the summary and all tables; - prints it.")
def main(sets: tuple[str, ...], core: str | None, json_file: str | None, markdown_file: str | None) -> None:
    """Hold modelled cycles against what was published of boards.

    SET is a file of emu/accuracy/points (default: all): programs, a board, and its published cycles. The programs' runs are kept as
    recordings (what each instruction is and how often each stream of them ran; no machine code), so every point is priced anew with
    today's tables in seconds: change a figure in emu/timing/cores and see what it does to all that is known.
    """
    if [json_file, markdown_file].count("-") == 2:
        raise UsageError("--json - and --markdown -: only one of them can be printed")
    chosen = [loaded for loaded in map(points.load, sets or points.names()) if core in (None, loaded.core)]
    if not chosen:
        known = sorted({points.load(name).core for name in points.names()})
        raise UsageError(f"--core {core}: no points of it{' in these sets' if sets else ''}; there are points of {', '.join(known)}")
    from emu.accuracy.reprice import reprice
    from emu.report import accuracy, files

    with progress("pricing", sum(len(group.points) for group in chosen), "programs") as advance:
        rows = reprice(chosen, advance)
    files.write_forms(rows, (json_file, accuracy.render_json), (markdown_file, accuracy.render_markdown), shown=accuracy.render)


if __name__ == "__main__":
    sys.exit(run_command(main))
