"""Forms: what a command line writes to files, an option and a row of a table each.

A command line has one table of forms for all that it does. A renderer is named by its module and function, so that only what is asked for
is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from emu.errors import UsageError
from emu.report import files
from emu.report.shown import terminal

if TYPE_CHECKING:
    from emu.report.shown import Long, Shown


class Form(NamedTuple):
    """--NAME FILE. render: "module:function", which takes what was found and FILE, and returns text or bytes.

    of: what has this form, of all that the command line does, in the words of an error ("kws", "a firmware"); empty: everything.
    suffixes: of FILE, where its format depends on them. needs: what has to be measured for it, in the words of the command line.
    """

    name: str
    help: str
    render: str
    of: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    needs: str = ""


class Asked(NamedTuple):
    """A form that was asked for, and its file."""

    form: Form
    target: str


def options(forms: Sequence[Form]) -> Callable[[Callable], Callable]:
    """Adds the forms' options to a click command."""
    def add(command: Callable) -> Callable:
        for form in reversed(forms):
            command = click.option(f"--{form.name}", _parameter(form), metavar="FILE", help=form.help)(command)
        return command
    return add


def taken_from(values: dict[str, object], forms: Sequence[Form], done: str = "") -> tuple[Asked, ...]:
    """The forms that are asked for, in the table's order; takes them out of all of a command's options. done: one of Form.of.

    UsageError for one that this has not, or whose file has another form's suffix, and for two that would be printed; InputError
    for a file that cannot be written.
    """
    named = {form: values.pop(_parameter(form)) for form in forms}
    wanted = tuple(Asked(form, target) for form, target in named.items() if target is not None)
    for form, target in wanted:
        if form.of and done not in form.of:
            raise UsageError(f"--{form.name} is no option of {done}")
        if form.suffixes and Path(target).suffix.lower() not in form.suffixes:
            raise UsageError(f"--{form.name} {target}: the suffix must be {' or '.join(form.suffixes)}")
    if len(printed := [f"--{form.name} -" for form, target in wanted if target == "-"]) > 1:
        raise UsageError(f"{', '.join(printed)}: only one of them can be printed")
    files.check_all([target for _, target in wanted])
    return wanted


def needs(wanted: Sequence[Asked]) -> frozenset[str]:
    """All that has to be measured."""
    return frozenset(one.form.needs for one in wanted) - {""}


def asks_for(wanted: Sequence[Asked], name: str) -> bool:
    """That form is wanted."""
    return any(one.form.name == name for one in wanted)


def prints(wanted: Sequence[Asked]) -> bool:
    """Standard output is one of the forms'."""
    return any(one.target == "-" for one in wanted)


def write(shown: Shown, wanted: Sequence[Asked]) -> None:
    """Every form is drawn before the first is written, so that nothing is written when one cannot be; the tables when none is printed."""
    files.write_all(drawn(shown, wanted) + ([] if prints(wanted) else [("-", terminal(shown))]))


def write_long(shown: Long, wanted: Sequence[Asked]) -> None:
    """The same of what is long: where a person looks, it goes through a pager."""
    drawings, text = drawn(shown, wanted), None if prints(wanted) else shown.terminal()
    files.write_all(drawings)
    if text is not None:
        files.page(text)


def drawn(shown: Shown, wanted: Sequence[Asked]) -> list[tuple[str, str | bytes]]:
    """(file, contents) of each form."""
    return [(target, _renderer(form.render)(shown, target)) for form, target in wanted]


def _parameter(form: Form) -> str:
    return f"{form.name}_file"


def _renderer(name: str) -> Callable[[Shown, str], str | bytes]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
