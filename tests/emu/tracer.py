"""The slow count that the native one is held against: plain Unicorn, one Python hook an instruction, capstone's text, registers.

It shares no code with emu.isa, emu.probe or emu.machine: it reads the ELF with pyelftools, finds accesses in the text of the
disassembly, evaluates conditions itself, and checks with every instruction that the program went where it expected.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import capstone
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const as arm

REGISTERS = {
    name: getattr(arm, f"UC_ARM_REG_{name.upper()}") for name in (*(f"r{n}" for n in range(13)), "sb", "sl", "fp", "ip", "sp", "lr", "pc")
}
MODELS = {"cortex-m0plus": arm.UC_CPU_ARM_CORTEX_M0, "cortex-m3": arm.UC_CPU_ARM_CORTEX_M3, "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
          "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7, "cortex-m33": arm.UC_CPU_ARM_CORTEX_M33}
_CC = "eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_SINGLE = re.compile(rf"(ldr|str)(ex)?(sb|sh|b|h|d)?(t)?({_CC})?$")
_MULTIPLE = re.compile(rf"(ldm|stm|vldm|vstm)(ia|db)?({_CC})?$")
_STACK = re.compile(rf"(push|pop|vpush|vpop)({_CC})?$")
_FLOAT = re.compile(rf"(vldr|vstr)({_CC})?$")
_TABLE = re.compile(r"(tbb|tbh)$")
_BRANCH = re.compile(rf"(b|bl|bx|blx)({_CC})?$")
_MEMORY = re.compile(r"\[(\w+)(?:, #(-?\w+))?(?:, (\w+)(?:, lsl #(\d))?)?\](!)?")
_WIDTHS = {None: 4, "b": 1, "sb": 1, "h": 2, "sh": 2, "d": 4}


@dataclass
class Tally:
    """One layer's count. traffic: (object, "read" or "write", bytes) -> accesses; depth: bytes below SP at entry."""

    instructions: int = 0
    skipped: int = 0
    taken: int = 0
    fetched: int = 0
    depth: int = 0
    traffic: Counter = field(default_factory=Counter)


@dataclass
class Decoded:
    """One instruction as the tracer sees it: accesses(read register) -> [(address, bytes)]."""

    size: int
    text: str
    accesses: Callable | None = None
    write: bool = False
    literal: bool = False
    jumps: bool = False
    condition: str = ""
    zero: tuple[str, bool] | None = None  # CBZ, CBNZ: register, and whether it branches on zero
    members: tuple[str, ...] = ()  # IT: the conditions of its members
    moves_sp: bool = False


