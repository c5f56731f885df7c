"""Where reports go: files, whole or not at all, or standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from emu import files
from emu.errors import InputError, UsageError

Result = TypeVar("Result")


def check(target: str) -> None:
    """InputError when `target` is a folder, or lies in one that does not exist or may not be written."""
    if not target:
        raise UsageError("an output file needs a name, or - for standard output")
    path = Path(target)
    if target == "-" or _is_device(path):
        return
    problem = ("is a folder" if path.is_dir() else f"there is no folder {path.parent}" if not path.parent.is_dir()
               else "" if os.access(path.parent, os.W_OK) else "permission denied")
    if problem:
        raise InputError(f"cannot write {target}: {problem}")


def _is_device(path: Path) -> bool:
    """A pipe, too."""
    return path.exists() and not path.is_file() and not path.is_dir()


def check_all(targets: Sequence[str]) -> None:
    """`check` of each; UsageError when two are the same."""
    if twice := next((target for target in targets if targets.count(target) > 1), None):
        raise UsageError(f"two reports cannot both be written to {'standard output' if twice == '-' else twice}")
    for target in targets:
        check(target)


def write_all(forms: Sequence[tuple[str, str | bytes]]) -> None:
    """(target, data) each; when one file cannot be written, none is. Printed is last: its reader may leave."""
    check_all([target for target, _ in forms])
    with contextlib.ExitStack() as stack:
        for target, data in sorted(forms, key=lambda form: _order(form[0])):  # the first that begins is the last to end
            stack.enter_context(_written(target, data))


def _order(target: str) -> int:
    """Standard output, files, devices."""
    return 0 if target == "-" else 1 + _is_device(Path(target))


def write_forms(result: Result, *forms: tuple[str | None, Callable[[Result], str | bytes]], shown: Callable[[Result], str]) -> None:
    """Every form is drawn before the first is written, so that nothing is written when one cannot be; `shown` when none is printed."""
    wanted = [(target, render) for target, render in forms if target is not None]
    if "-" not in [target for target, _ in wanted]:
        wanted.append(("-", shown))
    write_all([(target, render(result)) for target, render in wanted])


def page(text: str) -> None:
    """To standard output; where a person looks, through a pager as git does it: PAGER, else less, which ends when the text fits the screen."""
    if not sys.stdout.isatty():
        write("-", text)
        return
    import click

    os.environ.setdefault("LESS", "FRX")
    try:
        click.echo_via_pager(text.removesuffix("\n"), color=True)  # whether there are colours in it was decided before
    except ValueError:  # PAGER has a quotation mark too many
        write("-", text)


def write(target: str, data: str | bytes) -> None:
    """To the file `target`, or to standard output for "-". InputError when it cannot be written."""
    with _written(target, data):
        pass


@contextlib.contextmanager
def _written(target: str, data: str | bytes) -> Iterator[None]:
    """The same, when the block ends without an error."""
    raw = data.encode(errors="backslashreplace") if isinstance(data, str) else data
    if target == "-":
        yield
        _print(raw)
        return
    try:
        with files.drafted(Path(target), raw):
            yield
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from None


def _print(raw: bytes) -> None:
    try:
        sys.stdout.buffer.write(raw)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"cannot write to standard output: {error.strerror}") from error
