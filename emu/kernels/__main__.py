"""The command line of `python -m emu.kernels`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emu.cli import EXIT_STATUS, SETTINGS, run_command, status
from emu.errors import BuildError

if TYPE_CHECKING:
    from types import ModuleType

    from emu.build.kernel_folder import KernelFolder


@click.group(context_settings=SETTINGS, invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Kernel sets: what there is, and a folder of your own to begin with."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command(epilog="\b\nExamples\n  python -m emu.kernels new ../mine\n  python -m emu.run kws --kernels ../mine\n\n" + EXIT_STATUS,
              context_settings=SETTINGS)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--cc", metavar="PATH", help="Compiler that its kernels.toml names; else it names none: arm-none-eabi-gcc from PATH, else PyPI's.")
def new(folder: Path, cc: str | None) -> None:
    """Write a folder of kernels that builds, runs and is right.

    A kernel in C and one in assembly, kernels.toml, tests, budgets and a workflow for GitHub. The two kernels are run, checked and
    measured, and their figures written into budgets.toml: edit, and run again.
    """
    from emu.build import kernel_folder, toolchain
    from emu.check.__main__ import main as check
    from emu.kernels import new as template

    toolchain.find(cc)  # before anything is written
    for name in template.write(folder, cc):
        click.echo(f"wrote {folder / name}")
    check.main(["--budgets", str(folder / "budgets.toml"), "--update"], standalone_mode=False)
    path = f"./{folder}" if str(folder) in kernel_folder.names() else folder  # not the project's set of that name
    click.echo(f"next: python -m emu.run kws --kernels {shlex.quote(str(path))}")


@main.command("list", epilog="\b\nExamples\n  python -m emu.kernels list ../mine\n  python -m emu.kernels list --json -\n\n" + EXIT_STATUS,
              context_settings=SETTINGS)
@click.argument("folders", nargs=-1, metavar="[DIR]...")
@click.option("--json", "json_file", metavar="FILE", help="Write them as JSON; - prints it.")
@click.option("--cc", metavar="PATH", help="Compiler of sets that name none; else arm-none-eabi-gcc from PATH, else PyPI's.")
def listed(folders: tuple[str, ...], json_file: str | None, cc: str | None) -> None:
    """The kernel sets that --kernels knows, and folders: what they are made of, and whose each kernel is."""
    from emu.build import compile as images
    from emu.build import kernel_folder
    from emu.report import files
    from emu.report import kernel_sets as forms

    if json_file:
        files.check_all([json_file])
    with status("looking at kernel sets"):
        found = [(folder := kernel_folder.find(name), _implemented(images, name, folder, cc)) for name in (*kernel_folder.names(), *folders)]
    files.write_forms(found, (json_file, forms.render_json), shown=forms.render)


def _implemented(images: ModuleType, name: str, folder: KernelFolder, cc: str | None) -> Sequence[str]:
    """Its own kernels, int8 and float; none of a set without a base. Raises what images.implementations does for a folder that has neither."""
    if not folder.base:
        return []
    found: list[str] = []
    failures: list[BuildError] = []
    for floating in (False, True):
        try:
            owners = images.implementations(name, float_abi=floating, toolchain=folder.toolchain(cc))
        except BuildError as error:
            failures.append(error)
            continue
        found += [kernel for kernel, owner in owners.items() if owner.folder == folder.folder]
    if not found:
        raise failures[0]
    return found


if __name__ == "__main__":
    sys.exit(run_command(main))
