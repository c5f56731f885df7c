"""What the command lines share: exit statuses, one-line errors, a spinner."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator

import click

from emu.errors import InputError, NotBitExact, ThumbcycleError, UsageError

BUG = 70  # EX_SOFTWARE of sysexits.h
OWN = ("emu", "kwsq", "armsrc")
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}  # of every click command

# Options that mean the same wherever they are.
KERNELS = click.option("--kernels", default="thumb2", show_default=True, metavar="SET|DIR",
                       help="Kernel set of the keyword spotter, or a folder of kernels: as for emu.run kws.")
CORE = click.option("--core", default="cortex-m4", show_default=True, metavar="NAME",
                    help="Core to model: cortex-m0plus, cortex-m3, cortex-m4, cortex-m7, cortex-m33.")
MEMORY = click.option("--memory", default="zero-wait", show_default=True, metavar="NAME", help="A board's memories: a table of emu/timing/memories.")
INPUT = click.option("--input", "word", default="yes", show_default=True, metavar="WORD|FILE", help="What is heard: as for emu.run kws.")
OPT = click.option("--opt", default="O3", show_default=True, metavar="LEVEL", help="Optimization of C: O0 O1 O2 O3 Os Ofast Og.")
CC = click.option("--cc", metavar="PATH", help="Cross compiler. Default: arm-none-eabi-gcc from PATH, else the one from PyPI.")
ALLOW_MISMATCH = click.option("--allow-mismatch", is_flag=True, help="End with status 0 although outputs are not bit-exact; how many bytes differ, and by how "
                                                                      "much, is said all the same.")

EXIT_STATUS = """\b
Exit status
  0  done, and every output byte equals the reference's
  1  done, but an output is not bit-exact (the first difference is named); of emu.check also: a count grew
  2  an option or a name that does not exist
  3  an input file that cannot be used, or an output file that cannot be written
  4  no compiler, or kernels that do not compile or link
  5  the program faulted (memory, alignment, stack, instruction, FPU) or did not end
  70  a bug in thumbcycle
  130  interrupted
"""


def run_command(command: click.Command) -> int:
    """Run a command line; its exit status, which is what the command returns when that is a number.

    Every failure that is foreseen is one line on standard error.
    """
    try:
        if sys.stdout is None:  # closed by the caller
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        answer = command.main(standalone_mode=False)
        sys.stdout.flush()
        return answer if isinstance(answer, int) else 0
    except click.ClickException as error:
        hint = f" ({error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"error: {error.format_message()}{hint}", err=True)
        return UsageError.status
    except ThumbcycleError as error:
        click.echo(f"error: {error}".encode(errors="backslashreplace"), err=True)
        if isinstance(error.__cause__, OSError):
            _discard_output()
        return error.status
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader has gone, and nobody is left to tell
        _discard_output()
    except Exception as error:  # noqa: BLE001
        if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(OWN):
            click.echo(f"error: this Python ({sys.executable}) has no module {error.name}: run make setup, and .venv/bin/python", err=True)
            return InputError.status
        traceback.print_exc()
        click.echo("error: this is a bug in thumbcycle; please report it with the lines above", err=True)
        return BUG
    return 0


def _discard_output() -> None:
    """The interpreter flushes standard output once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def notes(remarks: Iterable[str]) -> None:
    """A line each on standard error."""
    for remark in remarks:
        click.echo(f"note: {remark}".encode(errors="backslashreplace"), err=True)


def refuse(problem: ThumbcycleError | str | None, allow_mismatch: bool) -> None:
    """Raise what was wrong with a run, if anything was; wrong outputs, of which a text tells, are only a remark where they are allowed."""
    if isinstance(problem, str):
        problem = NotBitExact(problem) if problem else None
    if isinstance(problem, NotBitExact) and allow_mismatch:
        notes([f"allowed: {problem}"])
    elif problem is not None:
        raise problem


@contextlib.contextmanager
def status(message: str) -> Iterator[Callable[[str], None]]:
    """A spinner on standard error while a person waits, and a function that changes its text; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status(message) as spinner:
        yield spinner.update


@contextlib.contextmanager
def progress(message: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while a person waits, and a function that moves it on, from any thread; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda number: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(message), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(message, total=total)
        yield lambda number: bar.advance(task, number)
