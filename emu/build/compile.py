"""Builds an image, a firmware or a library of kernels, into the cache; nothing is built twice."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from armsrc import abi, kernelset
from emu.build import kernel_folder
from emu.build.cache import REPOSITORY, cache_dir, key
from emu.build.includes import LearnedError
from emu.build.link import flags_of, link
from emu.build.objects import contents
from emu.build.owners import find_owners
from emu.build.sources import COMPILE_FLAGS, FIRMWARE_SOURCES, SCHEMA, Files, Job, of_firmware, of_network
from emu.build.toolchain import Toolchain
from emu.build.translate import compile_all
from emu.errors import BuildError
from emu.isa import cpu as cores
from emu.names import check as check_name

T = TypeVar("T")
_MOST_ATTEMPTS = 5
OPTIMIZATIONS = ("O0", "O1", "O2", "O3", "Os", "Ofast", "Og")


def build(kernels: str, *, generated: Mapping[str, str], float_abi: bool, toolchain: Toolchain, script: str = "firmware",
          opt: str = "O3", extra_flags: Sequence[str] = (), cpu: str = "cortex-m4", source_root: Path | None = None) -> Path:
    """The ELF of a kernel set for the core `cpu`, from the cache when nothing that takes part in it has changed.

    kernels: a set's name, or the path of a folder of somebody's (kernel_folder.find).
    generated: file name -> text of C, assembly or headers to compile beside the kernels (network.c for a firmware).
    float_abi: f32 kernels, and the hard-float ABI where the core has an FPU, else the compiler's libgcc; False: s8 kernels, soft float
        and no libgcc, so that no float arithmetic can get in.
    script: "firmware" (start-up, main, the memories of a board) or "library" (all kernels, for calling them one by one).
    extra_flags: more of the compiler's options, behind all others.
    source_root: the folder that holds armsrc/, this repository's by default.

    Raises UsageError for an unknown set, optimization, script or core, InputError for a folder that cannot be used, BuildError with the
    compiler's line when it refuses.
    """
    check_name("linker script", script, FIRMWARE_SOURCES)
    job = _job(kernels, generated, float_abi, toolchain, script, opt, extra_flags, cpu, source_root or REPOSITORY)
    return _until_known(job, _build)


def _until_known(job: Job, make: Callable[[Job, Files], T]) -> T:
    """make(job, its files), again where the compiler has read files that were not in their keys."""
    for _ in range(_MOST_ATTEMPTS):
        with contextlib.suppress(LearnedError):
            return make(job, Files(job.root, job.generated))
    raise BuildError(f"kernel set {job.sets[0]}: what its sources include changes while they are compiled")


def _build(job: Job, files: Files) -> Path:
    owned = find_owners(job, files)
    sources = [*of_firmware(job, files), *owned.sources, *of_network(job, files)]
    link_flags = flags_of(job, owned)
    script_path = job.root / "armsrc" / "firmware" / f"{job.script}.ld"
    given = [part for name in owned.linked for part in (name, contents(job.root / name))]
    image_key = key([SCHEMA, job.toolchain.identity, *link_flags, script_path.read_bytes(), *(source.key for source in sources), *given])
    image = cache_dir() / "images" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', job.sets[0].name)}-{job.opt}-{job.script}-{image_key[:16]}.elf"
    if not image.exists():
        objects = dict(zip(compile_all(job, sources), sources, strict=True))
        link(job, [*link_flags, "-T", str(script_path)], objects, owned.linked, image)
    return image


def implementations(kernels: str, *, float_abi: bool, toolchain: Toolchain, opt: str = "O3", extra_flags: Sequence[str] = (),
                    cpu: str = "cortex-m4", source_root: Path | None = None) -> dict[str, kernel_folder.KernelFolder]:
    """Kernel -> the set that implements it, `kernels` or a base of it: of a set without a base every kernel that there may be.

    Compiles the set's own sources, when they have changed. Raises what `build` does.
    """
    job = _job(kernels, {}, float_abi, toolchain, "library", opt, extra_flags, cpu, source_root or REPOSITORY)
    return _until_known(job, find_owners).kernels


def packing(implemented: Mapping[str, kernel_folder.KernelFolder], source_root: Path | None = None) -> kernelset.KernelSet:
    """What the pack.py of a set and its bases say, each of the kernels that it implements. BuildError, now or later, for one that
    does not do as it should."""
    root = source_root or REPOSITORY
    packs = {folder: kernelset.load(root / folder, BuildError) for folder in sorted({folder.folder for folder in implemented.values()})}
    if len(packs) == 1:
        return next(iter(packs.values()))
    order = list(dict.fromkeys(folder.folder for folder in implemented.values()))  # `implemented` begins with the set's own

    def fuses(kernel: str, first: abi.Params, second: abi.Params) -> bool:
        """A base's kernel does not take layers for which a set before it has kernels: those are to run."""
        if kernel not in implemented:
            return False
        owner, *parts = (order.index(implemented[name].folder) for name in (kernel, *abi.FUSED[kernel]))
        return owner <= min(parts) and packs[order[owner]].fuses(kernel, first, second)

    return kernelset.KernelSet(lambda kernel, *params: packs[implemented[kernel].folder].pack(kernel, *params), fuses,
                               lambda kernel, *params: packs[implemented[kernel].folder].scratch(kernel, *params))


def machine_flags(cpu: str, float_abi: bool) -> tuple[str, ...]:
    """The compiler's options for a core, as its table says. UsageError for a name that is no core's."""
    core = cores.find(cpu)
    hard = float_abi and core.fpu
    return (f"-mcpu={core.name}", *(("-mfloat-abi=hard", f"-mfpu={core.fpu}") if hard else ("-mfloat-abi=soft",)))


def _job(kernels: str, generated: Mapping[str, str], float_abi: bool, toolchain: Toolchain, script: str, opt: str,
         extra_flags: Sequence[str], cpu: str, root: Path) -> Job:
    sets = kernel_folder.chain(kernels, float_abi, root)
    check_name("optimization", opt, OPTIMIZATIONS)
    machine = machine_flags(cpu, float_abi)
    flags = (*machine, *COMPILE_FLAGS, f"-{opt}", *(("-ffp-contract=fast", "-Wdouble-promotion") if float_abi else ()))
    return Job(root, toolchain, sets, generated, cpu, script, float_abi, opt, machine, flags, tuple(extra_flags))
