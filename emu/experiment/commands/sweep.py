"""Grids of shapes, kernel sets, compilers, options, cores and memories."""

from __future__ import annotations

from pathlib import Path

import click

from emu.cli import EXIT_STATUS, SETTINGS, progress
from emu.errors import NotBitExact, UsageError
from emu.host import cores

EPILOG = """\b
A sweep file (docs/sweep.md says all that it may hold)
  timeout = 60                          # seconds a point
  [[grid]]
  kernels = ["thumb2", "c"]
  opt = ["-O2", "-O3", "-Os"]
  flags = ["", "-funroll-loops"]
  core = ["cortex-m4", "cortex-m33"]
  [[shape]]
  kind = "conv2d"
  size = ["8x8", "32x32"]
  in_c = { from = 1, to = 64, times = 2 }
  out_c = 16
  kernel = "3x3"

\b
Examples
  python -m emu.experiment sweep flags                  a file that comes with the project: what options are worth on the C kernels
  python -m emu.experiment sweep mlperf-tiny            the layers of MLPerf Tiny's networks, every kernel set
  python -m emu.experiment sweep mlperf-tiny --kernels thumb2 --kernels ../mine
                                                        a set beside a folder of kernels, on the shapes of that file
  python -m emu.experiment sweep my.toml --dry-run      the points, and which are done
  python -m emu.experiment sweep my.toml --where core=cortex-m4 --where 'shape=*3x3*'
  python -m emu.experiment sweep my.toml --scheduler tcp://host:8786
                                                        on the workers of a Dask scheduler
  python -m emu.experiment plot my.parquet my.svg       cycles against MACs

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("file", metavar="FILE.toml|NAME")
@click.option("--out", metavar="FILE", help="Results, a Parquet file; the sweep file's name with .parquet, in this folder, by default.")
@click.option("--kernels", multiple=True, metavar="SET|DIR", help="Run these kernels, not those that the file names; may be given again.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes at once; as many as there are processors by default.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on the workers of the Dask scheduler there (tcp://host:port).")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Only points whose column fits (*, ? and [] as in file names); may be given again.")
@click.option("--retry", is_flag=True, help="Run points again that failed.")
@click.option("--fresh", is_flag=True, help="Begin without what is in the results; they are replaced.")
@click.option("--dry-run", is_flag=True, help="List the points, and run none.")
@click.option("--json", "json_file", metavar="FILE", help="Write the rows as JSON; - prints it.")
def command(file: str, out: str | None, kernels: tuple[str, ...], jobs: int | None, scheduler: str | None, where: tuple[str, ...], retry: bool,
            fresh: bool, dry_run: bool, json_file: str | None) -> int:
    """Every combination of a sweep file, as a row of a Parquet file.

    Each point is built, run on weights and input that its seed draws, held against the reference and priced. What fails is a row, too,
    with its status. A sweep that was stopped goes on where it was; points whose sources, compiler or tables have changed are run again.

    The exit status is 1 when an output is not bit-exact; other failures are rows.
    """
    if jobs and scheduler:
        raise UsageError("--jobs is for this machine; a scheduler's workers have their own threads")
    from emu.experiment.sweep import plan, spec
    from emu.report import files
    from emu.report import sweep as report

    if out == "-":
        raise UsageError("--out -: a Parquet file cannot be printed; --json - prints the rows")
    if json_file:
        files.check(json_file)
    planned = plan.make(spec.of_kernels(spec.load(file), kernels), where)
    target = out or f"{planned.sweep.name}.parquet"
    if dry_run:
        work = plan.left(planned, _done(target, fresh), retry)
        files.write_forms(work, (json_file, lambda work: report.render_plan_json(planned, work)), shown=lambda work: report.render_plan(planned, work))
        return 0
    from emu.experiment.sweep import run
    from emu.experiment.sweep.store import Store

    files.check(target)
    store = Store(Path(target), fresh)
    work = plan.left(planned, store.rows, retry)
    with progress(planned.sweep.name, work.points, "points") as advance:
        found = run.sweep(planned, store, run.runner(jobs or cores(), scheduler), work=work, advance=advance)
    files.write_forms(found, (json_file, lambda found: report.render_json(found, target)), shown=lambda found: report.render(found, target))
    if found.interrupted:
        return 130
    if wrong := next((row for row in found.rows if row["bit_exact"] is False), None):
        raise NotBitExact(f"{wrong['shape']}, {wrong['kernels']} on {wrong['core']}: {wrong['error']}")
    return 0


def _done(target: str, fresh: bool) -> dict[str, dict]:
    from emu.experiment.sweep import store

    return {} if fresh or not Path(target).exists() else {row["point"]: row for row in store.load(target)}
