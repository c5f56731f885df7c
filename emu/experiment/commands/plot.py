"""A picture of a sweep's results, and the shapes that stick out of it."""

from __future__ import annotations

import click

from emu.cli import SETTINGS
from emu.errors import InputError, UsageError
from emu.experiment.sweep.cliffs import RATIO

EPILOG = """\b
Examples
  python -m emu.experiment plot growth.parquet growth.svg                 cycles against MACs, a line a kernel set
  python -m emu.experiment plot growth.parquet thumb2.svg --where kernels=thumb2 --y cycles_per_mac --by kind --cliffs
                                                                          and which shapes cost much more a MAC than a neighbour
  python -m emu.experiment plot growth.parquet x.png --by kernels --panels kind
  python -m emu.experiment plot flags.parquet x.svg --x code_bytes --by opt
  python -m emu.experiment plot mlperf-tiny.parquet x.svg --bars --y cycles_per_mac
                                                                          a bar for each shape and kernel set
"""


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("results", metavar="RESULTS.parquet")
@click.argument("target", metavar="[FILE.svg|FILE.png]", required=False)
@click.option("--x", default="macs", show_default=True, metavar="COLUMN", help="Across.")
@click.option("--y", default="cycles", show_default=True, metavar="COLUMN", help="Up.")
@click.option("--by", multiple=True, default=("kernels",), show_default=True, metavar="COLUMN", help="A line for each of its values; may be given again.")
@click.option("--panels", metavar="COLUMN", help="A panel for each of its values.")
@click.option("--bars", is_flag=True, help="A bar for each shape and value of --by, instead of lines against --x.")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Only rows whose column fits, as for sweep.")
@click.option("--cliffs", "wanted", is_flag=True, help="Ring (in lines) and list shapes that cost much more a MAC than a neighbour.")
@click.option("--ratio", type=click.FloatRange(min=1, min_open=True), default=RATIO, show_default=True, metavar="R", help="How much more, in times.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="Cliffs that are listed.")
@click.option("--json", "json_file", metavar="FILE", help="Write all cliffs as JSON; - prints it.")
def command(results: str, target: str | None, x: str, y: str, by: tuple[str, ...], panels: str | None, bars: bool, where: tuple[str, ...],
            wanted: bool, ratio: float, top: int, json_file: str | None) -> None:
    """Draw one column of a sweep's results against another.

    Lines go through the median at each x; scales are in powers of ten where the values' range is wide. Only rows that are ok are drawn.
    """
    from emu.experiment.commands.target import check_given
    from emu.experiment.sweep import cliffs, columns, plan, store
    from emu.report import files, json_form, plot, sweep, sweep_bars, sweep_plot

    if bars:
        check_given("with --bars: each shape has its bars", ("x", "panels"))
        if not target:
            raise UsageError("--bars: a picture's file is wanted, FILE.svg or FILE.png")
    if target:
        plot.check_suffix(target)
        files.check(target)
    for option, name, known in (("--x, of numbers", x, sweep_plot.NUMBERS), ("--y, of numbers", y, sweep_plot.NUMBERS), ("--panels", panels, tuple(columns.TYPES)),
                                *(("--by", name, tuple(columns.TYPES)) for name in by)):
        if name is not None:
            plan.column(option, name, known)
    rows = [row for row in plan.chosen(store.load(results), where) if row["status"] == "ok"]
    if not rows:
        raise InputError(f"{results}: no row is ok{' and passes --where' if where else ''}, so there is nothing to draw")
    found = cliffs.find(rows, ratio) if wanted or json_file else []
    if target:
        files.write(target, sweep_bars.render(rows, target, y, by) if bars else sweep_plot.render(rows, target, x, y, by, panels, found))
    if json_file:
        files.write(json_file, json_form.dumps({"schema": sweep.SCHEMA, "ratio": ratio, "rows": len(rows), "cliffs": sweep.cliffs_json(found)}))
    elif wanted or not target:
        click.echo(sweep.render_cliffs(found, ratio, top) if wanted else f"{results}: {len(rows):,} rows are ok; FILE.svg or --cliffs says what to do")
