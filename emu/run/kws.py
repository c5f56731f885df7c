"""The main job: a spoken word through the keyword spotter. Ties the network's rooms to the laboratory's."""

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


def run(job: Job) -> Outcome:
    """Build, run, check and price; then the same for the other kernel sets, whose failures do not end the run."""
    core = load_core(job.core)
    try:
        features_int8, remarks = features.load_input(job.input)
        networks = model.load()
    except kwsq_errors.UnknownWord as error:
        raise UsageError(f"--input: {error}") from None
    except kwsq_errors.InputError as error:
        raise InputError(str(error)) from None
    toolchain = toolchains.find(job.cc)

    def measured(kernels: str) -> tuple[measure.Inference, Network, equivalence.Difference | None]:
        return _measure(job, kernels, core, toolchain, networks, features_int8)

    inference, network, difference = measured(job.kernels)
    beside = []
    for other in (*INT8_SETS, FLOAT_SET):
        if other != job.kernels:
            try:
                beside.append(Beside(other, measured(other)[0].profile.totals))
            except ThumbcycleError as error:
                beside.append(Beside(other, None, str(error)))
    answer = Answer(network.labels, inference.outputs[-1].ravel().tolist(), network.trained)
    return Outcome(Result(inference.profile, answer, tuple(beside), job.mhz), tuple(remarks), difference)


def _measure(job: Job, kernels: str, core: Core, toolchain: toolchains.Toolchain, networks: dict[str, Network], x: np.ndarray,
             ) -> tuple[measure.Inference, Network, equivalence.Difference | None]:
    """One kernel set: image, run, profile with the reference's verdict."""
    floating = kernels == FLOAT_SET
    network = networks["float32" if floating else "int8"]
    x = network.input_array(x)
    path = images.build(kernels, generated={"network.c": export.source(network)}, float_abi=floating, toolchain=toolchain, opt=job.opt,
                        cpu=core.name)
    image, program = Image.load(path), Program.from_manifest(export.manifest(network))
    about = {
        "network": f"{network.name} {network.dtype}", "kernels": kernels, "input": job.input, "opt": job.opt,
        "toolchain": {"path": str(toolchain.path), "version": toolchain.version, "origin": toolchain.origin},
        "image": {"path": str(path), "sha256": image.sha256, "flash_bytes": image.flash_bytes, "ram_bytes": image.ram_bytes,
                  "stack_reserve": image.stack_reserve},
    }
    inference = measure.infer(image, program, x, core, about, limit=job.limit)
    expected = (float_reference if floating else reference).run(network, x)
    profile, difference = equivalence.check(inference.profile, inference.outputs, expected)
    return measure.Inference(inference.outputs, profile), network, difference
