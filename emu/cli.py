"""What the command lines share: exit statuses, one-line errors, a spinner."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

import click

from emu.errors import InputError, ThumbcycleError, UsageError

EXIT_STATUS = """\b
Exit status
  0  done, and every output byte equals the reference's
  1  done, but an output is not bit-exact (the first difference is named)
  2  an option or a name that does not exist
  3  an input file that cannot be used, or an output file that cannot be written
  4  no compiler, or kernels that do not compile or link
  5  the program faulted (memory, alignment, stack, instruction, FPU) or did not end
  130  interrupted
"""


def run_command(command: click.Command) -> int:
    """Run a command line; its exit status. Every failure that is foreseen is one line on standard error."""
    try:
        command.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        hint = f" ({error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"error: {error.format_message()}{hint}", err=True)
        return UsageError.status
    except ThumbcycleError as error:
        click.echo(f"error: {error}", err=True)
        return error.status
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except OSError as error:  # only writing to standard output is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more when it ends
        if not isinstance(error, BrokenPipeError):  # there the reader has gone, and nobody is left to tell
            click.echo(f"error: cannot write to standard output: {error.strerror}", err=True)
            return InputError.status
    return 0


@contextlib.contextmanager
def status(message: str) -> Iterator[Callable[[str], None]]:
    """A spinner on standard error while a person waits, and a function that changes its text; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status(message) as spinner:
        yield spinner.update
