"""The keyword spotter in the laboratory: the one place where kwsq and emu meet, for the command lines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emu import measure
from emu.build import compile as images
from emu.build import toolchain as toolchains
from emu.build.elf import Image
from emu.build.program import Program
from emu.check import equivalence
from emu.engines import Engines
from emu.errors import InputError, ThumbcycleError, UsageError
from emu.profile import Profile
from emu.report.result import Answer, Beside, Heard, Result
from emu.timing.core import Core
from emu.timing.core import load as load_core
from kwsq import audio, export, features, float_reference, model, reference
from kwsq import errors as kwsq_errors
from kwsq.layers import Network

INT8_SETS = ("thumb2", "c")  # compared with each other, and with float
FLOAT_SET = "float"
RATE, WINDOW = audio.RATE, audio.SAMPLES  # of sound: Hz, and samples that the front end takes
SOUND_SUFFIXES = audio.SUFFIXES


@dataclass(frozen=True)
class Job:
    """What to run: names as the command line takes them. limit: instructions of one inference."""

    kernels: str = "thumb2"
    inputs: tuple[str, ...] = ("yes",)
    core: str = "cortex-m4"
    opt: str = "O3"
    cc: str | None = None
    mhz: float | None = None
    limit: int = 100_000_000


@dataclass(frozen=True)
class Outcome:
    """The result to show, remarks on the inputs (conversions), and the first byte that differs from the reference, if any."""

    result: Result
    remarks: tuple[str, ...]
    difference: str | None


@dataclass(frozen=True)
class Loaded:
    """What a job needs that no kernel set changes."""

    core: Core
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
    """One kernel set, built: an image, what it holds, and what made it."""

    image: Image
    program: Program
    network: Network
    core: Core
    about: Mapping[str, object]

    @property
    def floating(self) -> bool:
        return self.network.dtype == "float32"

    def reference(self, x: np.ndarray) -> list[np.ndarray]:
        """Every layer's output for one input, or for a batch (n, ...)."""
        return (float_reference if self.floating else reference).run(self.network, x)


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
    """Core, network and compiler. Raises UsageError, InputError, BuildError."""
    core = load_core(job.core)
    with _own_errors():
        networks = model.load()
    return Loaded(core, networks, toolchains.find(job.cc))


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
    """Build one kernel set's image (from the cache when nothing has changed)."""
    floating = kernels == FLOAT_SET
    network, toolchain = loaded.networks["float32" if floating else "int8"], loaded.toolchain
    path = images.build(kernels, generated={"network.c": export.source(network)}, float_abi=floating, toolchain=toolchain,
                        opt=job.opt, cpu=loaded.core.name)
    image = Image.load(path)
    about = {
        "network": f"{network.name} {network.dtype}", "kernels": kernels, "opt": job.opt,
        "toolchain": {"path": str(toolchain.path), "version": toolchain.version, "origin": toolchain.origin},
        "image": {"path": str(path), "sha256": image.sha256, "flash_bytes": image.flash_bytes, "ram_bytes": image.ram_bytes,
                  "stack_reserve": image.stack_reserve},
    }
    return Prepared(image, Program.from_manifest(export.manifest(network)), network, loaded.core, about)


def run(job: Job) -> Outcome:
    """Build, run, check and price every input; then the first for the other kernel sets, whose failures do not end the run."""
    loaded = load(job)
    inputs = [read(name) for name in job.inputs]
    ready = prepared(job, loaded, job.kernels)
    heard, first_difference = [], None
    for entry in inputs:
        outputs, profile, difference = _measure(job, ready, entry)
        heard.append(Heard(entry.name, profile, _answer(ready.network, outputs[-1])))
        if difference and not first_difference:
            first_difference = f"{entry.name}: {difference}" if len(inputs) > 1 else str(difference)
    beside = []
    for other in (*INT8_SETS, FLOAT_SET):
        if other != job.kernels:
            try:
                beside.append(Beside(other, _measure(job, prepared(job, loaded, other), inputs[0])[1].totals))
            except ThumbcycleError as error:
                beside.append(Beside(other, None, str(error)))
    return Outcome(Result(tuple(heard), tuple(beside), job.mhz), tuple(remark for entry in inputs for remark in entry.remarks), first_difference)


def _measure(job: Job, ready: Prepared, entry: Input) -> tuple[tuple[np.ndarray, ...], Profile, equivalence.Difference | None]:
    """Every layer's output, the profile with the reference's verdict, and the first difference."""
    x = ready.network.input_array(entry.features)
    inference = measure.infer(ready.image, ready.program, x, ready.core, {**ready.about, "input": entry.name}, limit=job.limit)
    profile, difference = equivalence.check(inference.profile, inference.outputs, ready.reference(x))
    return inference.outputs, profile, difference


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
        self._engines = Engines(ready.image, ready.program, ready.core, ready.reference, limit=job.limit)
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
