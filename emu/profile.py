"""`Profile`: what one run cost, layer by layer. The only thing that reports read.

The rows (the layers, and `outside` for the code between them) add up to the whole run, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from emu.build.program import Layer, Program
from emu.isa.instruction import Instruction
from emu.probe import Counts
from emu.timing import memory as memories
from emu.timing import pricing
from emu.timing.core import Core
from emu.timing.memory import Memory

PARTS = ("input", "weights", "bias", "requantization", "parameters", "output", "scratch", "stack", "literals", "other")
_SIZES = np.array([1, 2, 4])


@dataclass(frozen=True)
class Traffic:
    """Accesses of one part of memory, one a word of LDM and STM, and the bytes that they moved."""

    reads: int = 0
    writes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.reads + other.reads, self.writes + other.writes, self.bytes_read + other.bytes_read,
                       self.bytes_written + other.bytes_written)


@dataclass(frozen=True)
class Row:
    """One layer, the code between layers, or a total. Sizes in bytes, cycles as modelled for the profile's core.

    bit_exact: every output byte equals the reference's; None where nothing was compared (float, outside).
    wrong_bytes: how many do not, and max_difference: by how much at most. max_abs_error: of a float layer's output against the reference;
    None elsewhere. input_bytes: of the tensor that the layer reads.
    """

    name: str
    kernel: str
    instructions: int
    skipped: int
    cycles: int
    macs: int
    traffic: Mapping[str, Traffic]
    fetch_bytes: int
    weight_bytes: int
    activation_bytes: int
    stack_bytes: int
    bit_exact: bool | None = None
    max_abs_error: float | None = None
    input_bytes: int = 0
    wrong_bytes: int = 0
    max_difference: int = 0

    def _sum(self, what: str) -> int:
        return sum(getattr(traffic, what) for traffic in self.traffic.values())

    @property
    def loads(self) -> int:
        return self._sum("reads")

    @property
    def stores(self) -> int:
        return self._sum("writes")

    @property
    def bytes_read(self) -> int:
        return self._sum("bytes_read")

    @property
    def bytes_written(self) -> int:
        return self._sum("bytes_written")

    @property
    def cycles_per_mac(self) -> float | None:
        return self.cycles / self.macs if self.macs else None


@dataclass(frozen=True)
class Profile:
    """One run of one image, priced for a core with a board's memories. `about` says what made it: kernel set, optimization, toolchain, image, input."""

    core: str
    layers: tuple[Row, ...]
    outside: Row
    stack_bytes: int
    about: Mapping[str, object] = field(default_factory=dict)
    memory: str = memories.DEFAULT

    @property
    def totals(self) -> Row:
        """The sum of all rows; of the stack, the most that was in use at once."""
        outside = replace(self.outside, bit_exact=None, max_abs_error=None)  # where nothing is compared
        return merged("total", "", (*self.layers, outside), self.stack_bytes)

    def on(self, core: str, cycles: np.ndarray) -> Profile:
        """The same run as another core would take it: `cycles` are int64 (layers + 1,), [0] between layers."""
        outside, *layers = (replace(row, cycles=int(number)) for row, number in zip((self.outside, *self.layers), cycles, strict=True))
        return replace(self, core=core, outside=outside, layers=tuple(layers))

    def with_rows(self, changes: Sequence[Mapping[str, object]]) -> Profile:
        """The same with fields of the layers replaced, one mapping a layer."""
        return replace(self, layers=tuple(replace(row, **change) for row, change in zip(self.layers, changes, strict=True)))


def merged(name: str, kernel: str, rows: Sequence[Row], stack_bytes: int) -> Row:
    """The sum of rows."""
    checked = [row.bit_exact for row in rows if row.bit_exact is not None]
    errors = [row.max_abs_error for row in rows if row.max_abs_error is not None]
    return Row(
        name=name, kernel=kernel, **{key: sum(getattr(row, key) for row in rows) for key in (
            "instructions", "skipped", "cycles", "macs", "fetch_bytes", "weight_bytes", "activation_bytes", "input_bytes", "wrong_bytes")},
        traffic={part: sum((row.traffic[part] for row in rows if part in row.traffic), Traffic()) for part in _parts(rows)},
        stack_bytes=stack_bytes, bit_exact=all(checked) if checked else None, max_abs_error=float(np.max(errors)) if errors else None,
        max_difference=max(row.max_difference for row in rows))


def _parts(rows: Sequence[Row]) -> list[str]:
    present = {part for row in rows for part in row.traffic}
    return [part for part in PARTS if part in present]


def profile(counts: Counts, program: Program, instructions: Mapping[int, Instruction], core: Core, about: Mapping[str, object],
            memory: Memory | None = None) -> Profile:
    """Price the counts for a core and a board's memories (None: zero wait states) and name them by the program's layers and tensors."""
    cycles = pricing.price(counts, instructions, core, memory)
    issued, skipped = counts.instructions(), counts.skipped()
    fetched = pricing.fetch_bytes(counts, instructions)
    outside = Layer("outside", "", 0, 0, 0, program.input, {"input": program.input.symbol})
    sizes = {tensor.symbol: tensor.nbytes for tensor in (program.input, *(layer.output for layer in program.layers))}
    rows = [Row(
        name=layer.name, kernel=layer.kernel, instructions=int(issued[number]), skipped=int(skipped[number]), cycles=int(cycles[number]),
        macs=layer.macs, traffic=_traffic(counts, number, layer), fetch_bytes=int(fetched[number]), weight_bytes=layer.weight_bytes,
        activation_bytes=layer.activation_bytes, stack_bytes=counts.stack[number],
        input_bytes=sizes.get(layer.tensors.get("input", ""), 0) if number else 0,
    ) for number, layer in enumerate([outside, *program.layers])]
    return Profile(core=core.name, layers=tuple(rows[1:]), outside=rows[0], stack_bytes=counts.peak, about=about,
                   memory=memory.name if memory else memories.DEFAULT)


def _traffic(counts: Counts, number: int, layer: Layer) -> dict[str, Traffic]:
    parts = {symbol: part for part, symbol in layer.tensors.items()} | {"stack": "stack", "literals": "literals"}
    found: dict[str, Traffic] = {}
    for name, accesses in zip(counts.objects, counts.traffic[number], strict=True):
        if accesses.any():
            reads, writes = accesses.sum(axis=1).tolist()
            bytes_read, bytes_written = (accesses @ _SIZES).tolist()
            part = parts.get(name, "other")
            found[part] = found.get(part, Traffic()) + Traffic(reads, writes, bytes_read, bytes_written)
    return {part: found[part] for part in PARTS if part in found}
