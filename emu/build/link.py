"""Links the objects of a job into an image, and looks at it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from emu.build.cache import temporary
from emu.build.driver import keep, run
from emu.build.elf import Image
from emu.build.owners import Owned
from emu.build.sources import Job, Source
from emu.errors import BuildError, InputError
from emu.isa import cpu as cores

NO_SOFT_FLOAT = re.compile(r"__aeabi_[fdil]|VFP register arguments|cannot find -lgcc|library -lgcc")
CONSTRUCTORS = ".init_array"
_MISSING = r"undefined (reference to `|symbol: )"
# What a linker says of things that strangers try -> why that cannot be.
_HINTS = {re.compile(r"_packed\b.*" + _MISSING): "a pack.py names it, and no file of the set has it",
          re.compile(_MISSING + r"__aeabi_([fd]|u?[il]2[fd])"): "float arithmetic, for which int8 images are linked with no library",
          re.compile(_MISSING + r"(malloc|calloc|realloc|free|\w*printf|puts|putchar|abort|exit|__assert_func|operator (new|delete))"):
              "there is no C library: kernels have no heap and no output; memcpy, memmove, memset and memcmp are there",
          re.compile(_MISSING + r"(__cxa_|__gxx_|__aeabi_(atexit|unwind)|_Unwind_|vtable for __cxxabiv1)"): "there is no C++ runtime",
          re.compile("VFP register arguments"): "it was compiled with -mfloat-abi=hard; soft is wanted"}
# Of kernels that are called one by one, after all others: nothing is left out of their image.
_WHOLE = {re.compile(_MISSING): "a folder's sources are linked whole, whether a kernel calls them or not: list those that kernels need, or an archive"}


def flags_of(job: Job, owned: Owned) -> tuple[str, ...]:
    """All options of a link but the script's."""
    # --nmagic packs the segments; without it the file is padded to pages of 64 KiB.
    flags = (*job.machine, *job.toolchain.link_flags, "-mthumb", "-nostdlib", "-static", "-Wl,--nmagic", "-Wl,--build-id=none")
    flags += ("-Wl,--gc-sections",) if job.script == "firmware" else ("-Wl,--no-gc-sections", "-Wl,-e,0")
    asked = [*owned.renamed.values(), *(owned.kernels if job.script == "library" and owned.linked else ())]  # of archives, which wait to be asked
    return (*flags, *(f"-Wl,-u,{function}" for function in asked),
            *(f"-Wl,--defsym={kernel}={function}" for kernel, function in owned.renamed.items()))


def link(job: Job, flags: Sequence[str], objects: Mapping[Path, Source], linked: Sequence[str], image: Path) -> None:
    """Write the image. objects: with what each was compiled from, in the order in which they are linked. linked: objects and archives of
    the sets. BuildError when that cannot be."""
    files = [*map(str, objects), *(("-Wl,--start-group", *linked, "-Wl,--end-group") if linked else ())]
    shown = {str(path): source.name for path, source in objects.items()}
    if job.floating and cores.find(job.cpu).fpu is None:
        _link_soft_float(job, [*flags, *files], shown, image)
    else:
        _link(job, [*flags, *files], shown, image)


def _link_soft_float(job: Job, arguments: Sequence[str], shown: Mapping[str, str], image: Path) -> None:
    """Float kernels for a core without an FPU: the compiler's libgcc computes, if it has one for that core."""
    try:
        _link(job, [*arguments, "-lgcc"], shown, image)
    except BuildError as error:
        if not NO_SOFT_FLOAT.search(str(error)):
            raise
        have = ", ".join(name for name in cores.names() if cores.find(name).fpu)
        raise BuildError(f"float kernels need an FPU, which {job.cpu} has not ({have} have), or a libgcc for it, which "
                         f"{job.toolchain.path} has not") from None


def _link(job: Job, arguments: Sequence[str], shown: Mapping[str, str], image: Path) -> None:
    draft = temporary(image)
    try:
        _run_linker(job, [*arguments, "-o", str(draft)], {**shown, f"{draft} does": "the image does", f"{draft} ": ""})
        _check_linked(job, draft)
        keep(job, draft, image, "the image")
    finally:
        draft.unlink(missing_ok=True)


def _run_linker(job: Job, arguments: Sequence[str], shown: Mapping[str, str]) -> None:
    """BuildError with the linker's first line, and why that cannot be, where it is of a kind that is known."""
    try:
        run(job, arguments, f"kernel set {job.sets[0].name!r} does not link", shown)
    except BuildError as error:
        hints = _HINTS | (_WHOLE if job.script == "library" and job.sets[0].outside else {})
        hint = next((f" ({hint})" for pattern, hint in hints.items() if not job.floating and pattern.search(str(error))), "")
        raise BuildError(f"{error}{hint}") from None


def _check_linked(job: Job, draft: Path) -> None:
    try:
        image = Image.load(draft)  # reads it once for the next start, too
    except InputError as error:
        raise BuildError(f"{job.toolchain.path} links no usable image: {str(error).removeprefix(f'{draft}: ')}") from None
    if missing := [kernel for kernel in job.needed if kernel not in image.symbols and job.script == "library"]:
        raise BuildError(f"kernel set {job.sets[0].name!r} does not link: no source defines {', '.join(missing)}")
    if CONSTRUCTORS in image.sections:
        raise BuildError(f"kernel set {job.sets[0]}: it has constructors of global objects ({CONSTRUCTORS}), and nothing calls them: "
                         "kernels have no global state")
