"""Builds an image, a firmware or a library of kernels, into the cache; nothing is built twice."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emu.build.cache import REPOSITORY, cache_dir, key, temporary
from emu.build.elf import Image
from emu.build.toolchain import CLANG, Toolchain
from emu.errors import BuildError, InputError, UsageError
from emu.isa import cpu as cores

SCHEMA = "2"  # of the cache's keys
OPTIMIZATIONS = ("O0", "O1", "O2", "O3", "Os", "Ofast", "Og")
KINDS = ("conv2d", "depthwise_conv2d", "pointwise_conv2d", "dense", "max_pool2d", "global_avg_pool2d")
COMPILE_FLAGS = ("-mthumb", "-std=c11", "-ffreestanding", "-nostdlib", "-ffunction-sections", "-fdata-sections", "-g", "-gdwarf-4",
                 "-Wall", "-Wextra")
OWN_MEMCPY = "armsrc/firmware/runtime.c"
# Only what differs from COMPILE_FLAGS, by path.
SPECIAL_FLAGS = {
    "armsrc/firmware/main.c": ("-fno-eliminate-unused-debug-types",),
    "armsrc/firmware/library.c": ("-fno-eliminate-unused-debug-types",),
}
FIRMWARE_SOURCES = {"firmware": ("startup.S", "main.c", "runtime.c", "done.S"), "library": ("library.c", "runtime.c", "done.S")}
ASSEMBLY = (".S", ".s")
SOURCES = (".c", *ASSEMBLY)
# What a preprocessor or the assembler reads besides: #include, .include, .incbin, with quotes or brackets.
INCLUDE = re.compile(rb'^[ \t]*(?:#[ \t]*include|\.include|\.incbin)[ \t]*["<]([^">\n]+)[">]', re.MULTILINE)
COMPILE_TIMEOUT = 120.0  # seconds a process
COMPILER_ERROR = re.compile(r"^\S+:\d+:(\d+:)? (fatal )?[Ee]rror: ")
NO_SOFT_FLOAT = re.compile(r"__aeabi_[fdil]|VFP register arguments|cannot find -lgcc|library -lgcc")
IN_MACRO = re.compile(r"^<instantiation>:\d+:\d+: (?P<what>.*)$")
MACRO_CALL = re.compile(r"^(?P<place>[^<]\S*:\d+:\d+:) note: while in macro instantiation")
LINKER_ERROR = re.compile(r"undefined reference|multiple definition|not defined|will not fit|overflowed|cannot find|[Ee]rror:")
GENERATED = "generated"  # what error lines and debug information call the folder of generated files


@dataclass(frozen=True)
class _Source:
    name: str  # relative to the repository, or generated/...
    content: bytes
    include: tuple[str, ...]  # folders, likewise
    flags: tuple[str, ...]
    key: str  # of its object


@dataclass(frozen=True)
class _Job:
    """One image to build: where its sources are and how they are compiled."""

    root: Path  # the folder that holds armsrc/
    toolchain: Toolchain
    kernels: str
    generated: Mapping[str, str]
    cpu: str  # the core's name
    machine: tuple[str, ...]  # its options
    flags: tuple[str, ...]
    needed: tuple[str, ...]  # functions that the image must have


def kernel_sets(source_root: Path | None = None) -> list[str]:
    """Names of the kernel sets: the folders of armsrc/kernels."""
    folder = (source_root or REPOSITORY) / "armsrc" / "kernels"
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(("_", ".")))


def holds_c(kernels: str, source_root: Path | None = None) -> bool:
    """Whether a kernel set is more than assembly, so that its counts depend on the compiler."""
    return any(path.suffix == ".c" for path in ((source_root or REPOSITORY) / "armsrc" / "kernels" / kernels).rglob("*"))


def build(kernels: str, *, generated: Mapping[str, str], float_abi: bool, toolchain: Toolchain, script: str = "firmware",
          opt: str = "O3", extra_flags: Sequence[str] = (), cpu: str = "cortex-m4", source_root: Path | None = None) -> Path:
    """The ELF of kernel set `kernels` for the core `cpu`, from the cache when nothing that takes part in it has changed.

    generated: file name -> text of C, assembly or headers to compile beside the kernels (network.c for a firmware).
    float_abi: f32 kernels, and the hard-float ABI where the core has an FPU, else the compiler's libgcc; False: s8 kernels, soft float
        and no libgcc, so that no float arithmetic can get in.
    script: "firmware" (start-up, main, the memories of a board) or "library" (all kernels, for calling them one by one).
    extra_flags: more of the compiler's options, behind all others.
    source_root: the folder that holds armsrc/, this repository's by default.

    Raises UsageError for an unknown set, optimization, script or core, BuildError with the compiler's line when it refuses.
    """
    root = source_root or REPOSITORY
    _check_name("kernel set", kernels, kernel_sets(root))
    _check_name("optimization", opt, OPTIMIZATIONS)
    _check_name("linker script", script, FIRMWARE_SOURCES)
    machine = machine_flags(cpu, float_abi)
    flags = (*machine, *COMPILE_FLAGS, f"-{opt}", *(("-ffp-contract=fast", "-Wdouble-promotion") if float_abi else ()),
             *extra_flags)
    needed = tuple(f"{kind}_{'f32' if float_abi else 's8'}" for kind in KINDS) if script == "library" else ()
    job = _Job(root, toolchain, kernels, generated, cpu, machine, flags, needed)

    sources = _collect(job, script)
    script_path = root / "armsrc" / "firmware" / f"{script}.ld"
    link_flags = _link_flags(script)
    image_key = key([SCHEMA, toolchain.identity, *machine, *link_flags, script_path.read_bytes(), *(s.key for s in sources)])
    image = cache_dir() / "images" / f"{kernels}-{opt}-{script}-{image_key[:16]}.elf"
    if image.exists():
        return image
    objects = _compile_all(job, sources)
    link = _link_soft_float if float_abi and cores.find(cpu).fpu is None else _link
    link(job, [*link_flags, "-T", str(script_path)], objects, image)
    return image


def machine_flags(cpu: str, float_abi: bool) -> tuple[str, ...]:
    """The compiler's options for a core, as its table says. UsageError for a name that is no core's."""
    core = cores.find(cpu)
    hard = float_abi and core.fpu
    return (f"-mcpu={core.name}", *(("-mfloat-abi=hard", f"-mfpu={core.fpu}") if hard else ("-mfloat-abi=soft",)))


def _check_name(what: str, name: str, known: Iterable[str]) -> None:
    known = list(known)
    if name not in known:
        import difflib  # here and below: a warm start should not pay for these imports

        near = difflib.get_close_matches(name, known, 1, 0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"no {what} {name!r} (there are {', '.join(known)}){hint}")


def _collect(job: _Job, script: str) -> list[_Source]:
    """Every source of the image with the key of its object, in the order in which they are linked."""
    abi, own, firmware = "armsrc/include", f"armsrc/kernels/{job.kernels}", "armsrc/firmware"
    files = _Files(job)
    sources = [_source(job, files, f"{firmware}/{name}", (abi, firmware, GENERATED)) for name in FIRMWARE_SOURCES[script]]
    for folder, include in (("armsrc/runtime", ()), (own, (abi, own))):
        sources += [_source(job, files, f"{folder}/{entry.name}", include)
                    for entry in sorted((job.root / folder).iterdir()) if entry.suffix in SOURCES]
    sources += [_source(job, files, f"{GENERATED}/{name}", (abi, own, firmware, GENERATED))
                for name in sorted(job.generated) if name.endswith(SOURCES)]
    return sources


class _Files:
    """Sources and headers by name, each read once."""

    def __init__(self, job: _Job) -> None:
        self._root = job.root
        self._read: dict[str, bytes | None] = {f"{GENERATED}/{name}": text.encode() for name, text in job.generated.items()}

    def get(self, name: str) -> bytes | None:
        """The content of the file of that name, or None when there is none."""
        if name not in self._read:
            path = self._root / name
            self._read[name] = path.read_bytes() if path.is_file() else None
        return self._read[name]

    def included(self, name: str, folders: Sequence[str]) -> dict[str, bytes]:
        """Everything that the source `name` may include, however deep, by its name: conditions are not looked at."""
        found: dict[str, bytes] = {}
        waiting = [name]
        while waiting:
            includer = waiting.pop()
            for asked in INCLUDE.findall(self.get(includer) or b""):
                places = (posixpath.normpath(f"{folder}/{asked.decode()}") for folder in (posixpath.dirname(includer), *folders))
                place = next((place for place in places if place == name or place in found or self.get(place) is not None), None)
                if place is not None and place != name and place not in found:
                    found[place] = self.get(place) or b""
                    waiting.append(place)
        return dict(sorted(found.items()))


def _source(job: _Job, files: _Files, name: str, include: tuple[str, ...]) -> _Source:
    flags = (*job.flags, *SPECIAL_FLAGS.get(name, ()), *(job.toolchain.family.own_memcpy if name == OWN_MEMCPY else ()))
    content = files.get(name) or b""
    parts: list[str | bytes] = [SCHEMA, job.toolchain.identity, *job.toolchain.flags, *flags, *include, name, content]
    for header, text in files.included(name, include).items():
        parts += [header, text]
    return _Source(name, content, include, flags, key(parts))


def _compile_all(job: _Job, sources: Sequence[_Source]) -> list[Path]:
    """Objects of all sources, compiled in parallel where the cache lacks them; raises the first failure in link order."""
    import shutil
    from concurrent.futures import ThreadPoolExecutor

    from emu.build import process

    work = temporary(cache_dir() / "work")
    try:
        work.mkdir()
        for name, text in job.generated.items():
            (work / name).write_text(text)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                return [f.result() for f in [pool.submit(_compile, job, source, work) for source in sources]]
            except BaseException:  # the first failure, or an interrupt: what has not begun need not, what runs is ended
                pool.shutdown(wait=False, cancel_futures=True)
                process.end_all()
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compile(job: _Job, source: _Source, work: Path) -> Path:
    target = cache_dir() / "objects" / f"{source.key[:32]}.o"
    if target.exists():
        return target

    def place(name: str) -> str:
        return name.replace(GENERATED, str(work), 1) if name.startswith(GENERATED) else name

    # With the folders renamed, an image is the same wherever the repository and its environment stand.
    folders = {str(job.toolchain.path.parent.parent): "toolchain", str(job.root): ".", str(work): GENERATED}
    # The last that fits wins, so the innermost comes last.
    renamed = [f"-fdebug-prefix-map={folder}={folders[folder]}" for folder in sorted(folders, key=len)]
    include = [f"-I{place(folder)}" for folder in source.include]
    draft = temporary(target)
    try:
        _run(job, [*source.flags, *renamed, *include, "-c", place(source.name), "-o", str(draft)], source.name, {str(work): GENERATED})
        _keep(job, draft, target, source.name)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _link_flags(script: str) -> tuple[str, ...]:
    # --nmagic packs the segments; without it the file is padded to pages of 64 KiB.
    flags = ("-mthumb", "-nostdlib", "-static", "-Wl,--nmagic", "-Wl,--build-id=none")
    if script == "firmware":
        return *flags, "-Wl,--gc-sections"
    return *flags, "-Wl,--no-gc-sections", "-Wl,-e,0"


def _link_soft_float(job: _Job, flags: Sequence[str], objects: Sequence[Path], image: Path) -> None:
    """Float kernels for a core without an FPU: the compiler's libgcc computes, if it has one for that core."""
    try:
        _link(job, flags, objects, image, "-lgcc")
    except BuildError as error:
        if not NO_SOFT_FLOAT.search(str(error)):
            raise
        have = ", ".join(name for name in cores.names() if cores.find(name).fpu)
        raise BuildError(f"float kernels need an FPU, which {job.cpu} has not ({have} have), or a libgcc for it, which "
                         f"{job.toolchain.path} has not") from None


