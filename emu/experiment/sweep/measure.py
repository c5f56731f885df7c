"""One task of a sweep: an image, built or found, one run of it, held against the reference and priced for every core and memory that asks."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from armsrc import abi
from armsrc.kernelset import PLAIN, KernelSet
from emu import kws, measure
from emu.build import compile as images
from emu.build import kernel_folder
from emu.build.elf import Image
from emu.build.program import Layer, Program, Tensor
from emu.build.toolchain import Toolchain
from emu.check import equivalence
from emu.errors import BuildError, TargetFault, ThumbcycleError
from emu.experiment.sweep import identity
from emu.functions import Numbering
from emu.functions.code_size import code_bytes
from emu.isa import cpu
from emu.isa.instruction import Instruction
from emu.machine import code
from emu.machine.call import KernelCall, call
from emu.probe import Counts
from emu.profile import PARTS, Profile, Row, profile
from emu.timing import core as cores
from emu.timing import memory as memories
from emu.timing import predictor, pricing

OK, WRONG, ILLEGAL, NOT_BUILT, CANNOT, FAULT, LATE, LOST, ERROR = STATUSES = (
    "ok", "not bit-exact", "illegal shape", "build error", "cannot execute", "fault", "timeout", "worker died", "error")
_PLACES = {"input": "input", "weights": "weights", "bias": "bias", "requantization": "requant", "parameters": "parameters",
           "output": "output", "scratch": "scratch"}  # part -> the object that call() places for it
_STORED = ("weights", "bias", "requant", "packed")


class TimeUp(BaseException):
    """The time of a point is over: raised from outside, wherever it is."""


class Stale(ThumbcycleError):
    """What is to run is not what the plan was made for."""

    status = 3


class _Late(ThumbcycleError):
    """A point that took too long, and where."""


class _Cannot(ThumbcycleError):
    """A run that a core could not execute."""


_STATUS = ((abi.AbiError, ILLEGAL), (BuildError, NOT_BUILT), (_Cannot, CANNOT), (TargetFault, FAULT), (_Late, LATE), (Exception, ERROR))


@dataclass(frozen=True)
class Task:
    """What one run serves. kernel: the ABI's function; None: the whole keyword spotter, on `input`. sizes: the struct's.

    opt, flags, cc, mcpu: what its image is made with. targets: (core, memory) that price the run. seconds: that it may take.
    sources, emulator, compiler: what the plan was made for (identity, and the compiler's version).
    """

    kernels: str
    cc: str | None
    opt: str
    flags: tuple[str, ...]
    mcpu: str
    kernel: str | None
    targets: tuple[tuple[str, str], ...]
    seconds: float
    sources: str
    emulator: str
    compiler: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    input: str = ""
    seed: int = 0
    activation: str = "relu"
    per_channel: bool = True


@dataclass(frozen=True)
class _Built:
    """instructions: one object an address for all runs, by which pricing knows what it has found of them.

    network: of an image of the keyword spotter. packing: of an image of kernels, what the set makes of their tables.
    """

    image: Image
    numbering: Numbering
    instructions: Mapping[int, Instruction]
    network: kws.Prepared | None = None
    packing: KernelSet = PLAIN


@dataclass(frozen=True)
class _Ran:
    """A run that can be priced: `take` finds the row of a profile that the point is about; difference: the first from the reference."""

    built: _Built
    profile: Profile
    counts: Counts
    take: Callable[[Profile], Row]
    bit_exact: bool | None
    max_abs_error: float | None
    difference: str
    code_bytes: int


def run(task: Task) -> list[dict[str, Any]]:
    """The figures of every target, in order: columns of a row. What goes wrong is a status and a text; Stale alone is raised."""
    began = time.perf_counter()
    try:
        ran = (_network if task.kernel is None else _kernel)(task)
    except Stale:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this point's
        seconds = (time.perf_counter() - began) / len(task.targets)
        return [{**failure(error), "seconds": seconds} for _ in task.targets]
    shared = (time.perf_counter() - began) / len(task.targets)
    return [_row(task, ran, core, memory, shared) for core, memory in task.targets]


def failure(error: Exception) -> dict[str, str]:
    """Status and text of what went wrong."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    foreseen = status != ERROR or isinstance(error, ThumbcycleError)
    return {"status": status, "error": str(error) if foreseen else f"{type(error).__name__}: {error}"}


def _row(task: Task, ran: _Ran, core: str, memory: str, shared: float) -> dict[str, Any]:
    began = time.perf_counter()
    image = {"image_sha256": ran.built.image.sha256, "flash_bytes": ran.built.image.flash_bytes}
    try:
        with _limited(task, f"pricing for {core}"):
            row = ran.take(_priced(task, ran, core, memory))
    except Exception as error:  # noqa: BLE001
        return {**failure(error), **image, "seconds": shared + time.perf_counter() - began}
    return {"status": WRONG if ran.bit_exact is False else OK, "error": ran.difference or None, **image, **_figures(row),
            "bit_exact": ran.bit_exact, "max_abs_error": ran.max_abs_error, "code_bytes": ran.code_bytes,
            "seconds": shared + time.perf_counter() - began}


def _priced(task: Task, ran: _Ran, core: str, memory: str) -> Profile:
    if core != task.mcpu and (reason := measure.obstacle(ran.counts, ran.built.instructions, cpu.find(core))):
        raise _Cannot(reason)
    if (core, memory) == (ran.profile.core, ran.profile.memory):
        return ran.profile
    return ran.profile.on(core, pricing.price(ran.counts, ran.built.instructions, cores.load(core), memories.load(memory)))


def _figures(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(row, name) for name in (
        "instructions", "skipped", "cycles", "macs", "cycles_per_mac", "loads", "stores", "bytes_read", "bytes_written", "fetch_bytes",
        "weight_bytes", "activation_bytes", "stack_bytes")}
    for part in PARTS:
        moved = row.traffic.get(part)
        found |= {f"{part}_bytes_read": moved.bytes_read if moved else 0, f"{part}_bytes_written": moved.bytes_written if moved else 0}
    return found


@contextlib.contextmanager
def _limited(task: Task, doing: str) -> Iterator[None]:
    """Says what was going on when the time was over."""
    try:
        yield
    except TimeUp:
        raise _Late(f"{doing} did not end within {task.seconds:g} s") from None


# --- images ---


_known: dict[tuple[object, ...], _Built | ThumbcycleError] = {}


def _built(task: Task, what: str, build: Callable[[Task], _Built]) -> _Built:
    """An image, once a process; so is a build that fails. Stale when the sources are not the plan's."""
    asked = (task.kernels, task.cc, task.opt, task.flags, task.mcpu, task.sources, what)
    if asked not in _known:
        _check(task)
        try:
            with _limited(task, f"building {task.kernels} with {_compiler(task).path}"):
                _known[asked] = build(task)
        except ThumbcycleError as error:
            _known[asked] = error
        _check(task)
    found = _known[asked]
    if isinstance(found, ThumbcycleError):
        raise found
    return found


def _check(task: Task) -> None:
    if (identity.emulator(), identity.sources(task.kernels)) != (task.emulator, task.sources):
        raise Stale(f"the sources of {task.kernels} or the emulator changed since the sweep began, or a worker has others")


def _compiler(task: Task) -> Toolchain:
    found = kernel_folder.find(task.kernels).toolchain(task.cc)
    if found.version != task.compiler:
        raise Stale(f"{found.path} is {found.version}, but the sweep began with {task.compiler}")
    return found


# --- the keyword spotter ---


def _network(task: Task) -> _Ran:
    core, *others = (cores.load(name) for name in dict.fromkeys((task.mcpu, *(core for core, _ in task.targets))))
    built = _built(task, "network", _built_network)
    ready = built.network
    machine = measure.prepare(built.image, ready.program, core, others=others, memory=_followed(task))
    x = ready.network.input_array(kws.read(task.input).features)
    measure.write_input(machine, ready.program, x)
    with _limited(task, "running kws"):
        machine.reset_and_run()
    counts = machine.counts()
    measure.check_layers(built.image, ready.program, counts)
    measure.check_writes(ready.program, counts)
    found = profile(counts, ready.program, built.instructions, core, ready.about)
    checked, difference = equivalence.check(found, measure.read_outputs(machine, ready.program), ready.reference(x))
    return _ran(built, checked, counts, lambda found: found.totals, str(difference or ""))


def _built_network(task: Task) -> _Built:
    job = kws.Job(kernels=task.kernels, core=task.mcpu, opt=task.opt, cc=task.cc, extra_flags=task.flags)
    ready = kws.prepared(job, replace(kws.load(job), toolchain=_compiler(task)), task.kernels)
    return _Built(ready.image, Numbering(ready.image), code.text(ready.image).instructions, network=ready)


# --- one kernel ---


def _kernel(task: Task) -> _Ran:
    built = _built(task, "f32" if abi.is_float(task.kernel) else "s8", _built_library)
    params, x, reference = _sample(task.kernel, tuple(task.sizes.items()), task.seed, task.activation, task.per_channel)
    with _limited(task, f"running {task.kernel}"):
        done = call(built.image, task.kernel, params, x, kernel_set=built.packing, core=task.mcpu, followers=_followers(task))
    program = _program(task, params, done)
    found = profile(done.counts, program, built.instructions, cores.load(task.mcpu), {})
    checked, difference = equivalence.check(found, [done.output], [reference.reshape(done.output.shape)])
    return _ran(built, checked, done.counts, lambda found: found.layers[0], str(difference or ""))


def _built_library(task: Task) -> _Built:
    made_with = {"float_abi": abi.is_float(task.kernel), "toolchain": _compiler(task), "opt": task.opt, "extra_flags": task.flags, "cpu": task.mcpu}
    packing = images.packing(images.implementations(task.kernels, **made_with))
    image = Image.load(images.build(task.kernels, generated={}, script="library", **made_with))
    return _Built(image, Numbering(image), code.text(image).instructions, packing=packing)


@functools.lru_cache(maxsize=4)
def _sample(kernel: str, sizes: tuple[tuple[str, int], ...], seed: int, activation: str, per_channel: bool
            ) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """(struct, input, what the reference makes of it): the same for many images."""
    params, x = kws.kernel_sample(kernel, dict(sizes), seed, activation=activation, per_channel=per_channel)
    return params, x, kws.kernel_reference(kernel, params, x)


def _program(task: Task, params: Mapping[str, Any], done: KernelCall) -> Program:
    """The call as a network of one layer."""
    sizes = {item.name: item.size for item in done.machine.data}
    places = {**_PLACES, "weights": "packed"} if "packed" in sizes else _PLACES
    stored = sum(sizes.get(name, 0) for name in _STORED)
    output = Tensor("output", done.output.shape, done.output.dtype)
    layer = Layer(task.kernel, task.kernel, kws.kernel_macs(task.kernel, task.sizes), stored, done.output.nbytes, output, places)
    return Program(task.kernel, done.output.dtype, Tensor("input", abi.input_shape(task.kernel, params), done.output.dtype), (layer,))


# --- both ---


def _followed(task: Task) -> memories.Memory:
    """One memory table with the caches of all targets', for the run alone."""
    tables = [memories.load(memory) for memory in dict.fromkeys(memory for _, memory in task.targets)]
    return replace(tables[0], caches=tuple(dict.fromkeys(cache for table in tables for cache in table.caches)))


def _followers(task: Task) -> tuple[Any, ...]:
    """Caches and predictors that the targets ask for."""
    return (*_followed(task).followers, *predictor.followers(*(cores.load(core) for core, _ in task.targets)))


def _ran(built: _Built, checked: Profile, counts: Counts, take: Callable[[Profile], Row], difference: str) -> _Ran:
    row = take(checked)
    return _Ran(built, checked, counts, take, row.bit_exact, row.max_abs_error, difference,
                code_bytes(counts, built.instructions, built.image, built.numbering)[-1])
