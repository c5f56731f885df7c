"""How cycles grow with shapes, and the reasons of what sticks out."""

from __future__ import annotations

import click

from emu.cli import EXIT_STATUS, SETTINGS, notes, progress
from emu.errors import InputError, NotBitExact, UsageError
from emu.host import cores

EPILOG = """\b
Examples
  python -m emu.experiment growth                                   every kernel set: what costs over 1.5 times its neighbour, and why
  python -m emu.experiment growth ../mine                           a folder of kernels instead
  python -m emu.experiment growth --where kernels=thumb2            one of the project's sets
  python -m emu.experiment growth --results growth.parquet          of a sweep that was run before
  python -m emu.experiment growth --markdown docs/growth.md         write the page of the docs, and a picture a set beside it

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("kernels", nargs=-1, metavar="[SET|DIR]...")
@click.option("--core", default="cortex-m4", show_default=True, metavar="NAME", help="The core that SETs and DIRs run on.")
@click.option("--results", metavar="FILE.parquet", help="Results of a sweep to look at; else the sweep growth is run, and kept nowhere.")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Only points whose column fits, as for sweep; may be given again.")
@click.option("--markdown", "page", metavar="FILE.md", help="Write the document, and FILE-SET.png beside it; - prints it.")
@click.option("--json", "json_file", metavar="FILE", help="Write all cliffs as JSON; - prints it.")
def command(kernels: tuple[str, ...], core: str, results: str | None, where: tuple[str, ...], page: str | None, json_file: str | None) -> None:
    """Cycles over a grid of shapes, and the shapes that cost over 1.5 times their neighbours a MAC, by reason.

    Reasons stand in emu/experiment/figures/growth.toml; what has none is listed. Where a shape is smaller than its neighbour, and cheaper in
    all, fixed costs are the reason that is left.
    """
    from emu.experiment.figures import growth
    from emu.experiment.sweep import plan, run, spec, store
    from emu.report import files, json_form, table
    from emu.report.growth import Shown
    from emu.report.sweep import problems
    from emu.timing.core import load as load_core

    if kernels and results:
        raise UsageError("--results is a sweep that was run before: it has kernel sets of its own")
    files.check_all([target for target in (page, json_file) if target])
    reasons = growth.load()
    if results:
        rows = plan.chosen(store.load(results), where)
    else:
        sweep = spec.load(growth.SWEEP)
        planned = plan.make(spec.with_kernels(sweep, kernels, load_core(core).name) if kernels else sweep, where)
        with progress(growth.SWEEP, len(planned.points), "points") as advance:
            rows = run.measured(planned, run.runner(cores(), None), advance)
    found = growth.growths(rows, reasons)
    if not found:
        told = "".join(f"; {problem}" for problem in problems(rows)[:1])
        raise InputError(f"{results or growth.SWEEP}: no row with MACs is ok{' and passes --where' if where else ''}{told}")
    shown = Shown(found, {(one.core, one.kernels): growth.least(one) for one in found})
    drawn = [*(shown.page(page) if page else []), *([(json_file, json_form.dumps(shown.document()))] if json_file else [])]
    files.write_all(drawn if "-" in (page, json_file) else [*drawn, ("-", table.printed(shown.parts()))])
    notes(problems(rows))
    if wrong := next((row for row in rows if row["bit_exact"] is False), None):
        raise NotBitExact(f"{wrong['shape']}, {wrong['kernels']} on {wrong['core']}: {wrong['error']}")
