"""Many inferences of one image: an engine a thread, every layer of every input checked in batches, accounted for once at the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from emu import measure
from emu.build.elf import Image
from emu.build.program import Program
from emu.check import equivalence
from emu.errors import TargetFault
from emu.machine import Machine
from emu.probe import Counts
from emu.profile import Profile, profile
from emu.timing.core import Core
from emu.timing.memory import Memory

Task, Done = TypeVar("Task"), TypeVar("Done")
Reference = Callable[[np.ndarray], Sequence[np.ndarray]]  # inputs (n, ...) -> one array (n, ...) a layer


@dataclass(frozen=True)
class Judged:
    """A batch: the last layer's outputs (n, ...) as the image left them in memory, and what the reference says of all layers."""

    outputs: np.ndarray
    verdict: equivalence.BatchVerdict


class Engines:
    """One image in as many machines as threads ask for at once; a machine goes from input to input, and its counts go on.

    Outputs are compared with `reference` batch by batch and dropped, so memory does not grow with the number of inputs.
    """

    def __init__(self, image: Image, program: Program, core: Core, reference: Reference, *, limit: int | None = None,
                 memory: Memory | None = None) -> None:
        self._image, self._program, self._core, self._memory = image, program, core, memory
        self._reference, self._limit = reference, limit
        self._lock = threading.Lock()
        self._machines: list[Machine] = []
        self._idle: list[Machine] = []
        self.runs = 0  # inferences that came to their end

    def judge(self, inputs: np.ndarray, names: Sequence[str]) -> Judged:
        """Run a batch (n, *the program's input shape) in the calling thread. Raises TargetFault, with the input's name, when one faults."""
        layers = self._program.layers
        outputs = [np.empty((len(inputs), *layer.output.shape), layer.output.dtype) for layer in layers]
        with self._borrowed() as machine:
            for number, x in enumerate(inputs):
                measure.write_input(machine, self._program, x)
                try:
                    machine.reset_and_run()
                except TargetFault as fault:
                    raise TargetFault(f"{names[number]}: {fault}") from None
                for kept, output in zip(outputs, measure.read_outputs(machine, self._program), strict=True):
                    kept[number] = output
        with self._lock:
            self.runs += len(inputs)
        return Judged(outputs[-1], equivalence.check_batch([layer.name for layer in layers], outputs, self._reference(inputs)))

    def profile(self, about: Mapping[str, object]) -> Profile | None:
        """What all runs cost together; None before the first.

        Raises TargetFault when a layer did not run once an inference, or wrote another's tensor.
        """
        if not self.runs:
            return None
        counts = _together([machine.counts() for machine in self._machines])
        measure.check_layers(self._image, self._program, counts, self.runs)
        measure.check_writes(self._program, counts)
        return profile(counts, self._program, self._machines[0].instructions, self._core, about, self._memory)

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Machine]:
        with self._lock:
            if not self._idle:
                self._idle.append(measure.prepare(self._image, self._program, self._core, limit=self._limit, memory=self._memory))
                self._machines.append(self._idle[-1])
            machine = self._idle.pop()
        yield machine
        with self._lock:
            self._idle.append(machine)


def _together(counts: Sequence[Counts]) -> Counts:
    """The counts of several machines with one image, as if one had made all runs."""
    return replace(
        counts[0], streams=[stream for each in counts for stream in each.streams], sites=[site for each in counts for site in each.sites],
        traffic=sum(each.traffic for each in counts), calls=[sum(calls) for calls in zip(*(each.calls for each in counts), strict=True)],
        stack=[max(stack) for stack in zip(*(each.stack for each in counts), strict=True)], peak=max(each.peak for each in counts))


def spread(tasks: Sequence[Task], work: Callable[[Task, threading.Event], Done], threads: int) -> tuple[list[Done], bool]:
    """(`work(task, stop)` of every task, in their order, made in `threads` threads; whether Ctrl-C cut it short).

    `work` should look at `stop` now and then, and return what it has when it is set: it is after Ctrl-C, and when a task fails;
    the first failure, in the order of tasks, is raised.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, task, stop) for task in tasks]
        try:
            return [future.result() for future in futures], False
        except KeyboardInterrupt:
            stop.set()
            return [future.result() for future in futures], True
        finally:
            stop.set()
