"""Small programs for the machine: assembly in, an image or a machine out."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from emu.build.cache import REPOSITORY
from emu.build.elf import Image
from emu.build.toolchain import find
from emu.machine import Machine

SCRIPT = REPOSITORY / "armsrc" / "firmware" / "library.ld"
_FLAGS = (
    "-mthumb",
    "-mfloat-abi=softfp",
    "-mfpu=fpv4-sp-d16",
    "-nostdlib",
    "-static",
    "-g",
    "-Wl,--nmagic",
    "-Wl,--build-id=none",
    "-Wl,-e,0",
    "-Wl,--no-warn-rwx-segments",
    "-Wa,--no-warn",
)
HEAD = """    .syntax unified
    .thumb
    .text
"""


class Assembler:
    """Assembles and links into a folder, once a text; `cpu` is what the assembler is told (wider than the core, for refusals)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.driver = find()

    def image(self, text: str, cpu: str = "cortex-m4", script: Path = SCRIPT) -> Image:
        """`text`: whole assembly source behind HEAD; functions begin with function(...)."""
        source = HEAD + text
        stem = self.folder / hashlib.sha256(f"{cpu}{script}{source}".encode()).hexdigest()[:20]
        elf = stem.with_suffix(".elf")
        if not elf.exists():
            stem.with_suffix(".s").write_text(source)
            command = [
                str(self.driver.path),
                *self.driver.flags,
                f"-mcpu={cpu}",
                *_FLAGS,
                "-T",
                str(script),
                stem.name + ".s",
                "-o",
                elf.name,
            ]
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
            assert not done.returncode, f"{done.stderr}\n{source}"
        return Image.load(elf)

    def machine(self, body: str, core: str = "cortex-m4", data: str = "", **options: object) -> Machine:
        """A machine with one function, `snippet`, of that body."""
        return Machine(self.image(function("snippet", body) + data), core, **options)


def function(name: str, body: str) -> str:
    """A global Thumb function, word-aligned."""
    lines = "\n".join(f"    {line.strip()}" for line in body.strip().splitlines())
    return (
        f"    .balign 4\n    .global {name}\n    .type {name}, %function\n    .thumb_func\n{name}:\n{lines}\n    .ltorg\n"
        f"    .size {name}, . - {name}\n"
    )


def array(name: str, size: int, section: str = ".bss") -> str:
    """A global object of `size` bytes, 8-aligned, in .bss, .data or .rodata."""
    kind = "%nobits" if section == ".bss" else "%progbits"
    flags = "a" if section == ".rodata" else "aw"
    return (
        f'    .section {section}.{name}, "{flags}", {kind}\n    .balign 8\n    .global {name}\n    .type {name}, %object\n{name}:\n'
        f"    .space {size}\n    .size {name}, {size}\n    .text\n"
    )
