"""The keyword spotter in the laboratory: the one place where kwsq and emu meet, for the command lines."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from armsrc import abi
from emu import measure
from emu.build import compile as images
from emu.build import kernel_folder
from emu.build import toolchain as toolchains
from emu.build.elf import Image
from emu.build.program import Program
from emu.check import equivalence
from emu.engines import Engines
from emu.errors import BuildError, InputError, ThumbcycleError, UsageError
from emu.isa import cpu as cpus
from emu.machine import code
from emu.machine.code import Marks
from emu.measure import Inference
from emu.profile import Profile
from emu.result import Answer, Beside, Heard, OnCore, Result
from emu.timing import memory as memories
from emu.timing.core import Core
from emu.timing.core import load as load_core
from emu.timing.memory import Memory
from kwsq import audio, export, features, float_reference, model, reference, synthetic
from kwsq import errors as kwsq_errors
from kwsq.layers import Network

FLOAT_SET = "float"
ANY_CORE_SETS = ("m0", "c")  # what a core runs that cannot execute the set that was asked for: the first that there is
INT8_SETS = {"cortex-m0plus": ANY_CORE_SETS, "cortex-m3": ANY_CORE_SETS}  # compared with each other, and with float; elsewhere:
DSP_SETS = ("thumb2", "fused", "c")
RATE, WINDOW = audio.RATE, audio.SAMPLES  # of sound: Hz, and samples that the front end takes
SOUND_SUFFIXES = audio.SUFFIXES
WORDS = tuple(sorted(path.stem for path in features.WORDS.glob("*.wav")))  # that are shipped
kernel_sizes, kernel_macs, kernel_sample = synthetic.sizes, synthetic.macs, synthetic.sample  # of one kernel, at random


@dataclass(frozen=True)
class Job:
    """What to run: names as the command line takes them. other_cores: shown beside `core`; limit: instructions of one inference.

    extra_flags: the compiler's, behind -OPT. source_root: the folder that holds armsrc/; None: this repository.
    """

    kernels: str = "thumb2"
    inputs: tuple[str, ...] = ("yes",)
    core: str = "cortex-m4"
    other_cores: tuple[str, ...] = ()
    memory: str = memories.DEFAULT
    opt: str = "O3"
    cc: str | None = None
    mhz: float | None = None
    limit: int = 100_000_000
    extra_flags: tuple[str, ...] = ()
    source_root: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """The result to show, remarks on the inputs (conversions), the first byte that differs from the reference, if any, and the first input's
    run with what it was a run of."""

    result: Result
    remarks: tuple[str, ...]
    difference: str | None
    first: Inference
    ready: Prepared


@dataclass(frozen=True)
class Loaded:
    """What a job needs that no kernel set changes."""

    core: Core
    memory: Memory
    networks: Mapping[str, Network]
    toolchain: toolchains.Toolchain


@dataclass(frozen=True)
class Input:
    """Features int8 (20, 20, 1), and the conversions that they took, one line each."""

    name: str
    features: np.ndarray
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """One kernel set, built for a core: an image, what it holds, and what made it."""

    image: Image
    program: Program
    network: Network
    core: Core
    memory: Memory
    about: Mapping[str, object]

    @property
    def floating(self) -> bool:
        return self.network.dtype == "float32"

    def reference(self, x: np.ndarray) -> list[np.ndarray]:
        """The output of every layer of the program, for one input or for a batch (n, ...)."""
        outputs = (float_reference if self.floating else reference).run(self.network, x)
        return [outputs[end - 1] for end in itertools.accumulate(layer.covers for layer in self.program.layers)]


@contextlib.contextmanager
def _own_errors() -> Iterator[None]:
    """kwsq's errors as the command lines report them."""
    try:
        yield
    except kwsq_errors.UnknownWord as error:
        raise UsageError(f"--input: {error}") from None
    except kwsq_errors.InputError as error:
        raise InputError(str(error)) from None


def load(job: Job) -> Loaded:
    """Core, memories, network and compiler. Raises UsageError, InputError, BuildError."""
    core, memory = load_core(job.core), memories.load(job.memory)
    with _own_errors():
        networks = model.load()
    return Loaded(core, memory, networks, kernel_folder.find(job.kernels, job.source_root).toolchain(job.cc))


def read(name: str) -> Input:
    """A word that is shipped, a sound file or an array, as features. Raises UsageError, InputError."""
    with _own_errors():
        x, remarks = features.load_input(name)
    return Input(name, x, tuple(remarks))


