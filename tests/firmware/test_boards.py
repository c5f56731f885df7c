"""Boards: their files, UARTs, registers that start-up code waits for; the core's own registers."""

from __future__ import annotations

import pytest

from emu.errors import UsageError
from emu.machine import board
from tests.firmware.conftest import FPU, PROGRAMS

MAIN = '#include "firmware.h"\n{head}\nint main(void) {{\n{body}\nreturn 0;\n}}\n'


def runs(start, body: str, *flags: str, head: str = "", **options: object):
    done = start(MAIN.format(head=head, body=body), *flags, **options)
    assert done.code == 0, f"line {done.code}: {done.result.ending.text}"
    return done


@pytest.mark.parametrize("name", board.names())
def test_every_board_file(name):
    found = board.load(name)
    assert found.name == name
    assert found.memories and found.source and found.clock > 0
    for block in found.blocks:
        assert not block.registers or max(block.registers) < block.size or name == "nrf52840"
        assert set(block.reset) | set(block.follows) <= set(block.registers)
    for uart in found.uarts:
        assert found.register(uart.data)
        assert uart.status is None or found.register(uart.status)


def test_no_such_board():
    with pytest.raises(UsageError, match=r"no board 'stm32f40' \(did you mean stm32f407\?\): there are generic, "):
        board.load("stm32f40")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nme": 1}, "unknown key of a board: nme"),
        ({"title": None}, "missing key of a board: title"),
        ({"memory": [{"name": "a", "start": 0, "size": 8}, {"name": "b", "start": 4, "size": 8}]}, "memories a and b overlap"),
        ({"block": [{"name": "X", "base": 0, "reset": {"CR": 1}}]}, "block X has no register 'CR'"),
        ({"uart": [{"name": "U"}]}, "missing key of a uart: data"),
    ],
)
def test_a_board_file_with_a_mistake(change, message):
    table = {"name": "x", "title": "x", "source": "x", "clock": 1} | change
    with pytest.raises(ValueError, match=message):
        board.from_table({key: value for key, value in table.items() if value is not None})


SEND = """static void send(const char *text) {{
    for (; *text; text++) {{
        while (!(REG({status}) & {ready}))
            ;
        {store}({data}) = *text;
    }}
}}"""


@pytest.mark.parametrize(
    ("on", "status", "ready", "data"),
    [("stm32f407", "0x40011000", "0x80", "0x40011004"), ("stm32f407", "0x40004400", "0x40", "0x40004404"), ("stm32l4r5", "0x4000801C", "0x80", "0x40008028")],
)
@pytest.mark.parametrize("store", ["REG", "REG8", "REG16"])
def test_a_board_s_uart(builder, start, on, status, ready, data, store):
    done = runs(start, 'send("Hello, ");\nsend("UART\\n");', head=SEND.format(status=status, ready=ready, data=data, store=store), board=on)
    assert done.out == "Hello, UART\n"
    assert done.result.notes == ()


def test_a_uart_at_a_named_address(start):
    from emu.firmware import uart

    head = SEND.format(status="0x4000C018", ready="0x20", data="0x4000C000", store="REG")
    done = runs(start, 'send("there\\n");', head=head, uarts=(uart("0x4000C000:0x4000c018=0x20"),))
    assert done.out == "there\n"
    assert start(MAIN.format(head=head, body='send("x");')).result.ending.status == 5
    for wrong in ("x", "1:y", "1:2=z", "-1", "0x100000000"):
        with pytest.raises(UsageError, match="--uart "):
            uart(wrong)


def test_trace_port(start):
    """CMSIS's ITM_SendChar, as if a debugger listened."""
    done = runs(start, """
    for (const char *text = "traced\\n"; *text; text++)
        if (REG(0xE0000E80) & 1 && REG(0xE0000E00) & 1) {
            while (!REG(0xE0000000)) ;
            REG8(0xE0000000) = *text;
        }
    REG(0xE0000004) = 'x';
    CHECK(REG(0xE000EDF0) & 1);""")
    assert done.out == "traced\n"


def test_start_up_code_that_waits(start):
    """HSE, PLL and the switch to it, as every STM32F4 project has it; what was written is read back."""
    runs(start, """
    REG(0x40023800) |= 1 << 16; while (!(REG(0x40023800) & 1 << 17)) ;
    REG(0x40023804) = 0x07405408;
    REG(0x40023800) |= 1 << 24; while (!(REG(0x40023800) & 1 << 25)) ;
    REG(0x40023C00) = 5 | 1 << 8; CHECK((REG(0x40023C00) & 15) == 5);
    REG(0x40023808) |= 2; while ((REG(0x40023808) & 0xC) != 8) ;
    REG(0x40023800) &= ~(1u << 16); CHECK(!(REG(0x40023800) & 1 << 17));
    REG16(0x40020002) = 0x1234; CHECK(REG(0x40020000) == 0x12340000);
    CHECK(REG(0x40023804) == 0x07405408);""", board="stm32f407")


