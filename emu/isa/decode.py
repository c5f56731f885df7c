"""Machine code to records: capstone decodes, this names what the probe and the pipeline need to know."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import capstone
import numpy as np
from capstone import arm

from emu.isa.instruction import FLAGS_BIT, KIND, RECORD, S_BIT, Flag

PC, LR, SP = 15, 14, 13
_CORE = {arm.ARM_REG_SP: SP, arm.ARM_REG_LR: LR, arm.ARM_REG_PC: PC} | {
    getattr(arm, f"ARM_REG_R{n}"): n for n in range(13)}
_SINGLE = {getattr(arm, f"ARM_REG_S{n}"): n for n in range(32)}
_DOUBLE = {getattr(arm, f"ARM_REG_D{n}"): n for n in range(16)}
_FLAG_REGISTERS = {arm.ARM_REG_CPSR, arm.ARM_REG_APSR, arm.ARM_REG_APSR_NZCV}

# Mnemonic (without condition and width) -> kind; the first pattern that matches counts.
_PATTERNS = [(re.compile(pattern), kind) for pattern, kind in (
    (r"it[te]*$", "it"),
    (r"(nop|pld|pldw|pli|csdb)$", "nop"),
    (r"(wfi|wfe|sev|yield|dbg)$", "hint"),
    (r"(dsb|dmb|isb|clrex)$", "barrier"),
    (r"(msr|mrs|cps|cpsie|cpsid|svc|bkpt|udf|hlt)$", "system"),
    (r"(tbb|tbh)$", "table_branch"),
    (r"(cbz|cbnz)$", "compare_branch"),
    (r"bl$", "branch_link"),
    (r"blxns$", "undefined"),  # into the other security state, which no machine here has
    (r"(bx|blx|bxns)$", "branch_register"), (r"(tt|sg$)", "system"),
    (r"b$", "branch"),
    (r"(vldr)", "fp_load"), (r"(vstr)", "fp_store"),
    (r"(vldm|vpop)", "fp_load_multiple"), (r"(vstm|vpush)", "fp_store_multiple"),
    (r"(vlldm|vlstm|v(ld|st)[1-4])", "undefined"),  # of Armv8-M and of NEON; Unicorn's Cortex-M4 executes the latter
    (r"(vmla|vmls|vnmla|vnmls|vfma|vfms|vfnma|vfnms)", "fp_multiply_accumulate"),
    (r"(vmul|vnmul)", "fp_multiply"), (r"(vdiv|vsqrt)", "fp_divide"),
    (r"(vmrs|vmsr|fmstat)", "fp_system"), (r"vmov", "fp_move"), (r"v", "fp_arithmetic"),
    (r"(ldm|pop)", "load_multiple"), (r"(stm|push)", "store_multiple"),
    (r"ldrd", "load_multiple"), (r"strd", "store_multiple"),
    (r"(ldrex|lda)", "load_exclusive"), (r"(strex|stl)", "store_exclusive"),
    (r"ldr", "load"), (r"str", "store"),
    (r"[su]div", "divide"),
    (r"(smull|umull)", "long_multiply"), (r"(smlal|umlal|umaal|smlsld)", "long_multiply_accumulate"),
    (r"(mul|smul|smuad|smusd|smmul)", "multiply"), (r"(mla|mls|smla|smls|smmla|smmls)", "multiply_accumulate"),
)]
_SIZES = {"b": 1, "h": 2, "sb": 1, "sh": 2}
_CONDITIONS = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")  # by encoding
# Armv7-M ARM, A4.4: the DSP extension. Unicorn lets a Cortex-M3 execute many of these.
_DSP = re.compile(r"(pkh(bt|tb)|qd?(add|sub)|([suq]|[su]h|uq)((add|sub)(8|16)|asx|sax)|sel|smla([bt][bt]|w[bt]|dx?)|smlal([bt][bt]|dx?)|"
                  r"smls(d|dx|ld|ldx)|smm(ul|la|ls)r?|smu[as]dx?|smul([bt][bt]|w[bt])|[su]sat16|[su]xta(b|h|b16)|[su]xtb16|umaal|usada?8)$")
_CARRIES = re.compile(r"(adc|sbc)(\.w)?$")
_V8M = re.compile(r"(lda|stl|tt|sg$|bl?xns$|vlstm|vlldm)")  # Armv8-M ARM (DDI 0553), C1: what it adds
_FPV5 = re.compile(r"(vsel|v(max|min)nm|vrint|vcvt[anpm])")  # Armv7-M ARM, A2.5: FPv5 adds these to FPv4
_V7M_REGISTERS, _V8M_REGISTERS = ("basepri", "faultmask"), ("splim", "_ns")
_WIDE_V6M = ("bl", "dmb", "dsb", "isb", "mrs", "msr", "udf")  # the 32-bit instructions of Armv6-M
_MULTIPLES = ("load_multiple", "store_multiple", "fp_load_multiple", "fp_store_multiple")

_WINDOW = 1 << 14  # bytes (an IT block and more) that are handed to capstone at once: it gets a copy, again behind whatever is no instruction


def decode(code: bytes, address: int) -> np.ndarray:
    """Records of the code that begins at `address`, one an instruction, in order.

    Halfwords that are no instruction become `undefined` records, so the records cover `code` without a gap.
    """
    return np.fromiter((tuple(row.get(name, 0) for name in RECORD.names) for row in _rows(code, address)), RECORD)


def _rows(code: bytes, address: int) -> Iterator[dict]:
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    disassembler.detail = True
    at, left_in_it, it_at = 0, 0, 0
    known: dict[tuple, dict] = {}  # what stands again and again is taken apart once; what else its address says, a branch has in its text
    while at + 1 < len(code):
        begin = it_at if left_in_it else at  # an IT block that a window's end has cut is read again from its head
        end = min(begin + _WINDOW, len(code))
        for instruction in disassembler.disasm(code[begin:end], address + begin):
            if instruction.address < address + at:
                continue
            key = bytes(instruction.bytes), instruction.mnemonic, instruction.op_str, instruction.address & 3
            if key not in known:
                known[key] = _row(instruction)
            row = known[key] | {"address": instruction.address}
            if left_in_it and row["kind"] != KIND["it"]:
                left_in_it -= 1
                _inside_it(row)
            if row["kind"] == KIND["it"]:
                left_in_it, it_at = len(_stem(instruction)) - 1, instruction.address - address
            yield row
            at = instruction.address + instruction.size - address
        if at + 1 < len(code) and (end == len(code) or at + 4 <= end):
            size = min(_width(int.from_bytes(code[at:at + 2], "little")), len(code) - at)
            yield {"address": address + at, "size": size, "kind": KIND["undefined"], "base": -1, "index": -1, "align": 1,
                   "text": f".inst 0x{int.from_bytes(code[at:at + size], 'little'):x}".encode()}
            at, left_in_it = at + size, 0


def _width(halfword: int) -> int:
    """Bytes of the instruction that begins with this halfword (Armv7-M ARM, A5.1)."""
    return 4 if halfword >> 11 >= 0b11101 else 2


def _conditional(i: capstone.CsInsn) -> bool:
    return i.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID)


def _stem(i: capstone.CsInsn) -> str:
    """The mnemonic without condition, width and type suffix (MLS and SVC only look conditional)."""
    stem = i.mnemonic.split(".")[0]
    return stem.removesuffix(_CONDITIONS[i.cc - 1]) if _conditional(i) else stem


def _inside_it(row: dict) -> None:
    row["flags"] |= Flag.IN_IT
    if row["flags"] & Flag.BRANCH:
        row["flags"] |= Flag.ALWAYS  # where it executes, its condition has passed


@functools.cache
def _kind(stem: str) -> str:
    return next((kind for pattern, kind in _PATTERNS if pattern.match(stem)), "alu")


def _row(i: capstone.CsInsn) -> dict:
    stem = _stem(i)
    kind = _kind(stem)
    reads, writes = _masks(i)
    row = {"address": i.address, "size": i.size, "kind": KIND[kind], "flags": Flag(0), "reads": reads, "writes": writes,
           "base": -1, "index": -1, "align": 1, "condition": (i.cc - 1) & 15, "text": f"{i.mnemonic} {i.op_str}".strip().encode()[:48]}
    row["flags"] |= _instruction_sets(i, stem, kind)
    if row["flags"] & Flag.FP:
        _floating_point(i, kind, row)
    if kind in _MULTIPLES:
        _multiple(i, stem, row)
    elif any(o.type == arm.ARM_OP_MEM for o in i.operands) and kind not in ("nop", "undefined"):
        _access(i, stem, kind, row)
    if kind == "divide":
        row["flags"] |= Flag.DIVIDE | (Flag.SIGNED if stem == "sdiv" else Flag(0))
        row["base"], row["index"] = (_CORE[o.reg] for o in i.operands[-2:])
    _branch(i, kind, row)
    if row["writes"] >> SP & 1:
        row["flags"] |= Flag.WRITES_SP
    return row


def _instruction_sets(i: capstone.CsInsn, stem: str, kind: str) -> Flag:
    """What a core must have to execute it, beyond Armv6-M."""
    flags = Flag(0)
    special = i.op_str if stem in ("mrs", "msr") else ""
    if kind in ("it", "compare_branch") or i.size == 4 and stem not in _WIDE_V6M or any(name in special for name in _V7M_REGISTERS):
        flags |= Flag.V7M
    if _DSP.match(stem):
        flags |= Flag.DSP
    if _V8M.match(stem) or any(name in special for name in _V8M_REGISTERS):
        flags |= Flag.V8M
    if kind.startswith("fp"):
        flags |= Flag.FP | (Flag.FPV5 if _FPV5.match(stem) else Flag(0)) | (Flag.FP64 if ".f64" in i.mnemonic else Flag(0))
    return flags


def _masks(i: capstone.CsInsn) -> tuple[int, int]:
    """Registers read and written; capstone leaves write-back of STMDB and the accumulator of long multiplies out."""
    masks = []
    for registers in i.regs_access():
        mask = 0
        for register in registers:
            if register in _CORE:
                mask |= 1 << _CORE[register]
            elif register in _FLAG_REGISTERS:
                mask |= 1 << FLAGS_BIT
        masks.append(mask | _s_mask(registers))
    reads, writes = masks
    if i.update_flags:
        writes |= 1 << FLAGS_BIT
    if _CARRIES.match(i.mnemonic):
        writes &= ~(1 << FLAGS_BIT)  # capstone does not tell ADC from ADCS
    if _conditional(i):
        reads |= 1 << FLAGS_BIT
    if i.mnemonic.startswith(("smlal", "umlal", "umaal", "smlsld")):
        reads |= writes
    if i.mnemonic.startswith("tt"):
        writes |= 1 << _CORE[i.operands[0].reg]
    for operand in i.operands[i.mnemonic != "bxns":]:  # capstone does not say what becomes of some operands: SSAT's, PKHBT's
        if operand.type == arm.ARM_OP_REG and not operand.access and operand.reg in _CORE:
            reads |= 1 << _CORE[operand.reg]
    return reads, writes


def _floating_point(i: capstone.CsInsn, kind: str, row: dict) -> None:
    registers = [o.reg for o in i.operands if o.type == arm.ARM_OP_REG]
    if kind == "fp_move" and ".f64" not in i.mnemonic and (len(registers) > 2 or any(register in _DOUBLE for register in registers)):
        row["kind"] = KIND["fp_move_pair"]
    if kind == "fp_multiply_accumulate":
        row["addend"] = _s_mask(registers[:1])
        row["reads"] = row["reads"] & ~row["addend"] | _s_mask(registers[1:])
    if i.mnemonic.startswith("vmrs"):
        row["writes"] |= 1 << FLAGS_BIT


def _multiple(i: capstone.CsInsn, stem: str, row: dict) -> None:
    """LDM, STM, PUSH, POP, LDRD, STRD and their floating-point forms: accesses of 4 bytes from one address."""
    store = stem.startswith(("st", "push", "vst", "vpush"))
    row["access_size"], row["align"] = 4, 4
    if stem.endswith("rd"):
        _memory_operand(i, row)
        row["accesses"] = 2
    else:
        on_stack = stem in ("push", "pop", "vpush", "vpop")
        registers = [o.reg for o in i.operands if o.type == arm.ARM_OP_REG][0 if on_stack else 1:]
        row["accesses"] = sum(2 if register in _DOUBLE else 1 for register in registers)
        row["base"] = SP if on_stack else _CORE[i.operands[0].reg]
        if on_stack or i.writeback:
            row["flags"] |= Flag.WRITEBACK
        if stem in ("push", "vpush") or stem.endswith("db"):
            row["offset"] = -4 * row["accesses"]
        _listed(row, registers, store)
    if store:
        row["flags"] |= Flag.STORE
    elif row["writes"] >> PC & 1:
        row["flags"] |= Flag.LOADS_PC
    if row["flags"] & Flag.WRITEBACK:
        row["writes"] |= 1 << row["base"]
    row["reads"] |= 1 << row["base"]


def _s_mask(registers: list[int]) -> int:
    """Floating-point registers as bits of a mask; a double is two."""
    mask = 0
    for register in registers:
        mask |= 1 << S_BIT + _SINGLE[register] if register in _SINGLE else 3 << S_BIT + 2 * _DOUBLE[register] if register in _DOUBLE else 0
    return mask


def _listed(row: dict, registers: list[int], store: bool) -> None:
    """The masks of a register list, which capstone leaves out for floating point."""
    mask = _s_mask(registers)
    if mask:
        keep = (1 << S_BIT) - 1
        row["reads"] = row["reads"] & keep | (mask if store else 0)
        row["writes"] = row["writes"] & keep | (0 if store else mask)


def _memory_operand(i: capstone.CsInsn, row: dict) -> None:
    operand = next(o for o in i.operands if o.type == arm.ARM_OP_MEM)
    row["base"] = _CORE[operand.mem.base]
    row["offset"] = 0 if i.post_index else operand.mem.disp
    if operand.mem.index:
        row["index"], row["scale"] = _CORE[operand.mem.index], operand.shift.value
        row["flags"] |= Flag.INDEXED
    if i.writeback:
        row["flags"] |= Flag.WRITEBACK
        row["writes"] |= 1 << row["base"]
    if row["base"] == PC:
        row["flags"] |= Flag.LITERAL
    row["reads"] |= 1 << row["base"]


def _access(i: capstone.CsInsn, stem: str, kind: str, row: dict) -> None:
    """Everything that has one memory operand: LDR and STR of any width, exclusives, VLDR, VSTR, table branches."""
    _memory_operand(i, row)
    row["accesses"] = 1
    if kind == "table_branch":
        row["access_size"] = 1 if stem == "tbb" else 2
        row["flags"] |= Flag.LITERAL if row["base"] == PC else Flag(0)
    elif kind.startswith("fp"):
        row["access_size"], row["align"] = 4, 4
        row["accesses"] = 2 if i.operands[0].reg in _DOUBLE else 1
    else:
        suffix = re.sub(r"^(ldrex|strex|ldaex|stlex|lda|stl|ldr|str)", "", stem).removesuffix("t")
        row["access_size"] = _SIZES.get(suffix, 4)
        if "exclusive" in kind:
            row["align"] = row["access_size"]
    if kind in ("store", "store_exclusive", "fp_store"):
        row["flags"] |= Flag.STORE
        if kind == "store" and not i.writeback:
            row["writes"] = 0  # capstone calls the operand of STRBT, STRHT and STRT written
    elif row["writes"] >> PC & 1:
        row["flags"] |= Flag.LOADS_PC


def _branch(i: capstone.CsInsn, kind: str, row: dict) -> None:
    """Everything after which the next instruction can be another than the one behind it."""
    direct = kind in ("branch", "branch_link", "compare_branch")
    if not (direct or kind in ("branch_register", "table_branch") or row["writes"] >> PC & 1):
        return
    row["flags"] |= Flag.BRANCH
    conditional = kind == "compare_branch" or (kind == "branch" and _conditional(i))
    if not conditional:
        row["flags"] |= Flag.ALWAYS
    elif kind == "branch" and i.operands[-1].imm & 0xFFFFFFFF == i.address + i.size:
        row["flags"] |= Flag.TO_NEXT
