"""The keyword spotter in the laboratory: the one place where kwsq and emu meet, for the command lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emu import measure
from emu.build import compile as images
from emu.build import toolchain as toolchains
from emu.build.elf import Image
from emu.build.program import Program
from emu.check import equivalence
from emu.errors import InputError, ThumbcycleError, UsageError
from emu.profile import Profile
from emu.report.result import Answer, Beside, Result
from emu.timing.core import Core
from emu.timing.core import load as load_core
from kwsq import errors as kwsq_errors
from kwsq import export, features, float_reference, model, reference
from kwsq.layers import Network

INT8_SETS = ("thumb2", "c")  # compared with each other, and with float
FLOAT_SET = "float"


@dataclass(frozen=True)
class Job:
    """What to run: names as the command line takes them."""

    kernels: str = "thumb2"
    input: str = "yes"
    core: str = "cortex-m4"
    opt: str = "O3"
    cc: str | None = None
    mhz: float | None = None
    limit: int = 100_000_000


@dataclass(frozen=True)
class Outcome:
    """The result to show, remarks on the input (conversions), and the first byte that differs from the reference, if any."""

    result: Result
    remarks: tuple[str, ...]
    difference: equivalence.Difference | None


@dataclass(frozen=True)
class Loaded:
    """What a job needs that no kernel set changes."""

    core: Core
    networks: dict[str, Network]
    features: np.ndarray  # int8 (20, 20, 1)
    remarks: tuple[str, ...]  # conversions of the input, one line each
    toolchain: toolchains.Toolchain


@dataclass(frozen=True)
class Prepared:
    """One kernel set, built: an image, what it holds, and the input as its network takes it."""

    image: Image
    program: Program
    network: Network
    x: np.ndarray
    core: Core


def load(job: Job) -> Loaded:
    """Core, network, input and compiler. Raises UsageError, InputError, BuildError."""
    core = load_core(job.core)
    try:
        x, remarks = features.load_input(job.input)
        networks = model.load()
    except kwsq_errors.UnknownWord as error:
        raise UsageError(f"--input: {error}") from None
    except kwsq_errors.InputError as error:
        raise InputError(str(error)) from None
    return Loaded(core, networks, x, tuple(remarks), toolchains.find(job.cc))


def prepared(job: Job, loaded: Loaded, kernels: str) -> Prepared:
    """Build one kernel set's image (from the cache when nothing has changed)."""
    floating = kernels == FLOAT_SET
    network = loaded.networks["float32" if floating else "int8"]
    path = images.build(kernels, generated={"network.c": export.source(network)}, float_abi=floating, toolchain=loaded.toolchain,
                        opt=job.opt, cpu=loaded.core.name)
    return Prepared(Image.load(path), Program.from_manifest(export.manifest(network)), network, network.input_array(loaded.features),
                    loaded.core)


def run(job: Job) -> Outcome:
    """Build, run, check and price; then the same for the other kernel sets, whose failures do not end the run."""
    loaded = load(job)
    outputs, profile, difference = _measure(job, loaded, job.kernels)
    beside = []
    for other in (*INT8_SETS, FLOAT_SET):
        if other != job.kernels:
            try:
                beside.append(Beside(other, _measure(job, loaded, other)[1].totals))
            except ThumbcycleError as error:
                beside.append(Beside(other, None, str(error)))
    network = loaded.networks["float32" if job.kernels == FLOAT_SET else "int8"]
    answer = Answer(network.labels, outputs[-1].ravel().tolist(), network.trained)
    return Outcome(Result(profile, answer, tuple(beside), job.mhz), loaded.remarks, difference)


def _measure(job: Job, loaded: Loaded, kernels: str) -> tuple[tuple[np.ndarray, ...], Profile, equivalence.Difference | None]:
    """One kernel set: every layer's output, the profile with the reference's verdict, and the first difference."""
    ready = prepared(job, loaded, kernels)
    image, toolchain = ready.image, loaded.toolchain
    about = {
        "network": f"{ready.network.name} {ready.network.dtype}", "kernels": kernels, "input": job.input, "opt": job.opt,
        "toolchain": {"path": str(toolchain.path), "version": toolchain.version, "origin": toolchain.origin},
        "image": {"path": str(image.path), "sha256": image.sha256, "flash_bytes": image.flash_bytes, "ram_bytes": image.ram_bytes,
                  "stack_reserve": image.stack_reserve},
    }
    inference = measure.infer(image, ready.program, ready.x, loaded.core, about, limit=job.limit)
    expected = (float_reference if kernels == FLOAT_SET else reference).run(ready.network, ready.x)
    profile, difference = equivalence.check(inference.profile, inference.outputs, expected)
    return inference.outputs, profile, difference
