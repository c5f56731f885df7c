"""Machine code of single instructions, as the project's own assembler makes it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from emu.build.process import CompilerHangs, run
from emu.build.toolchain import Toolchain
from emu.errors import BuildError

_SLOT = 32  # bytes, more than an IT block has
_FILL = 0xDE  # behind it, twice UDF #0xde
_TIMEOUT = 60.0
_HEAD = (".syntax unified", ".thumb", ".section .text.slots, \"ax\", %progbits")


def assembled(texts: Sequence[str], machine: Sequence[str], toolchain: Toolchain) -> list[bytes | None]:
    """The code of each text (an instruction, or the lines of an IT block); None for one that the assembler refuses.

    machine: the compiler's options for the core. Raises BuildError when it does not run.
    """
    lines = list(_HEAD)
    owner: dict[int, int] = {}
    for number, text in enumerate(texts):
        lines.append(f".org {number * _SLOT}, {_FILL}")
        for line in text.splitlines():
            lines.append(line)
            owner[len(lines)] = number
    with tempfile.TemporaryDirectory(prefix="thumbcycle-") as folder:
        source, target = Path(folder) / "slots.s", Path(folder) / "slots.o"
        refused: set[int] = set()
        while True:
            accepted = (line if owner.get(at) not in refused else "" for at, line in enumerate(lines, 1))
            source.write_text("\n".join((*accepted, f".org {len(texts) * _SLOT}, {_FILL}", "")))
            errors = _errors(source, target, machine, toolchain)
            if not errors:
                break
            refused |= {owner[line] for line in errors}
        data = _section(target)
    return [None if number in refused else _code(data[number * _SLOT:(number + 1) * _SLOT]) for number in range(len(texts))]


def _errors(source: Path, target: Path, machine: Sequence[str], toolchain: Toolchain) -> set[int]:
    """Numbers of the lines that the assembler refuses."""
    command = [str(toolchain.path), *toolchain.flags, *machine, "-mthumb", "-c", source.name, "-o", target.name]
    try:
        done = run(command, cwd=source.parent, timeout=_TIMEOUT)
    except (CompilerHangs, OSError) as error:
        raise BuildError(f"{toolchain.path} does not assemble: {error}") from None
    if done.returncode == 0:
        return set()
    lines = {int(line) for line in re.findall(rf"^{source.name}:(\d+): Error:", done.stderr, re.MULTILINE)}
    if not lines:
        raise BuildError(f"{toolchain.path} does not assemble: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no word why'}")
    return lines


def _section(path: Path) -> bytes:
    from elftools.elf.elffile import ELFFile

    with open(path, "rb") as file:
        return ELFFile(file).get_section_by_name(".text.slots").data()


def _code(slot: bytes) -> bytes:
    """A slot without what fills it up."""
    while slot.endswith(bytes((_FILL, _FILL))):
        slot = slot[:-2]
    return slot
