"""A firmware's run on a System: what stopped it each time, what the core does then, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import unicorn

from emu.errors import TargetFault
from emu.isa.instruction import KIND, Flag
from emu.machine import faults
from emu.machine.exceptions import EXC_RETURN, LockUpError
from emu.machine.interrupts import BUS_FAULT, HARD_FAULT, SV_CALL, SYS_TICK, USAGE_FAULT, Masks, name
from emu.machine.machine import SLICE
from emu.machine.memory import OutsideError
from emu.machine.registers import THUMB
from emu.machine.semihosting import Exited
from emu.machine.system import System
from emu.probe.layout import FAULTS, WATCHED_FLAG, Fault

SEMIHOSTING = 0xAB
_NOWHERE = 0xF0000000  # Unicorn wants an address to stop at
_LR_AT_RESET = 0xFFFFFFFF
_FORCED, _DEBUG_EVENT = 1 << 30, 1 << 31  # bits of HFSR
_BFAR_VALID = 1 << 15
_SLEEP_ON_EXIT = 2  # SCR
_EXITS = ("_exit", "exit", "_Exit", "__exit")
DONE = "firmware_done"  # a program that reaches this symbol has ended well
# What the core makes of a stop: the exception and its bits in CFSR (Armv7-M ARM, B3.2.15).
_TRAPS = {"unmapped": (BUS_FAULT, 1 << 9), "read_only": (BUS_FAULT, 1 << 9), "unaligned": (USAGE_FAULT, 1 << 24), "fpu_off": (USAGE_FAULT, 1 << 19),
          "undefined": (USAGE_FAULT, 1 << 16), "jump": (USAGE_FAULT, 1 << 17), "return": (USAGE_FAULT, 1 << 18), "breakpoint": (HARD_FAULT, 0),
          "supervisor_call": (HARD_FAULT, 0)}


@dataclass(frozen=True)
class Ending:
    """How a run ended. status: the exit status that follows from it; code: the program's own exit code, None where it gave none.

    how: "exit", "returned", "done", "reset", "idle" or "fault"; fault: what the core could not go on from.
    """

    how: str
    text: str
    status: int
    code: int | None = None
    fault: TargetFault | None = None


class _Ended(Exception):
    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.text)
        self.ending = ending


def run(system: System) -> Ending:
    """From reset to the end. Raises no TargetFault: a fault is an ending, too."""
    try:
        return _Running(system).run()
    finally:
        system.files.close_all()


class _Running:
    """The loop around Unicorn for one System."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._event = False  # the event register of WFE
        self._first_fault: TargetFault | None = None
        records = system.records
        self._idle_loops = {int(r["address"]) for r in records[records["kind"] == KIND["branch"]] if _is_self_branch(r)}
        self._sevs = _addresses(records, "hint", b"sev")
        self._unmasking = _addresses(records, "system", b"msr", b"cps")
        done = system.image.symbols.get(DONE)
        self._until = done.address & ~1 if done else _NOWHERE
        self._watching_masks = False
        self._looping: int | None = None  # an idle loop that runs unwatched, until the next stop
        self._watch(self._idle_loops | self._sevs, True)

    def run(self) -> Ending:
        """From reset to the end."""
        system = self._system
        system.probe.start()
        system.registers.xpsr = THUMB
        system.registers.sp = system.plan.stack[1]
        system.registers.lr = _LR_AT_RESET
        pc = system.plan.pc
        try:
            while True:
                pc = self._answer(*self._emulate(pc))
        except _Ended as end:
            ending = end.ending
        except Exited as exited:
            ending = Ending("exit", f"the program exited with {exited.code}", exited.code & 0xFF, exited.code)
        except TargetFault as fault:
            ending = Ending("fault", str(fault), TargetFault.status, None, fault)
        system.probe.finish(system.registers.pc)
        system.console.flush()
        return ending

    def _emulate(self, pc: int) -> tuple[int, unicorn.UcError | None]:
        """Run until something stops Unicorn: where it stands then, and its error."""
        system, problem = self._system, None
        system.probe.set_slice(SLICE)
        try:
            system.engine.emu_start(pc | 1, self._until)
        except unicorn.UcError as error:
            problem = error
        system.probe.flush()
        if system.probe.pending_error:
            error, system.probe.pending_error = system.probe.pending_error, None
            raise error
        return system.registers.pc, problem

    def _answer(self, pc: int, problem: unicorn.UcError | None) -> int:
        """What the core does about the stop: where it goes on. Raises _Ended, Exited, TargetFault."""
        fault = Fault.from_buffer_copy(self._system.probe.fault)
        kind = FAULTS[fault.kind]
        if self._system.reset_requested:
            self._end_by_reset()
        if self._looping is not None:
            self._watch({self._looping}, True)
            self._looping = None
        if kind == "none":
            if pc == self._until:
                raise _Ended(Ending("done", f"the program reached {DONE}", 0, 0))
            kind, fault = self._without_record(pc, problem, fault)
        if kind in ("timer", "slice", "request"):
            pc = self._attend(pc)
        elif kind == "sleep":
            pc = self._sleep(pc, self._system.instructions[fault.pc].text)
        elif kind == "breakpoint" and self._immediate(pc) == SEMIHOSTING:
            pc = self._semihosting(pc)
        elif kind == "supervisor_call":
            pc = self._supervisor_call(pc, fault)
        elif kind == "jump":
            pc = self._jump(fault)
        elif kind in _TRAPS:
            pc = self._trap(kind, fault)
        else:
            pc = self._refused(fault)
        self._system.probe.resume()
        self._arm(pc)
        return pc

    def _without_record(self, pc: int, problem: unicorn.UcError | None, fault: Fault) -> tuple[str, Fault]:
        """A stop that the probe did not bring about: by what the last instruction was."""
        instruction = self._system.instructions.get(fault.pc)
        fault.address = pc
        if instruction is None:
            return "not_code", fault
        if instruction.flags & Flag.BRANCH and problem:
            fault.kind = FAULTS.index("jump")
            return "jump", fault
        if instruction.kind == "hint":
            return ("request" if instruction.text.startswith(("yield", "sev")) else "sleep"), fault
        fault.kind = FAULTS.index("undefined")
        return "undefined", fault

    # --- interrupts and idling ---

    def _attend(self, pc: int) -> int:
        """Look whether an exception is to be taken before the instruction at `pc`."""
        system = self._system
        system.systick.advance(system.cycles())
        if number := system.interrupts.ready(system.registers.masks()):
            return self._enter(number, pc)
        if pc in self._sevs:
            self._event = True
        elif pc in self._idle_loops:
            self._idle_loop(pc)
        return pc

    def _enter(self, number: int, pc: int) -> int:
        self._event = True
        try:
            return self._system.exceptions.enter(number, pc)
        except LockUpError as error:
            raise TargetFault(f"lock-up on the way into {name(number)}: {error}{self._origin()}") from None

    def _arm(self, pc: int) -> None:
        """Decide what is to stop the run next; it goes on at `pc`."""
        system = self._system
        system.probe.set_deadline(system.systick.deadline)
        masks = system.registers.masks() if system.interrupts.pending else Masks()
        if system.interrupts.pending and system.interrupts.ready(masks):
            system.probe.request_stop()
        masked = bool(system.interrupts.pending) and system.interrupts.masked(masks)
        if masked != self._watching_masks:
            self._watch(self._unmasking, masked)
            self._watching_masks = masked
        elif masked and pc in self._unmasking:  # let it execute, then look again
            system.probe.request_stop()

    def _watch(self, addresses: set[int], on: bool) -> None:
        for table in self._system.codes:
            places = [(address - table.start) // 2 for address in addresses if 0 <= address - table.start < 2 * len(table.entries)]
            if places:
                flags = table.entries["flags"]
                flags[places] = flags[places] | np.uint32(WATCHED_FLAG) if on else flags[places] & np.uint32(~WATCHED_FLAG & 0xFFFFFFFF)

    def _wakes_at(self, masks: Masks) -> int | None:
        """The cycle in which SysTick will interrupt, with these masks; None when nothing will."""
        system = self._system
        deadline = system.systick.deadline
        urgent = system.interrupts.group_priority(SYS_TICK) < system.interrupts.execution_priority(masks)
        return deadline if deadline is not None and urgent else None

    def _idle_loop(self, pc: int) -> None:
        """A branch to itself: nothing happens until an interrupt. Let it loop for the time that takes, or end the run.

        A program that has returned from main, or called _exit, is over, even when a timer still ticks.
        """
        self._end_over(pc)
        if self._wakes_at(self._system.registers.masks()) is None:
            self._end_idle(pc, "an endless loop")
        self._watch({pc}, False)
        self._looping = pc

    def _sleep(self, pc: int, text: str) -> int:
        """WFI or WFE at the instruction before `pc`."""
        system = self._system
        if text.startswith("wfe") and self._event:
            self._event = False
            return pc
        masks = system.registers.masks()._replace(primask=0)  # PRIMASK keeps an interrupt from being taken, not from waking the core
        system.systick.advance(system.cycles())
        if not system.interrupts.ready(masks):
            deadline = self._wakes_at(masks)
            if deadline is None:
                self._end_idle(self._system.pc_now(), text.partition(" ")[0].partition(".")[0].upper())
            slept = max(deadline - system.cycles(), 0)
            system.probe.sleep(slept)
            system.sleep_cycles += slept
            system.systick.advance(deadline)
        return self._attend(pc)

    # --- what the program asks for ---

    def _immediate(self, pc: int) -> int:
        return self._system.memory.read(pc, 1)[0]

    def _semihosting(self, pc: int) -> int:
        registers = self._system.registers
        operation, argument = registers.general(0), registers.general(1)
        try:
            registers.set_general(0, self._system.semihosting.call(operation, argument))
        except OutsideError as error:
            raise TargetFault(f"semihosting operation 0x{operation:02x}: {error}{self._place(pc)}") from None
        return pc + 2

    def _supervisor_call(self, pc: int, fault: Fault) -> int:
        interrupts = self._system.interrupts
        if self._system.plan.vectors is None:
            raise self._told(fault)
        if interrupts.group_priority(SV_CALL) < interrupts.execution_priority(self._system.registers.masks()):
            return self._enter(SV_CALL, pc)
        fault.address = pc
        return self._trap("supervisor_call", fault)

    def _jump(self, fault: Fault) -> int:
        """Somewhere without code: the return of a handler, or a fault."""
        system = self._system
        if fault.address & EXC_RETURN != EXC_RETURN or not system.interrupts.active:
            return self._trap("jump", fault)
        try:
            pc = system.exceptions.leave(fault.address)
        except LockUpError as error:
            raise TargetFault(f"lock-up on the way out of a handler: {error}{self._place(fault.pc)}{self._origin()}") from None
        if pc is None:
            return self._trap("return", fault)
        self._event = True
        if not system.exceptions.in_fault_handler():
            self._first_fault = None
        if not system.interrupts.active and system.control.scr.value & _SLEEP_ON_EXIT:
            return self._sleep(pc, "wfi")
        return pc

    # --- faults ---

    def _told(self, fault: Fault) -> TargetFault:
        return faults.describe(self._system.scene(self._system.registers.pc), fault)

    def _refused(self, fault: Fault) -> int:
        """What is no fault of the core's, but the end of what is emulated; unless peripherals are ignored."""
        system = self._system
        if FAULTS[fault.kind] == "peripheral" and system.settings.ignore_peripherals:
            return self._ignore(fault)
        raise self._told(fault)

    def _ignore(self, fault: Fault) -> int:
        system = self._system
        if system.peripherals.full or system.peripherals.has(fault.address, fault.size):  # ignored before, it is refused because it crosses pages
            raise self._told(fault)
        system.ignore(fault.address, fault.size, bool(fault.store))
        system.map_ignored(fault.address, fault.size)
        system.probe.retry()
        return fault.pc

    def _trap(self, kind: str, fault: Fault) -> int:
        """A fault: into its handler, where the program has one."""
        system = self._system
        if kind == "unmapped" and any(start <= fault.address < end for start, end in faults.PERIPHERALS):
            if system.settings.ignore_peripherals:
                return self._ignore(fault)
            raise self._told(fault)
        told = self._told(fault)
        interrupts, control = system.interrupts, system.control
        number, bits = _TRAPS[kind]
        priority = interrupts.execution_priority(system.registers.masks())
        if number != HARD_FAULT and (not interrupts.can_be_taken(number) or interrupts.group_priority(number) >= priority):
            number = HARD_FAULT
            control.hfsr |= _FORCED
        control.hfsr |= _DEBUG_EVENT if kind == "breakpoint" else 0
        control.cfsr |= bits
        if _TRAPS[kind][0] == BUS_FAULT:
            control.bfar, control.cfsr = fault.address, control.cfsr | _BFAR_VALID
        if interrupts.group_priority(number) >= priority:
            inside = name(interrupts.current) if interrupts.active else "FAULTMASK"
            raise TargetFault(f"lock-up: a fault inside {inside}: {told}{self._origin()}")
        if self._first_fault is None:
            self._first_fault = told
        try:
            handler = system.exceptions.enter(number, _return_address(kind, fault))
        except LockUpError:
            raise self._first_fault from None
        system.note(f"{name(number)}: {told}")
        return handler

    def _origin(self) -> str:
        return f"; the first was: {self._first_fault}" if self._first_fault else ""

    def _place(self, pc: int) -> str:
        return f"; {faults.place(self._system.scene(pc), pc)}"

    # --- endings ---

    def _end_by_reset(self) -> NoReturn:
        if self._first_fault:
            raise self._first_fault
        raise _Ended(Ending("reset", f"the program asked for a reset (SYSRESETREQ){self._place(self._system.pc_now())}", 0))

    def _end_idle(self, pc: int, what: str) -> NoReturn:
        """Nothing can ever happen again. What that means follows from where it is."""
        self._end_over(pc)
        if self._first_fault:
            raise self._first_fault
        place = faults.place(self._system.scene(pc), pc)
        if what.startswith("WF"):
            raise _Ended(Ending("idle", f"the core sleeps ({what}), and nothing is there to wake it; {place}", TargetFault.status))
        raise _Ended(Ending("idle", f"no end in sight: an endless loop, and no interrupt can come; {place}", TargetFault.status))

    def _end_over(self, pc: int) -> None:
        """End the run when the loop at `pc` is where a program goes that has ended: _exit, or behind the call of main."""
        system = self._system
        if system.interrupts.active:
            return
        function = system.image.function_at(pc)
        code = system.registers.general(0)
        if function and function.name in _EXITS and pc - function.address <= 4:
            raise _Ended(Ending("exit", f"the program called {function.name}({_signed(code)})", code & 0xFF, _signed(code)))
        if self._behind_main(pc):
            raise _Ended(Ending("returned", f"main returned {_signed(code)}", code & 0xFF, _signed(code)))

    def _behind_main(self, pc: int) -> bool:
        """The instruction before is a call of main; NOPs between do not count."""
        instructions, main = self._system.instructions, self._system.image.symbols.get("main")
        while (nop := instructions.get(pc - 2)) is not None and nop.kind == "nop":
            pc -= 2
        before = instructions.get(pc - 4)
        return bool(main and before and before.kind == "branch_link" and before.text.endswith(f"#0x{main.address & ~1:x}"))


def _return_address(kind: str, fault: Fault) -> int:
    """Of the frame: the instruction that faulted; behind an SVC that could not be taken; where a jump led."""
    return fault.address if kind in ("jump", "supervisor_call") else fault.pc


def _addresses(records: np.ndarray, kind: str, *stems: bytes) -> set[int]:
    return {int(r["address"]) for r in records[records["kind"] == KIND[kind]] if bytes(r["text"]).startswith(stems)}


def _is_self_branch(record: np.void) -> bool:
    return bool(record["flags"] & int(Flag.ALWAYS)) and bytes(record["text"]).endswith(b"#0x%x" % record["address"])


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value