def _link(job: _Job, flags: Sequence[str], objects: Sequence[Path], image: Path, *libraries: str) -> None:
    draft = temporary(image)
    try:
        _run(job, [*job.machine, *job.toolchain.link_flags, *flags, *map(str, objects), *libraries, "-o", str(draft)], f"kernel set {job.kernels!r} does not link",
             {f"{draft} ": ""})
        _check_linked(job, draft)
        _keep(job, draft, image, "the image")
    finally:
        draft.unlink(missing_ok=True)


def _check_linked(job: _Job, draft: Path) -> None:
    try:
        image = Image.load(draft)  # reads it once for the next start, too
    except InputError as error:
        raise BuildError(f"{job.toolchain.path} links no usable image: {str(error).removeprefix(f'{draft}: ')}") from None
    if missing := [function for function in job.needed if function not in image.symbols]:
        raise BuildError(f"kernel set {job.kernels!r} does not link: no source defines {', '.join(missing)}")


def _keep(job: _Job, draft: Path, target: Path, what: str) -> None:
    if not draft.exists():
        raise BuildError(f"{what}: {job.toolchain.path} says that all went well, but writes no output")
    os.replace(draft, target)


def _run(job: _Job, arguments: Sequence[str], what: str, renamed: Mapping[str, str]) -> None:
    """Run the compiler; when it refuses, raise BuildError with its own first line, in which names of the cache are `renamed`."""
    from emu.build.process import CompilerHangs, run

    command = [str(job.toolchain.path), *job.toolchain.flags, *arguments]
    try:
        result = run(command, cwd=job.root, timeout=COMPILE_TIMEOUT)
    except CompilerHangs as error:
        raise BuildError(f"{what}: {job.toolchain.path}: {error}, killed") from None
    except OSError as error:
        raise BuildError(f"{what}: {job.toolchain.path} does not run: {error.strerror}") from None
    if result.returncode:
        text = result.stderr
        for name, shown in renamed.items():
            text = text.replace(name, shown)
        line = first_error(text)
        if job.toolchain.family is CLANG and what.endswith(ASSEMBLY):
            line += " (clang assembles it itself; for GNU's assembler, --cc arm-none-eabi-gcc)"
        raise BuildError(line if COMPILER_ERROR.match(line) else f"{what}: {line}")


def first_error(stderr: str) -> str:
    """The line of a compiler's, assembler's or linker's output that says what is wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for pattern in (COMPILER_ERROR, LINKER_ERROR):
        for number, line in enumerate(lines):
            if pattern.search(line):
                return re.sub(r"^\S*\bld(\.bfd|\.lld)?: ", "", _outside_macro(line, lines[number + 1:]))
    return lines[-1] if lines else "the compiler failed without a word"


def _outside_macro(line: str, following: Sequence[str]) -> str:
    """clang's error in a macro with the place of the call that expands it."""
    inside = IN_MACRO.match(line)
    place = next((call["place"] for call in map(MACRO_CALL.match, following) if call), None) if inside else None
    return f"{place} {inside['what']}" if inside and place else line
