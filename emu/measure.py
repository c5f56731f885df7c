"""One inference: an image, an input, a core -> outputs of every layer, and a profile."""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emu.build.elf import Image
from emu.build.program import Program, Tensor
from emu.errors import BuildError, InputError, TargetFault
from emu.isa.cpu import Cpu
from emu.isa.instruction import Instruction
from emu.machine import Machine, writes
from emu.machine.code import Marks
from emu.machine.faults import Object
from emu.probe import MISALIGNED, OTHER, Counts
from emu.profile import Profile, profile
from emu.timing import predictor, pricing
from emu.timing.core import Core
from emu.timing.memory import Memory


@dataclass(frozen=True)
class Inference:
    """`outputs`: one array a layer, as the image left them in memory. `counts` and `instructions` are what other cores are priced from."""

    outputs: tuple[np.ndarray, ...]
    profile: Profile
    counts: Counts
    instructions: Mapping[int, Instruction]

    def on(self, core: Core, memory: Memory | None = None) -> Profile:
        """The profile as another core takes the same run; nothing is run again."""
        return self.profile.on(core.name, pricing.price(self.counts, self.instructions, core, memory))


def infer(image: Image, program: Program, x: np.ndarray, core: Core, about: Mapping[str, object] | None = None, *,
          limit: int | None = None, memory: Memory | None = None, others: Sequence[Core] = (), marks: Marks | None = None) -> Inference:
    """Run the image's network once on `x` (the program's input shape and dtype) and account for it; `others` will be priced from it, too.

    marks: functions whose calls are followed, for a profile by function of the same counts.

    Raises InputError when `x` or the image does not fit the program, TargetFault when the program faults or does not end.
    """
    def run(marks: Marks | None) -> Machine:
        machine = prepare(image, program, core, limit=limit, memory=memory, others=others, marks=marks)
        write_input(machine, program, x)
        machine.reset_and_run()
        return machine

    machine = run(marks)
    counts = machine.counts()
    check_layers(image, program, counts)
    check_writes(program, counts, lambda: run(Marks(touches=True)))
    return Inference(read_outputs(machine, program), profile(counts, program, machine.instructions, core, about or {}, memory), counts,
                     machine.instructions)


def obstacle(counts: Counts, instructions: Mapping[int, Instruction], cpu: Cpu) -> str:
    """Why that core could not execute what was counted, in words; "" when it could."""
    lacks = int(cpu.lacks)
    lacking = [instruction for instruction in _executed(counts, instructions) if instruction.flags & lacks]
    if lacking:
        lacked = cpu.lacked(functools.reduce(operator.or_, (instruction.flags for instruction in lacking)))
        return f"{cpu.name} lacks {lacked}: {lacking[0].text!r} at 0x{lacking[0].address:08x}"
    for site in counts.sites:
        if site.kind == MISALIGNED and not cpu.unaligned:
            return f"{cpu.name} faults at unaligned addresses: {instructions[site.pc].text!r} at 0x{site.pc:08x}"
    return ""


def _executed(counts: Counts, instructions: Mapping[int, Instruction]) -> Iterator[Instruction]:
    """Every instruction of every stream, by address, each once."""
    seen: set[int] = set()
    for start, end in sorted({(stream.start, stream.end) for stream in counts.streams}):
        at = start
        while at <= end:
            instruction = instructions[at]
            if at not in seen:
                seen.add(at)
                yield instruction
            at += instruction.size


def prepare(image: Image, program: Program, core: Core, *, limit: int | None = None, memory: Memory | None = None,
            counting: bool = True, others: Sequence[Core] = (), marks: Marks | None = None) -> Machine:
    """A machine with the image in flash; the program's kernels begin its layers. `memory`'s caches and the cores' predictors follow its runs."""
    options = {} if limit is None else {"limit": limit}
    options |= {"followers": (*(memory.followers if memory else ()), *predictor.followers(core, *others))}
    return Machine(image, core.name, kernels=sorted({layer.kernel for layer in program.layers}), layers=len(program.layers),
                   layer_names=[layer.name for layer in program.layers], counting=counting, marks=marks, objects=_scratch(image, program), **options)


def _scratch(image: Image, program: Program) -> list[Object]:
    """The scratch that all layers share, cut where some layer's part of it ends; they have its name."""
    symbol = image.symbols.get(_scratch_symbol(program))
    borders = sorted({0, *_scratch_parts(program), symbol.size}) if symbol else []
    return [Object(symbol.name, symbol.address + start, end - start) for start, end in itertools.pairwise(borders)]


