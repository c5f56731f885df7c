"""A schedule in a real image: its machine code put in place of the region's, run, and held against the reference.

The network runs on the input that was measured; the kernels that hold the region are called with structs and inputs at random, and
with the network's own structs at the ends of every range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from armsrc.kernelset import KernelSet
from emu import kws
from emu.build import compile as images
from emu.build.elf import Image
from emu.build.toolchain import Toolchain
from emu.errors import TargetFault
from emu.experiment.search import cases
from emu.experiment.search import subject as subjects
from emu.experiment.search.assemble import assembled
from emu.experiment.search.cost import Schedule
from emu.experiment.search.marks import Place
from emu.experiment.search.renaming import plain
from emu.experiment.search.subject import Measured, Subject
from emu.isa.instruction import Instruction
from emu.machine.call import call


@dataclass(frozen=True)
class Verdict:
    """calls: how many structs were tried. wrong: what is not as it should be, in words; "" when nothing is."""

    measured: Measured | None
    calls: int
    wrong: str


class Verifier:
    """Verifies schedules of one subject."""

    def __init__(self, subject: Subject, job: kws.Job, calls: int, seed: int) -> None:
        """calls: structs at random, of each kernel that the region is in."""
        self._subject, self._job = subject, job
        ready = subject.measured.ready
        loaded = kws.load(subject.sources.job(job))
        self._toolchain, self._machine = loaded.toolchain, images.machine_flags(job.core, False)
        self._library, places = subjects.noted(subject.sources, lambda root: self._built(subject.sources.job(job, root)))
        self._library_places = places[subject.region.name]
        self._packing = _packing(subject.sources.job(job), self._toolchain)
        kernels = {ready.program.layers[layer - 1].kernel for layer in subject.cost.layers if layer}
        self._cases = [case for kernel in sorted(kernels) for case in cases.cases(kernel, ready.network, self._packing, calls, seed)]
        self._expected = [case.reference() for case in self._cases]

    def _built(self, job: kws.Job) -> Image:
        """All kernels of the set, without a program."""
        return Image.load(images.build(job.kernels, generated={}, float_abi=False, toolchain=self._toolchain, script="library", opt=job.opt,
                                       cpu=job.core, source_root=job.source_root))

    def check(self, schedule: Schedule) -> Verdict:
        """Runs the schedule. Whatever is wrong is said in the verdict."""
        code = self._codes(schedule)
        if code is None:
            return Verdict(None, 0, "the assembler has no such instructions")
        try:
            ready = self._subject.measured.ready
            image = patched(ready.image, self._subject.places, code)
            measured = subjects.measure_on(replace(ready, image=image), self._subject.measured.x, self._job)
            wrong = measured.difference or self._called(patched(self._library, self._library_places, code))
        except TargetFault as fault:
            return Verdict(None, len(self._cases), str(fault))
        return Verdict(measured, len(self._cases), wrong)

    def _called(self, image: Image) -> str:
        """What is wrong with the first kernel call that is wrong."""
        for case, expected in zip(self._cases, self._expected, strict=True):
            done = call(image, case.kernel, case.structs[0], case.x, second=case.second, kernel_set=self._packing, core=self._job.core)
            if (wrong := np.argwhere(done.output != expected.reshape(done.output.shape))).size:
                return f"{case}: element {tuple(wrong[0].tolist())} is not the reference's"
        return ""

    def _codes(self, schedule: Schedule) -> dict[int, bytes] | None:
        """By number of an expansion its machine code; None when an instruction with other registers does not exist."""
        subject = self._subject
        new = {}
        for number, units in enumerate(units for _, units in subject.expansions):
            for unit in schedule.order:
                made = subject.cost.instructions(number, unit, 0, schedule.places)
                if [one.text for one in made] != [one.text for one in units[unit].instructions]:
                    new[number, unit] = made
        bytes_of = dict(zip(new, encoded(list(new.values()), self._machine, self._toolchain), strict=True))
        if None in bytes_of.values():
            return None
        return {number: b"".join(bytes_of.get((at, unit)) or self._original(at, unit) for unit in schedule.order)
                for at, number in enumerate(subject.alike)}

    def _original(self, expansion: int, unit: int) -> bytes:
        moved = self._subject.expansions[expansion][1][unit]
        start = moved.instructions[0].address
        return self._subject.measured.ready.image.code_at(start, start + moved.size)


def _packing(job: kws.Job, toolchain: Toolchain) -> KernelSet:
    implemented = images.implementations(job.kernels, float_abi=False, toolchain=toolchain, opt=job.opt, cpu=job.core, source_root=job.source_root)
    return images.packing(implemented, job.source_root)


def encoded(units: Sequence[Sequence[Instruction]], machine: Sequence[str], toolchain: Toolchain) -> list[bytes | None]:
    """Machine code of instructions (one a unit), in the width that they say; None for what does not exist, or does something else."""
    texts = ["\n".join(plain(one.text) for one in unit) for unit in units]
    wanted = [sum(one.size for one in unit) for unit in units]
    found: list[bytes | None] = [None] * len(units)
    for suffix in ("", ".w", ".n"):
        left = [at for at, code in enumerate(found) if code is None]
        for at, code in zip(left, assembled([_suffixed(texts[at], suffix) for at in left], machine, toolchain) if left else (), strict=True):
            if code is not None and len(code) == wanted[at] and _same(code, units[at]):
                found[at] = code
    return found


def _suffixed(text: str, suffix: str) -> str:
    head, space, rest = text.partition(" ")
    return head.removesuffix(".w") + suffix + space + rest if suffix else text


def _same(code: bytes, unit: Sequence[Instruction]) -> bool:
    """Whether that is what the instructions say: operation and registers, as they are decoded again."""
    from emu.isa.decode import decode

    again = [Instruction.from_record(row.item()) for row in decode(code, unit[0].address)]
    return len(again) == len(unit) and all(
        (one.kind, one.reads, one.writes, one.base, one.index, one.offset, plain(one.text)) ==
        (two.kind, two.reads, two.writes, two.base, two.index, two.offset, plain(two.text)) for one, two in zip(again, unit, strict=True))


def patched(image: Image, places: Sequence[Place | None], code: Mapping[int, bytes]) -> Image:
    """The image with other machine code where the region stands, of the same size."""
    segments = list(image.segments)
    for number, data in code.items():
        place = places[number]
        if place is None:
            continue
        for at, segment in enumerate(segments):
            offset = place.start - segment.run
            if segment.data and 0 <= offset < len(segment.data):
                segments[at] = replace(segment, data=segment.data[:offset] + data + segment.data[offset + len(data):])
    digest = sha256(image.sha256.encode() + b"".join(segment.data for segment in segments)).hexdigest()
    return replace(image, segments=tuple(segments), sha256=digest)
