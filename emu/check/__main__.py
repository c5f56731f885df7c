"""The command line of `python -m emu.check`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emu.cli import EXIT_STATUS, SETTINGS, progress, run_command
from emu.errors import BuildError, InputError, NotBitExact, OverBudget, TargetFault, UsageError

if TYPE_CHECKING:
    from emu.build.kernel_folder import KernelFolder
    from emu.check.budgets import Budget, Budgets
    from emu.check.gate import Checked, Measured

EPILOG = f"""{EXIT_STATUS}
\b
Examples
  python -m emu.check                                the runs of budgets.toml against their budgets
  python -m emu.check --update                       and writes improvements down
  python -m emu.check --junit gate.xml --json -
"""


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.option("--budgets", "file", default="budgets.toml", show_default=True, metavar="FILE", help="What to run, and what it may cost.")
@click.option("--update", is_flag=True, help="Write improvements down, and what has no figures yet.")
@click.option("--accept", is_flag=True, help="Write all down: also counts that grew, and C under this compiler.")
@click.option("--cc", metavar="PATH", help="Compiler; else arm-none-eabi-gcc from PATH, else PyPI's.")
@click.option("--junit", "junit_file", metavar="FILE", help="Write JUnit XML; - prints it.")
@click.option("--json", "json_file", metavar="FILE", help="Write the comparison as JSON; - prints it.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write tables in GitHub's Markdown; - prints them.")
def main(file: str, update: bool, accept: bool, cc: str | None, junit_file: str | None, json_file: str | None,
         markdown_file: str | None) -> None:
    """Fail when a kernel is not bit-exact or a count grew.

    Every run that budgets.toml names is built, run, held against the reference and against its budget: instructions, cycles, bytes and
    stack, layer by layer. Counts are exact, and so is the budget. In GitHub Actions, findings are annotations and a step summary.
    """
    from emu.check import budgets, gate
    from emu.report import files
    from emu.report import gate as forms

    targets = (junit_file, json_file, markdown_file)
    files.check_all([target for target in targets if target is not None])
    wanted = budgets.load(file)
    update |= accept
    if update:
        files.check(file)
    elif bare := next((budget for budget in wanted.runs if budget.layers is None), None):
        raise InputError(f"{file}:{bare.line()}: {bare.name} has no figures; --update measures it and writes them down")
    checked = _measured(wanted, cc)
    settled = checked
    if update:
        new = gate.updated(wanted, checked, accept)
        if new.runs != wanted.runs:
            budgets.save(new)
        settled = gate.settled(checked, new)
    files.write_forms(checked, (junit_file, forms.render_junit), (json_file, forms.render_json), (markdown_file, forms.render_markdown),
                      shown=lambda checked: forms.render_update(checked, settled) if update else forms.render(checked))
    _tell_github(file, settled, quiet="-" in targets)
    _end(settled)


def _measured(wanted: Budgets, cc: str | None) -> list[Checked]:
    _set_of(wanted.file, wanted.runs[0]).toolchain(cc)  # without any compiler there is one error, not one a run
    with progress("checking", len(wanted.runs), "runs") as step:
        found = []
        for budget in wanted.runs:
            found.append(_checked(wanted.file, budget, cc))
            step(1)
    return found


def _checked(file: str, budget: Budget, cc: str | None) -> Checked:
    """One run. InputError, with the line, for names in it that do not exist."""
    from emu.check import gate
    from emu.timing import core as cores

    folder = _set_of(file, budget)
    try:
        found = (_shapes if budget.shapes else _network)(file, budget, folder.folder if folder.outside else folder.name, cc)
        return gate.check(budget, found, cores.load(budget.core))
    except (UsageError, InputError) as error:
        raise InputError(f"{file}:{budget.line()}: {error}") from None
    except (BuildError, TargetFault) as error:
        return gate.Checked(budget, failure=str(error))


def _network(_file: str, budget: Budget, kernels: str, cc: str | None) -> Measured:
    from emu import kws
    from emu.check import gate

    judged = kws.judged(kws.Job(kernels=kernels, inputs=(budget.input,), core=budget.core, memory=budget.memory, opt=budget.opt, cc=cc))
    return gate.of_network(judged.profile, judged.code_bytes, judged.difference)


def _shapes(file: str, budget: Budget, kernels: str, cc: str | None) -> Measured:
    from emu.experiment.sweep import gate

    beside = Path(file).parent / budget.shapes
    return gate.measured(str(beside) if beside.is_file() else budget.shapes, budget, kernels, cc)


def _set_of(file: str, budget: Budget) -> KernelFolder:
    """The kernel set of a run, a folder's path being relative to the file's. InputError with the run's line."""
    from emu.build import kernel_folder

    try:
        return kernel_folder.find(kernel_folder.beside(budget.kernels, Path(file).parent))
    except (UsageError, InputError) as error:
        raise InputError(f"{file}:{budget.line()}: {error}") from None


def _tell_github(file: str, checked: list[Checked], quiet: bool) -> None:
    """Annotations where a workflow runs, a summary where one is asked for. quiet: standard output is a report's."""
    from emu.report import gate as forms

    if os.environ.get("GITHUB_ACTIONS"):
        path = os.path.relpath(file, os.environ.get("GITHUB_WORKSPACE") or ".")
        for line in forms.annotations(path, checked):
            click.echo(line, err=quiet)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(summary, "a", encoding="utf-8") as stream:
                stream.write(forms.render_markdown(checked))
        except OSError as error:
            raise InputError(f"cannot write {summary} (GITHUB_STEP_SUMMARY): {error.strerror}") from None


def _end(checked: list[Checked]) -> None:
    """Raises when the gate is to fail: a wrong byte first."""
    found = [(one, text) for one in checked for _, text in one.problems]
    if not found:
        return
    one, text = next(((one, text) for one, text in found if one.wrong), found[0])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise (NotBitExact if one.wrong else OverBudget)(f"{one.budget.name}: {text}{more}")


if __name__ == "__main__":
    sys.exit(run_command(main))