def _scratch_symbol(program: Program) -> str:
    return next((layer.tensors["scratch"] for layer in program.layers if "scratch" in layer.tensors), "")


def _scratch_parts(program: Program) -> list[int]:
    """Bytes at which parts begin, the first aside."""
    return sorted({layer.scratch_bytes for layer in program.layers} - {0})


def write_input(machine: Machine, program: Program, x: np.ndarray) -> None:
    """Put `x` where the program reads its input."""
    if x.shape != program.input.shape or x.dtype != program.input.dtype:
        raise InputError(f"the network's input is {program.input.dtype} {program.input.shape}, not {x.dtype} {x.shape}")
    machine.write(_address(machine.image, program.input), np.ascontiguousarray(x).tobytes())


def read_outputs(machine: Machine, program: Program) -> tuple[np.ndarray, ...]:
    """Every layer's output, in its shape."""
    outputs = []
    for layer in program.layers:
        raw = machine.read(_address(machine.image, layer.output), layer.output.nbytes)
        outputs.append(np.frombuffer(raw, layer.output.dtype).reshape(layer.output.shape))
    return tuple(outputs)


def _address(image: Image, tensor: Tensor) -> int:
    if tensor.symbol not in image.symbols:
        raise InputError(f"{image.path}: no symbol {tensor.symbol}")
    return image.symbols[tensor.symbol].address


def check_writes(program: Program, counts: Counts, again: Callable[[], Machine] | None = None) -> None:
    """A layer may write its output, its part of the scratch, stack and variables of its own. Raises TargetFault for another tensor, for
    scratch behind its part, and for no object at all.

    again: the same run, with what instructions touch counted, so that the fault can name one.
    """
    tensors = {program.input.symbol, *(layer.output.symbol for layer in program.layers)}
    symbol = _scratch_symbol(program)
    scratch = [number for number, name in enumerate(counts.objects) if name == symbol]  # its parts, in their order
    begins = [0, *_scratch_parts(program)]
    for number, layer in enumerate(program.layers, 1):
        behind = dict.fromkeys(scratch[bisect.bisect_left(begins, layer.scratch_bytes):], layer.scratch_bytes)
        writes.check(f"layer {layer.name} ({layer.kernel})", counts.objects, counts.traffic[number], tensors - {layer.output.symbol}, behind,
                     lambda object, layer=number: writes.by_whom(again(), layer, object) if again else "")


def stray_reads(program: Program, counts: Counts) -> list[str]:
    """A line for every layer and object that it read, but should not: another layer's tensor, or what belongs to no object at all."""
    tensors = {symbol for layer in program.layers for symbol in layer.tensors.values()}
    found = []
    for layer, accesses in zip(program.layers, counts.traffic[1:], strict=True):
        foreign = {counts.objects[OTHER], *tensors} - set(layer.tensors.values())
        reads = Counter()
        for name, (read, _) in zip(counts.objects, accesses, strict=True):
            reads[name] += int(read.sum()) * (name in foreign)
        for name, times in (+reads).items():
            whose = "what is no object's" if name == counts.objects[OTHER] else f"{name}, which is none of its tensors"
            found.append(f"layer {layer.name} ({layer.kernel}) read {whose}: {times:,} time{'s' * (times > 1)}")
    return found


def check_layers(image: Image, program: Program, counts: Counts, runs: int = 1) -> None:
    """Rows are only true when the layers ran in the program's order, once in each of `runs` inferences. Raises TargetFault, and
    BuildError for an image without the function of a kernel, by which its layers are known."""
    for layer, entry, calls in zip(program.layers, counts.entries[1:], counts.calls[1:], strict=True):
        expected = image.symbols.get(layer.kernel)
        if expected is None:
            raise BuildError(f"{image.path}: no function {layer.kernel}, so layer {layer.name} cannot be told from others: "
                             "the compiler may not optimize across files")
        if entry != expected.address:
            ran = image.function_at(entry) if entry else None
            raise TargetFault(f"layer {layer.name} should be {layer.kernel}, but {ran.name if ran else 'nothing'} ran in its place")
        if calls != runs:
            raise TargetFault(f"layer {layer.name} ran {calls} times in {runs} inference{'s' * (runs > 1)}: the image calls more kernels than the network has layers")
