"""Where the cycles are, by what instructions are for."""

from __future__ import annotations

import click

from emu.cli import ALLOW_MISMATCH, EXIT_STATUS, SETTINGS, notes, refuse, status
from emu.errors import UsageError
from emu.experiment.commands import target
from emu.report import forms
from emu.report.forms import Form

FORMS = (
    Form("json", "Write all that was found as JSON (schema in docs/experiments.md); - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row a layer or function as CSV; - prints it.", "emu.report.shown:csv"),
    Form("markdown", "Write the table for GitHub; - prints it.", "emu.report.shown:markdown"),
    Form("plot", "Draw a bar a layer or function (.png or .svg).", "emu.report.mix:draw", suffixes=(".png", ".svg")),
)
EPILOG = """\b
Classes
  MAC         multiply-accumulates: SMLAD, MLA, VFMA; a multiply and the addition that takes its product
  unpack      widening and packing: SXTB16, SXTB, PKHBT and the like
  load store  accesses, literals and LDM among them
  requantize  what products of 32 by 32 bits flow into until it is stored (high multiplies, rounding shifts, saturation, clamps), and the
              arithmetic of functions and source files called requant...
  loop        branches with their refill, and what sets the flags that they ask for
  call        BL, returns, PUSH, POP, moves of the stack pointer
  other       addresses, counters, moves; what a pool computes
  stall       cycles above an instruction's minimum, of any class; the line under the table says what they wait for

\b
Examples
  python -m emu.experiment mix                                     the hand-written kernels, layer by layer
  python -m emu.experiment mix --kernels c --opt Os --plot mix.png
                                                                   what gcc made of C, as a picture
  python -m emu.experiment mix --by function                       function by function
  python -m emu.experiment mix --core cortex-m7 --memory stm32h743-400mhz
                                                                   another core, a board's memories
  python -m emu.experiment mix --elf app.elf                       the functions of a firmware
  python -m emu.experiment mix --json - | jq '.layers[] | {name, share: (.by_class.MAC / .cycles)}'

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.option("--by", type=click.Choice(["layer", "function"]), help="What a row is. Default: layer, with --elf function.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="Functions that tables and pictures show.")
@target.options
@ALLOW_MISMATCH
@forms.options(FORMS)
def command(by: str | None, top: int, allow_mismatch: bool, **options: object) -> None:
    """Where the cycles are: multiplying, unpacking, loading, storing, requantizing, looping, calling, waiting; in percent, layer by layer.

    Every executed instruction belongs to one class, found in the machine code, so it works for assembly, C and code without sources alike. The
    classes of a layer add up exactly to its cycles.
    """
    written = forms.taken_from(options, FORMS)
    by = by or ("layer" if options["elf"] is None else "function")
    if by == "layer" and options["elf"] is not None:
        raise UsageError("--by layer: a firmware has no layers")
    with status("building and running"):
        ran = target.ran(options)
        from emu.experiment.mix import mix
        from emu.report.mix import Shown

        found = mix(ran, by)
    notes(ran.remarks)
    forms.write(Shown(found, top), written)
    refuse(ran.problem, allow_mismatch)