def read_recording(name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(float64 (samples,) in [-1, 1] at RATE, conversions, one line each) of a sound file, or of a word that is shipped."""
    path = Path(name)
    if path.suffix.lower() == ".npy":
        raise InputError(f"{name}: features of one second are no recording; a sound file is wanted")
    with _own_errors():
        if path.suffix.lower() not in SOUND_SUFFIXES and len(path.parts) < 2:
            features.load_input(name)  # names the words when this is none
            path = features.WORDS / f"{name.lower()}.wav"
        samples, remarks = audio.read_recording(path)
    return samples, tuple(remarks)


def extract(samples: np.ndarray) -> np.ndarray:
    """int8 (20, 20, 1) of one second of sound, float64 (WINDOW,): the front end, on the host."""
    return features.extract(samples)


def prepared(job: Job, loaded: Loaded, kernels: str) -> Prepared:
    """Build one kernel set's image (from the cache when nothing has changed). Raises BuildError, also for one that the core cannot execute."""
    floating = kernels == FLOAT_SET
    network, toolchain, core = loaded.networks["float32" if floating else "int8"], loaded.toolchain, loaded.core
    made_with = {"float_abi": floating, "toolchain": toolchain, "opt": job.opt, "extra_flags": job.extra_flags, "cpu": core.name,
                 "source_root": job.source_root}
    implemented = images.implementations(kernels, **made_with)
    packing = images.packing(implemented, job.source_root)
    with _own_errors():
        source = export.source(network, packing)
    path = images.build(kernels, generated={"network.c": source}, **made_with)
    image, folder = Image.load(path), kernel_folder.find(kernels, job.source_root)
    _check_executable(image, kernels, cpus.find(core.name))
    about = {
        "network": f"{network.name} {network.dtype}", "kernels": str(folder), "opt": job.opt,
        "flags": [*images.machine_flags(core.name, floating), f"-{job.opt}", *folder.flags, *job.extra_flags],
        "toolchain": {"path": str(toolchain.path), "version": toolchain.version, "origin": toolchain.origin},
        "image": {"path": str(path), "sha256": image.sha256, "flash_bytes": image.flash_bytes, "ram_bytes": image.ram_bytes,
                  "stack_reserve": image.stack_reserve},
        "kernel_set": {"name": folder.name, "folder": folder.folder, "base": folder.base, "linked": list(folder.linked), "flags": list(folder.flags),
                       "implements": {kernel: owner.name for kernel, owner in implemented.items() if kernel in image.symbols},
                       "compiled": [kernel for kernel, owner in implemented.items() if owner.holds_c and kernel in image.symbols]},
    }
    return Prepared(image, Program.from_manifest(export.manifest(network, packing)), network, core, loaded.memory, about)


def _check_executable(image: Image, kernels: str, cpu: cpus.Cpu) -> None:
    """BuildError when the image holds instructions that the core lacks: assembly is not compiled for a core."""
    records = code.text(image).records
    lacking = np.flatnonzero(records["flags"] & int(cpu.lacks))
    if len(lacking):
        first, flags = records[lacking[0]], int(np.bitwise_or.reduce(records["flags"]))
        function, having = image.function_at(int(first["address"])), cpus.that_have(flags)
        raise BuildError(f"{cpu.name} cannot execute the {kernels} kernels: it lacks {cpu.lacked(flags)}, as "
                         f"{first['text'].decode()!r} in {function.name if function else 'the image'}; {', '.join(having)} ha{'s' if len(having) == 1 else 've'} that; "
                         f"--kernels {' or '.join(ANY_CORE_SETS)} runs on any core")


def run(job: Job, follow: Callable[[Image], Marks] | None = None) -> Outcome:
    """Build, run, check and price every input; then the first on other cores and for other kernel sets, whose failures do not end the run.

    follow(image): what else to notice in the first input's run, for a profile by function.
    """
    loaded = load(job)
    others = [load_core(name) for name in job.other_cores]
    inputs = [read(name) for name in job.inputs]
    ready = prepared(job, loaded, job.kernels)
    heard, first_difference, first = [], None, None
    for entry in inputs:
        inference, difference = _measure(job, ready, entry, follow(ready.image) if follow and first is None else None)
        first = first or inference
        heard.append(Heard(entry.name, inference.profile, _answer(ready.network, inference.outputs[-1])))
        if difference and not first_difference:
            first_difference = f"{entry.name}: {difference}" if len(inputs) > 1 else str(difference)
    cores = [OnCore(job.core, heard[0].profile), *(_on_core(job, loaded, first, inputs[0], core) for core in others)]
    beside = []
    for other in (*INT8_SETS.get(job.core, DSP_SETS), FLOAT_SET):
        if other != job.kernels:
            try:
                beside.append(Beside(other, _measure(job, prepared(job, loaded, other), inputs[0])[0].profile.totals))
            except ThumbcycleError as error:
                beside.append(Beside(other, None, str(error)))
    return Outcome(Result(tuple(heard), tuple(beside), job.mhz, tuple(cores)),
                   (*(remark for entry in inputs for remark in entry.remarks), *measure.stray_reads(ready.program, first.counts)),
                   first_difference, first, ready)


class Judged(NamedTuple):
    """The profile with the reference's verdict, and the first byte that differs ("": none does).

    code_bytes: of the functions that ran, of every layer, of the code between them, of all (each function once).
    """

    profile: Profile
    difference: str
    code_bytes: tuple[int, ...]


def judged(job: Job) -> Judged:
    """The first input through one kernel set on one core, nothing beside it. Raises what `load`, `read`, `prepared` raise, and TargetFault."""
    from emu.functions import Numbering  # what emu.run does not need, it does not import
    from emu.functions.code_size import code_bytes

    ready = prepared(job, load(job), job.kernels)
    inference, difference = _measure(job, ready, read(job.inputs[0]))
    return Judged(inference.profile, str(difference or ""),
                  code_bytes(inference.counts, inference.instructions, ready.image, Numbering(ready.image)))


def kernel_reference(kernel: str, params: Mapping[str, Any], x: np.ndarray, second: Mapping[str, Any] | None = None) -> np.ndarray:
    """What the NumPy reference makes of one kernel's call, int8 or float32 as the kernel is; of a fused one's, one layer after the other."""
    structs = (params,) if second is None else (params, second)
    for part, struct in zip(abi.parts_of(kernel), structs, strict=True):
        x = (float_reference if abi.is_float(part) else reference).run_kernel(part, struct, x).reshape(abi.output_shape(part, struct))
    return x


def _on_core(job: Job, loaded: Loaded, first: Inference, entry: Input, core: Core) -> OnCore:
    """The first core's run priced for another one; where that could not execute it, a run of an image that is built for it."""
    reason = measure.obstacle(first.counts, first.instructions, cpus.find(core.name))
    try:
        if not reason:
            return OnCore(core.name, first.on(core, loaded.memory))
        own = replace(loaded, core=core)
        try:
            ready = prepared(job, own, job.kernels)
        except BuildError:
            there_are = kernel_folder.names(job.source_root)
            ready = prepared(job, own, next(name for name in ANY_CORE_SETS if name in there_are))
        return OnCore(core.name, _measure(job, ready, entry)[0].profile, reason)
    except ThumbcycleError as error:
        return OnCore(core.name, None, reason, str(error))


def _measure(job: Job, ready: Prepared, entry: Input, marks: Marks | None = None) -> tuple[Inference, equivalence.Difference | None]:
    """One run, with the reference's verdict in its profile, and the first difference."""
    x = ready.network.input_array(entry.features)
    inference = measure.infer(ready.image, ready.program, x, ready.core, {**ready.about, "input": entry.name}, limit=job.limit,
                              memory=ready.memory, others=[load_core(name) for name in job.other_cores], marks=marks)
    profile, difference = equivalence.check(inference.profile, inference.outputs, ready.reference(x))
    return replace(inference, profile=profile), difference


def _answer(network: Network, output: np.ndarray) -> Answer:
    return Answer(network.labels, output.ravel().tolist(), softmax(network.output_values(output.ravel())).tolist(), network.trained)


def softmax(values: np.ndarray) -> np.ndarray:
    """float64 (..., n), each row adding up to 1, of values (..., n)."""
    powers = np.exp(np.asarray(values, np.float64) - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class HeardBatch:
    """n inputs: logits (n, labels) as the device left them, their softmax, winners as numbers of labels, and the reference's verdict.

    float_winners: what the float network hears in the same features.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    winners: np.ndarray
    float_winners: np.ndarray
    verdict: equivalence.BatchVerdict


class Listener:
    """The spotter for many inputs: one image, built once, in as many engines as threads ask for."""

    def __init__(self, job: Job) -> None:
        """Raises what `load` and `prepared` raise."""
        loaded = load(job)
        ready = self._ready = prepared(job, loaded, job.kernels)
        self._float = loaded.networks["float32"]
        self._engines = Engines(ready.image, ready.program, ready.core, ready.reference, limit=job.limit, memory=ready.memory)
        self.labels, self.trained, self.about = ready.network.labels, ready.network.trained, ready.about

    def hear(self, batch: np.ndarray, names: Sequence[str]) -> HeardBatch:
        """Features int8 (n, 20, 20, 1) through the machine code, in the calling thread. Raises TargetFault, with the input's name."""
        network = self._ready.network
        judged = self._engines.judge(network.input_array(batch), names)
        logits = judged.outputs.reshape(len(batch), -1)
        floats = float_reference.run(self._float, self._float.input_array(batch))[-1].reshape(len(batch), -1)
        return HeardBatch(logits, softmax(network.output_values(logits)), logits.argmax(axis=1), floats.argmax(axis=1), judged.verdict)

    @property
    def inferences(self) -> int:
        return self._engines.runs

    def profile(self) -> Profile | None:
        """What all inferences cost together; None before the first."""
        return self._engines.profile(self.about)