class Tracer:
    """One image in plain Unicorn. Layer 0 is the code between layers."""

    def __init__(
        self, elf: Path, core: str = "cortex-m4", *, kernels: tuple[str, ...] = (), layers: int = 0, memory_hooks: bool = False
    ) -> None:
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.engine.ctl_set_cpu_model(MODELS[core])
        self._load(elf)
        self.disassembler = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
        self.known: dict[int, Decoded] = {}
        self.kernels, self.layers = {self.symbols[name] & ~1 for name in kernels if name in self.symbols}, layers
        self.tallies = [Tally() for _ in range(layers + 1)]
        self.touched: Counter = Counter()  # byte by byte, (address, write), from the tracer's addresses
        self.hooked: Counter = Counter()  # the same from Unicorn's memory hooks, which are only right without IT blocks
        self.keep_touched = memory_hooks
        self.engine.hook_add(unicorn.UC_HOOK_CODE, self._on_code)
        if memory_hooks:
            self.engine.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self._on_memory)

    # --- the image ---

    def _load(self, path: Path) -> None:
        with path.open("rb") as file:
            elf = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            self.symbols = {s.name: s["st_value"] for s in table.iter_symbols()}
            self.objects = sorted(
                (s["st_value"], s["st_value"] + s["st_size"], s.name)
                for s in table.iter_symbols()
                if s["st_info"]["type"] == "STT_OBJECT" and s["st_size"]
            )
            for start, size, fill in (("__flash_start", "__flash_size", b"\xff"), ("__ram_start", "__ram_size", b"\xa5")):
                self.engine.mem_map(self.symbols[start], self.symbols[size])
                self.engine.mem_write(self.symbols[start], fill * self.symbols[size])
            self.engine.mem_map(0xE000E000, 0x1000)
            self.constants = []  # of flash, that have no symbol
            for segment in elf.iter_segments("PT_LOAD"):
                if segment["p_filesz"]:
                    self.engine.mem_write(segment["p_paddr"], segment.data())
                    if self.symbols["__flash_start"] <= segment["p_paddr"] < self.symbols["__flash_start"] + self.symbols["__flash_size"]:
                        self.constants.append(range(segment["p_paddr"], segment["p_paddr"] + segment["p_filesz"]))
        self.starts = [start for start, _, _ in self.objects]
        self.stack = self.symbols["__stack_limit"], self.symbols["__stack_top"]

    def _object(self, address: int) -> str:
        if self.stack[0] <= address < self.stack[1]:
            return "stack"
        at = bisect_right(self.starts, address) - 1
        if at >= 0 and address < self.objects[at][1]:
            return self.objects[at][2]
        return "constants" if any(address in constants for constants in self.constants) else "other"

    # --- running ---

    def call(self, function: str, *arguments: int) -> None:
        """As a caller would, the stack empty, returning to the last word of flash."""
        home = self.symbols["__flash_start"] + self.symbols["__flash_size"] - 4
        self.engine.reg_write(arm.UC_ARM_REG_LR, home | 1)
        for n, value in enumerate(arguments):
            self.engine.reg_write(REGISTERS[f"r{n}"], value)
        self._run(self.symbols[function], self.stack[1], home)

    def reset_and_run(self) -> None:
        """From the vector table to firmware_done."""
        vectors = bytes(self.engine.mem_read(self.symbols["__flash_start"], 8))
        self._run(int.from_bytes(vectors[4:], "little"), int.from_bytes(vectors[:4], "little"), self.symbols["firmware_done"] & ~1)

    def _run(self, start: int, stack: int, until: int) -> None:
        self.engine.reg_write(arm.UC_ARM_REG_SP, stack)
        self.engine.reg_write(arm.UC_ARM_REG_XPSR, 1 << 24)
        self.layer, self.sequence, self.base, self.leaves = 0, 0, self.stack[1], None
        self.pending: list[tuple[int, str, int]] = []  # members of the open IT block: address, condition, size
        self.expected: int | None = None  # None: a branch was taken
        self.stale_sp = True
        self.failure: Exception | None = None
        self.engine.emu_start(start | 1, until)
        if self.failure:
            raise self.failure
        assert self.engine.reg_read(arm.UC_ARM_REG_PC) == until
        self._skip_to(until)

    # --- counting ---

    def _read(self, name: str) -> int:
        return self.engine.reg_read(REGISTERS[name])

    def _on_memory(self, _, access: int, address: int, size: int, *__) -> None:
        for byte in range(address, address + size):
            self.hooked[byte, access == unicorn.UC_MEM_WRITE] += 1

    def _on_code(self, uc: unicorn.Uc, address: int, *_) -> None:
        try:
            self._count(address)
        except Exception as problem:  # noqa: BLE001 - ctypes would print it and go on
            self.failure = self.failure or problem
            uc.emu_stop()

    def _count(self, address: int) -> None:
        self._skip_to(address)
        if self.expected is None:
            self._arrive(address)
        else:
            assert self.expected == address, f"{self.expected:#x} was expected, {address:#x} came"
        instruction = self.known.get(address) or self._decode(address)
        tally = self.tallies[self.layer]
        if self.stale_sp:
            tally.depth = max(tally.depth, self.base - self._read("sp"))
        self.stale_sp = instruction.moves_sp
        tally.instructions += 1
        tally.fetched += instruction.size
        if instruction.accesses:
            self._traffic(tally, instruction)
        self.expected = address + instruction.size
        if instruction.jumps and self._goes(instruction):
            self.expected = None
            tally.taken += 1
        at = address + instruction.size
        for condition in instruction.members:
            size = (self.known.get(at) or self._decode(at)).size
            self.pending.append((at, condition, size))
            at += size

    def _skip_to(self, address: int) -> None:
        """Members of an IT block between the last instruction and this one were skipped; their conditions must fail."""
        while self.pending:
            at, condition, size = self.pending.pop(0)
            if at == address:
                assert self._holds(condition), f"{at:#x} ran although {condition} fails"
                return
            assert not self._holds(condition), f"{at:#x} was skipped although {condition} holds"
            assert self.expected == at
            tally = self.tallies[self.layer]
            tally.instructions, tally.skipped, tally.fetched = tally.instructions + 1, tally.skipped + 1, tally.fetched + size
            self.expected = at + size

    def _arrive(self, address: int) -> None:
        """A branch came here: does a layer begin or end?"""
        if self.stale_sp:
            self.tallies[self.layer].depth = max(self.tallies[self.layer].depth, self.base - self._read("sp"))
        if not self.layer and self.layers and address in self.kernels:
            self.sequence = self.layer = self.sequence % self.layers + 1
            self.leaves, self.base = (self._read("lr") & ~1, self._read("sp")), self._read("sp")
        elif self.layer and (address, self._read("sp")) == self.leaves:
            self.layer, self.base = 0, self.stack[1]

    def _traffic(self, tally: Tally, instruction: Decoded) -> None:
        for address, size in instruction.accesses(self._read):
            name = "literals" if instruction.literal else self._object(address)
            tally.traffic[name, "write" if instruction.write else "read", size] += 1
            if self.keep_touched:
                for byte in range(address, address + size):
                    self.touched[byte, instruction.write] += 1

    def _goes(self, instruction: Decoded) -> bool:
        if instruction.zero:
            register, on_zero = instruction.zero
            return (self._read(register) == 0) == on_zero
        return self._holds(instruction.condition)

    def _holds(self, condition: str) -> bool:
        if not condition:
            return True
        flags = self.engine.reg_read(arm.UC_ARM_REG_CPSR)
        n, z, c, v = (bool(flags >> bit & 1) for bit in (31, 30, 29, 28))
        return {
            "eq": z,
            "ne": not z,
            "hs": c,
            "cs": c,
            "lo": not c,
            "cc": not c,
            "mi": n,
            "pl": not n,
            "vs": v,
            "vc": not v,
            "hi": c and not z,
            "ls": not c or z,
            "ge": n == v,
            "lt": n != v,
            "gt": not z and n == v,
            "le": z or n != v,
        }[condition]

    # --- decoding ---

    def _decode(self, address: int) -> Decoded:
        code = bytes(self.engine.mem_read(address, 4))
        found = next(self.disassembler.disasm(code, address, 1), None)
        assert found, f"no instruction at {address:#x}"
        name, operands = found.mnemonic.split(".")[0], found.op_str
        result = Decoded(found.size, f"{found.mnemonic} {operands}")
        result.moves_sp = "sp" in operands or name.startswith(("push", "pop", "vpush", "vpop"))
        for pattern, fill in (
            (_SINGLE, self._single),
            (_FLOAT, self._float),
            (_MULTIPLE, self._multiple),
            (_STACK, self._push_pop),
            (_TABLE, self._table),
            (_BRANCH, self._branch),
        ):
            if match := pattern.match(name):
                fill(result, match, operands, address)
                break
        if name in ("cbz", "cbnz"):
            result.jumps, result.zero = True, (operands.split(",")[0], name == "cbz")
        elif re.match(rf"(mov|add)({_CC})?$", name) and operands.startswith("pc,"):
            result.jumps = True
        elif re.match(r"it[te]*$", name):
            opposite = {
                a: b
                for pair in ("eq ne", "hs lo", "cs cc", "mi pl", "vs vc", "hi ls", "ge lt", "gt le")
                for a, b in (pair.split(), pair.split()[::-1])
            }
            result.members = tuple(operands if letter == "t" else opposite[operands] for letter in name[1:])
        self.known[address] = result
        return result

    def _place(self, result: Decoded, operands: str, address: int, sizes: list[int], align_pc: bool = True) -> None:
        """Accesses of these sizes, one behind the other, from the bracketed operand."""
        base, offset, index, shift, _ = _MEMORY.search(operands).groups()
        offset, shift = int(offset or "0", 0), int(shift or "0")
        result.literal = base == "pc"
        pc = (address + 4) & ~3 if align_pc else address + 4

        def accesses(read: Callable[[str], int]) -> list[tuple[int, int]]:
            at = (pc if base == "pc" else read(base)) + offset + ((read(index) << shift) if index else 0) & 0xFFFFFFFF
            return [(at + sum(sizes[:n]), size) for n, size in enumerate(sizes)]

        result.accesses = accesses

    def _single(self, result: Decoded, match: re.Match, operands: str, address: int) -> None:
        self._place(result, operands, address, [_WIDTHS[match[3]]] * (2 if match[3] == "d" else 1))
        result.write = match[1] == "str"
        result.jumps = match[1] == "ldr" and operands.startswith("pc,")

    def _float(self, result: Decoded, match: re.Match, operands: str, address: int) -> None:
        self._place(result, operands, address, [4] * (2 if operands.startswith("d") else 1))
        result.write = match[1] == "vstr"

    def _table(self, result: Decoded, match: re.Match, operands: str, address: int) -> None:
        self._place(result, operands, address, [1 if match[1] == "tbb" else 2], align_pc=False)
        result.jumps = True

    def _multiple(self, result: Decoded, match: re.Match, operands: str, address: int) -> None:
        base, registers = re.match(r"(\w+)!?, \{(.*)\}", operands).groups()
        self._list(result, base, registers, match[2] == "db")
        result.write = "st" in match[1]

    def _push_pop(self, result: Decoded, match: re.Match, operands: str, address: int) -> None:
        result.write = match[1].endswith("push")
        self._list(result, "sp", operands.strip("{}"), result.write)

    def _list(self, result: Decoded, base: str, registers: str, down: bool) -> None:
        names = registers.split(", ")
        words = sum(2 if re.match(r"d\d", name) else 1 for name in names)
        result.jumps = "pc" in names
        result.accesses = lambda read: [(read(base) + 4 * n - (4 * words if down else 0) & 0xFFFFFFFF, 4) for n in range(words)]

    def _branch(self, result: Decoded, match: re.Match, operands: str, address: int) -> None:
        result.jumps, result.condition = True, match[2] or ""
