"""Every way in which a program can go wrong: one line that names instruction, function, source line, layer, address and tensor."""

from __future__ import annotations

import re

import pytest

from emu.errors import TargetFault
from emu.machine import Machine
from tests.emu.target import array, function

DATA = array("weights", 16, ".rodata") + array("output", 32) + array("scratch", 8)
WHERE = r"at 0x08[0-9a-f]{6} in kernel\+0x[0-9a-f]+ \(\S+\.s:\d+\), layer first(; cortex-\S+ has it)?$"
OUTSIDE = "snippet:push {lr}\nbl kernel\npop {pc}"

# body of a kernel -> message before "; 'instruction' at ... in kernel (file:line), layer first"
FAULTS = {
    "read outside": (
        "movs r1, #0\nldr r0, [r1, #4]",
        r"read of 4 bytes outside memory, at 0x00000004, off a null pointer; 'ldr r0, \[r1, #4\]'",
    ),
    "byte": (
        "mvn r1, #0\nldrb r0, [r1]",
        r"read of 1 byte outside memory, at 0xffffffff, \d+ bytes behind the end of \w+; 'ldrb r0, \[r1\]'",
    ),
    "write outside": (
        "ldr r1, =0x20800000\nstrh r0, [r1]",
        r"write of 2 bytes outside memory, at 0x20800000, \d+ bytes behind the end of \w+; 'strh",
    ),
    "half outside": ("ldr r1, =0x207ffffe\nldr r0, [r1]", r"read of 4 bytes outside memory, at 0x207ffffe, .*; 'ldr r0"),
    "second word": ("ldr r1, =0x207ffff8\nldm r1, {r0, r2, r3}", r"read of 4 bytes outside memory, at 0x20800000, .*; 'ldm.w r1, "),
    "strd": ("ldr r1, =0x207ffffc\nstrd r0, r2, [r1]", r"write of 4 bytes outside memory, at 0x20800000, .*; 'strd"),
    "push elsewhere": (
        "mov r6, sp\nldr r0, =0x10000000\nmov sp, r0",
        r"stack overflow: SP is 0x10000000, 268435456 bytes below the stack's limit; 'mov sp, r0'",
    ),
    "predicated": (
        "cmp r1, r1\nmov r1, #8\nite ne\nldrne r0, [r2]\nstreq r0, [r1]",
        r"write of 4 bytes outside memory, at 0x00000008, .*; 'streq r0, \[r1\]'",
    ),
    "flash": ("ldr r1, =weights+4\nstr r0, [r1]", r"write of 4 bytes into flash, at 0x08[0-9a-f]{6}, in weights\+4; 'str r0, \[r1\]'"),
    "behind a tensor": (
        "ldr r1, =scratch+8\nldrd r0, r1, [r1, #2*4+0]\nldr r1, =scratch+9\nldm r1, {r0, r2}",
        r"unaligned address 0x20[0-9a-f]{6}, where cortex-m4 faults, 1 bytes? behind the end of scratch; 'ldm",
    ),
    "unaligned": (
        "ldr r1, =output+6\nldrd r0, r1, [r1]",
        r"unaligned address 0x20[0-9a-f]{6}, where cortex-m4 faults, in output\+6; 'ldrd r0, r1, \[r1\]'",
    ),
    "undefined": ("udf #3", r"an instruction that cortex-m4 does not have; 'udf #3'"),
    "coprocessor": ("mcr p15, 0, r0, c0, c0, 0", r"an instruction that cortex-m4 does not have; 'mcr "),
    "double precision": (".inst.w 0xee310b02", r"an instruction that cortex-m4 does not have; 'vadd.f64 "),
    "weeds": ("ldr r1, =0x60000001\nbx r1", r"(executed what is no instruction of the image, at|jumped to) 0x60000000.*; 'bx r1'"),
    "zero": ("movs r1, #1\nblx r1", r"(executed what is no instruction of the image, at|jumped to) 0x00000000.*; 'blx r1'"),
    "data": ("ldr r1, =output+1\nbx r1", r"executed what is no instruction of the image, at 0x20[0-9a-f]{6}; 'bx r1'"),
    "literal pool": (
        "adr r1, 1f\nadd r1, #1\nbx r1\n.balign 4\n1: .word 0x4770bf00",
        r"executed what is no instruction of the image, at 0x08[0-9a-f]{6}; 'bx r1'",
    ),
    "into data by falling": (
        "nop\nb 2f\n.balign 4\n2: nop\n1: .word 0x4770bf00",
        r"executed what is no instruction of the image, at 0x08[0-9a-f]{6}; 'nop'",
    ),
    "Arm state": ("ldr r1, =snippet\nbic r1, #1\nbx r1", r"jumped to 0x08000000, where no Thumb code is; 'bx r1'"),
    "middle of a wide one": (
        "adr r1, 1f\nadd r1, #3\nbx r1\n.balign 4\n1: movw r0, #0x4770\nnop",
        r"executed what is no instruction of the image, at 0x08[0-9a-f]{6}; 'bx r1'",
    ),
    "exception return": ("mvn r1, #6\nbx r1", r"(executed what is no instruction of the image, at|jumped to) 0xfffffff8.*; 'bx r1'"),
    "popped": (
        "movs r0, #9\npush {r0}\npop {pc}",
        r"(executed what is no instruction of the image, at|jumped to) 0x00000008.*; 'pop {pc}'",
    ),
    "recursion": (
        "1: push {r4, lr}\nbl 1b",
        r"stack overflow: SP is 0x1ffffff[0-9a-f], \d+ bytes below the stack's limit; 'push {r4, lr}'",
    ),
    "frames": (
        "1: sub sp, #512\nb 1b",
        r"stack overflow: SP is 0x1ffff[0-9a-f]{3}, \d+ bytes below the stack's limit; 'sub.w sp, sp, #0x200'",
    ),
    "one register": (
        "1: str r0, [sp, #-8]!\nb 1b",
        r"stack overflow: SP is 0x1ffffffc, 4 bytes below the stack's limit; 'str r0, \[sp, #-0x8\]!'",
    ),
    "float registers": ("1: vpush {d0-d7}\nb 1b", r"stack overflow: SP is 0x1ffffff[0-9a-f]|stack overflow: SP is 0x1fffff[c-f]"),
    "b .": ("1: b 1b", r"no end in sight after 5,000 instructions; 'b #0x"),
    "two streams": ("1: b 2f\nnop\n2: nop\nb 1b", r"no end in sight after 5,000 instructions; 'b #0x"),
    "predicated loop": ("cmp r0, r0\n1: ite eq\nmoveq r0, #1\nmovne r0, #2\nb 1b", r"no end in sight after 5,000 instructions; 'b #0x"),
    "conditional loop": ("cmp r0, r0\n1: nop\nbeq 1b", r"no end in sight after 5,000 instructions; 'beq #0x"),
    "SysTick": (
        "ldr r1, =0xE000E010\nldr r0, [r1]",
        r"read of 4 bytes at 0xe000e010 \(SYST_CSR\): no peripheral is there; 'ldr r0, \[r1\]'",
    ),
    "SysTick byte": (
        "ldr r1, =0xE000E018\nstrb r0, [r1, #1]",
        r"write of 1 byte at 0xe000e019 \(SYST_CVR\): no peripheral is there; 'strb",
    ),
    "nameless": ("ldr r1, =0xE000EE30\nstr r0, [r1]", r"write of 4 bytes at 0xe000ee30: no peripheral is there; 'str r0, \[r1\]'"),
    "DWT": ("ldr r1, =0xE0001004\nldr r0, [r1]", r"read of 4 bytes at 0xe0001004 \(DWT_CYCCNT\): no peripheral is there; 'ldr"),
    "a vendor's": ("ldr r1, =0x40020018\nstr r0, [r1]", r"write of 4 bytes at 0x40020018: no peripheral is there; 'str"),
    "BKPT": ("bkpt #0xab", r"BKPT, and no debugger is there; 'bkpt #0xab'"),
    "SVC": ("svc #3", r"SVC, and the image has no handler that the machine would call; 'svc #3'"),
    "WFI": ("wfi", r"the core sleeps \(WFI, WFE\), and nothing is there to wake it; 'wfi'"),
}


