"""A run to look at: the keyword spotter with one kernel set, or a firmware. What it counted, and what names and prices that."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emu.build.elf import Image
from emu.build.program import Layer
from emu.errors import NotBitExact, TargetFault, ThumbcycleError
from emu.functions import Numbering
from emu.isa.instruction import Instruction
from emu.machine.console import Console, on_stderr
from emu.machine.iteration import Iteration, RecordedError, Ways
from emu.probe import Counts
from emu.timing import memory as memories
from emu.timing import pricing
from emu.timing.core import Core
from emu.timing.core import load as load_core
from emu.timing.memory import Memory
from emu.timing.pricing import Prices

if TYPE_CHECKING:
    from emu import firmware, kws
    from emu.machine.system import System
    from emu.measure import Inference


@dataclass(frozen=True)
class Ran:
    """One run. title: what it was, in words. layers: of the network, numbered from 1 as in `counts` (a firmware has none). about: what made it, for JSON.

    problem: what was wrong with the run (an output that is not the reference's, a fault); it is to be raised when all is shown.
    """

    title: str
    image: Image
    counts: Counts
    instructions: Mapping[int, Instruction]
    core: Core
    memory: Memory
    prices: Prices
    numbering: Numbering
    about: Mapping[str, object]
    layers: tuple[Layer, ...] = ()
    remarks: tuple[str, ...] = ()
    problem: ThumbcycleError | None = None


def of(job: kws.Job | firmware.Job, *, touches: bool = False) -> Ran:
    """The run of that job."""
    return (of_firmware if _is_firmware(job) else of_kws)(job, touches=touches)


def record(job: kws.Job | firmware.Job, recorder: Iteration | Ways) -> None:
    """Run it once more, to its end or until all is recorded; what a firmware prints is not heard. Raises what `of` does, but for the program's faults."""
    with contextlib.suppress(RecordedError, TargetFault):
        (_record_firmware if _is_firmware(job) else _record_kws)(job, recorder)
    recorder.finish()


def _is_firmware(job: kws.Job | firmware.Job) -> bool:
    from emu import firmware

    return isinstance(job, firmware.Job)


def _record_kws(job: kws.Job, recorder: Iteration | Ways) -> None:
    from emu import kws, measure

    ready = kws.prepared(job, kws.load(job), job.kernels)
    machine = measure.prepare(ready.image, ready.program, ready.core, limit=job.limit, memory=ready.memory, marks=Numbering(ready.image).marks())
    measure.write_input(machine, ready.program, ready.network.input_array(kws.read(job.inputs[0]).features))
    recorder.attach(machine)
    machine.reset_and_run()


def _record_firmware(job: firmware.Job, recorder: Iteration | Ways) -> None:
    from emu import firmware

    firmware.run(replace(job, console=lambda quota: Console(quota, io.BytesIO(), io.BytesIO())), lambda image: Numbering(image).marks(), recorder.attach)


def of_kws(job: kws.Job, *, touches: bool = False) -> Ran:
    """Build, run and check the first input. touches: count accesses by instruction, too. Raises what kws and measure do."""
    from emu import kws, measure
    from emu.check import equivalence

    ready = kws.prepared(job, kws.load(job), job.kernels)
    entry = kws.read(job.inputs[0])
    about = {**ready.about, "input": entry.name}
    run = measure.infer(ready.image, ready.program, x := ready.network.input_array(entry.features), ready.core, about, limit=job.limit,
                        memory=ready.memory, marks=Numbering(ready.image).marks(touches=touches))
    _, difference = equivalence.check(run.profile, run.outputs, ready.reference(x))
    return replace(of_inference(ready, run), remarks=(*entry.remarks, *measure.stray_reads(ready.program, run.counts)),
                   problem=NotBitExact(str(difference)) if difference else None)


def of_inference(ready: kws.Prepared, run: Inference) -> Ran:
    """One that is done."""
    about = run.profile.about
    prices = pricing.prices(run.counts, run.instructions, ready.core, ready.memory)
    return Ran(f"{about['network']}, {about['kernels']} kernels, input {about['input']}", ready.image, run.counts, run.instructions, ready.core,
               ready.memory, prices, Numbering(ready.image), about, ready.program.layers)


def of_firmware(job: firmware.Job, *, touches: bool = False) -> Ran:
    """Run it to its end; what it prints goes to standard error. Raises UsageError and InputError."""
    from emu import firmware

    return of_system(job, *firmware.run(replace(job, console=on_stderr), lambda image: Numbering(image).marks(touches=touches)))


def of_system(job: firmware.Job, result: firmware.FirmwareResult, system: System) -> Ran:
    """A run that has ended."""
    counts, core, memory = system.counts(), load_core(job.core), memories.load(job.memory)
    prices, ending = pricing.prices(counts, system.instructions, core, memory), result.ending
    return Ran(f"{job.path}, board {job.board}", system.image, counts, system.instructions, core, memory, prices, Numbering(system.image),
               result.about, (), (*result.notes, *([] if ending.fault else [ending.text])), ending.fault)