CORE_REGISTERS = """
#define RW(address, written, read) REG(address) = (written); CHECK(REG(address) == (read))
    CHECK(REG(0xE000ED00) == {cpuid}u);
    CHECK(REG(0xE000E004) == 7);
    RW(0xE000E008, 2, 2);
    RW(0xE000ED08, 0x20000180, 0x20000180); RW(0xE000ED08, 0x08000000, 0x08000000);
    CHECK(REG(0xE000ED0C) >> 16 == 0xFA05);
    RW(0xE000ED0C, 0x05FA0300, 0xFA050300); RW(0xE000ED0C, 0x0300, 0xFA050300); RW(0xE000ED0C, 0x05FA0000, 0xFA050000);
    RW(0xE000ED10, 0x10, 0x10); RW(0xE000ED10, 0, 0);
    CHECK(REG(0xE000ED14) & 1 << 9);
    RW(0xE000ED18, 0xFFFFFFFF, 0xF0F0F0); REG(0xE000ED18) = 0;
    REG8(0xE000ED1F) = 0x55; CHECK(REG(0xE000ED1C) == 0x50000000); REG(0xE000ED1C) = 0;
    RW(0xE000ED24, 0x70000, 0x70000); RW(0xE000ED24, 0, 0);
    CHECK(REG(0xE000ED28) == 0 && REG(0xE000ED2C) == 0);
    RW(0xE000E100, 0x80000001, 0x80000001); RW(0xE000E180, 1, 0x80000000); RW(0xE000E104, 2, 2);
    RW(0xE000E180, 0xFFFFFFFF, 0); RW(0xE000E184, 0xFFFFFFFF, 0);
    RW(0xE000E204, 4, 4); CHECK(REG(0xE000E284) == 4 && REG(0xE000E300) == 0); RW(0xE000E284, 4, 0);
    REG(0xE000EF00) = 40; CHECK(REG(0xE000E204) == 1 << 8); CHECK((REG(0xE000ED04) >> 12 & 0x1FF) == 0); REG(0xE000E284) = 1 << 8;
    REG8(0xE000E403) = 0xFF; CHECK(REG(0xE000E400) == 0xF0000000); REG16(0xE000E400) = 0x2010; CHECK(REG(0xE000E400) == 0xF0002010);
    CHECK(REG(0xE000ED90) == 8 << 8);
    REG(0xE000ED98) = 3; REG(0xE000ED9C) = 0x20000000; REG(0xE000EDA0) = 0x0300001F;
    REG(0xE000ED9C) = 0x08000014; CHECK(REG(0xE000ED98) == 4); REG(0xE000EDA0) = 0x11;
    CHECK(REG(0xE000ED9C) == 0x08000004 && REG(0xE000EDA0) == 0x11);
    REG(0xE000ED98) = 3; CHECK(REG(0xE000ED9C) == 0x20000003 && REG(0xE000EDA0) == 0x0300001F);
    RW(0xE000ED94, 5, 5); RW(0xE000ED94, 0, 0);
    RW(0xE000EDFC, 1 << 24, 1 << 24);
    RW(0xE0001020, 0x1234, 0x1234);
    CHECK(REG(0xE000E01C) == 0xC0000000u);
"""


def test_core_registers(start):
    done = runs(start, CORE_REGISTERS.format(cpuid="0x410FC241"))
    assert done.result.notes == ("the MPU is switched on: its regions are kept, but nothing is protected by them",)


def test_registers_of_floating_point(start):
    runs(start, """
    CHECK(REG(0xE000ED88) == 0xF << 20);
    REG(0xE000ED88) = 0xFFFFFFFF; CHECK(REG(0xE000ED88) == 0xF << 20);
    CHECK(REG(0xE000EF34) == 3u << 30 && REG(0xE000EF38) == 0 && REG(0xE000EF3C) == 0 && REG(0xE000EF40) == 0x10110021);
    REG(0xE000EF3C) = 1 << 24; CHECK(REG(0xE000EF3C) == 1 << 24);""", *FPU)


def test_the_caches_of_an_m7(start):
    """CMSIS's SCB_EnableICache and SCB_EnableDCache."""
    done = runs(start, """
    REG(0xE000EF50) = 0; REG(0xE000ED14) |= 1 << 17; CHECK(REG(0xE000ED14) & 1 << 17);
    REG(0xE000ED84) = 0;
    uint32_t size = REG(0xE000ED80), sets = size >> 13 & 0x7FFF, operations = 0;
    do {
        uint32_t ways = size >> 3 & 0x3FF;
        do { REG(0xE000EF60) = sets << 5 | ways << 30; operations++; } while (ways-- != 0);
    } while (sets-- != 0);
    CHECK(operations == 512);
    REG(0xE000ED14) |= 1 << 16; CHECK(REG(0xE000ED14) & 1 << 16);""", cpu="cortex-m7")
    assert done.result.notes == ()


def test_a_trap_that_is_not_there_is_told(start):
    done = runs(start, "REG(0xE000ED14) |= 1 << 4; REG(0xE000ED14) |= 1 << 4;")
    assert done.result.notes == ("CCR.DIV_0_TRP is kept, but nothing traps",)


def test_exceptions_program_on_a_board(start):
    assert start(PROGRAMS / "exceptions.c", board="stm32f407").code == 0