def machine(assembler, body: str, **options: object) -> Machine:
    image = assembler.image(function("snippet", OUTSIDE.split(":")[1]) + function("kernel", body + "\nbx lr") + DATA)
    return Machine(image, limit=5000, kernels=["kernel"], layers=1, layer_names=["first"], **options)


def fault(machine: Machine) -> str:
    with pytest.raises(TargetFault) as caught:
        machine.call("snippet")
    assert caught.value.status == 5
    return str(caught.value)


@pytest.mark.parametrize("name", FAULTS)
def test_message(assembler, name):
    body, expected = FAULTS[name]
    message = fault(machine(assembler, body))
    assert "\n" not in message
    assert re.match(expected, message), message
    if name != "into data by falling":
        assert re.search(WHERE, message), message


def test_a_write_that_faults_does_not_happen(assembler):
    """The machine stops before the instruction: what a fault handler would see is still there."""
    subject = machine(assembler, "ldr r1, =0x207ffffc\nmov r0, #0\nmov r2, #0\nmov r3, #0\nstm r1, {r0, r2, r3}")
    before = subject.read(0x207FFFFC, 4)
    fault(subject)
    assert subject.read(0x207FFFFC, 4) == before


def test_the_source_line_is_the_right_one(assembler):
    subject = machine(assembler, "nop\nmovs r1, #0\nldr r0, [r1]\nnop")
    file, line = re.search(r"\((\S+):(\d+)\), layer first", fault(subject)).groups()
    found = next(path for path in assembler.folder.glob("*.s") if path.name == file.rsplit("/")[-1])
    assert found.read_text().splitlines()[int(line) - 1].strip() == "ldr r0, [r1]"


def test_outside_layers_no_layer_is_named(assembler):
    subject = Machine(assembler.image(function("snippet", "movs r1, #0\nldr r0, [r1]")), layers=1, layer_names=["first"])
    assert "layer" not in fault(subject)


def test_after_a_fault_the_machine_serves_again(assembler):
    """The next run is judged by itself: its own fault, or none, and its own limit."""
    image = assembler.image(function("kernel", "ldr r0, [r0]\nbx lr") + function("loop", "1: subs r0, #1\nbne 1b\nbx lr") + DATA)
    subject = Machine(image, limit=1000)
    for address in (0x10, 0x20):
        with pytest.raises(TargetFault, match=f"at 0x000000{address:02x}"):
            subject.call("kernel", address)
    for _ in range(5):
        subject.call("loop", 300)  # 601 instructions; five runs are more than the limit, one is not
    with pytest.raises(TargetFault, match="no end in sight after 1,000 instructions"):
        subject.call("loop", 501)
    assert subject.call("kernel", image.symbols["weights"].address) == 0


def test_a_limit_that_just_suffices(assembler):
    """10 instructions, limit 10: the run is over when the limit is."""
    assembler.machine("nop\n" * 9 + "bx lr", limit=10).call("snippet")
