"""The memory map holds every byte of an image once."""

from __future__ import annotations

import pytest

from emu import kws
from emu.build.elf import Image
from emu.report.memory_map import memory_map
from tests.firmware.conftest import Builder


@pytest.mark.parametrize("kernels", ["thumb2", "c"])
def test_of_the_keyword_spotter(kernels: str) -> None:
    job = kws.Job(kernels=kernels)
    ready = kws.prepared(job, kws.load(job), kernels)
    parts = {symbol: part for layer in ready.program.layers for part, symbol in layer.tensors.items()}
    stack = ready.image.symbols["__stack_limit"].address, ready.image.symbols["__stack_top"].address
    flash, ram = memory_map(ready.image, stack=stack, stack_used=544, parts=parts)
    assert (flash.name, flash.size, ram.name, ram.size) == ("flash", ready.image.flash_bytes, "RAM", ready.image.ram_bytes)
    for memory in (flash, ram):
        assert all(tile.end == behind.start for tile, behind in zip(memory.tiles, memory.tiles[1:], strict=False))
        assert sum(section.size for section in memory.sections) == memory.size
    sizes = {tile.name: (tile.size, tile.kind) for memory in (flash, ram) for tile in memory.tiles if tile.name}
    for symbol in (*ready.image.functions, *ready.image.objects):
        if symbol.size:
            assert sizes[symbol.name][0] == symbol.size
    assert sizes["stack, used"] == (544, "stack")
    assert sizes["stack, not used"] == (ready.image.stack_reserve - 544, "reserve")
    assert all(sizes[layer.tensors["weights"]][1] == "weights" for layer in ready.program.layers if "weights" in layer.tensors)


def test_variables_stand_in_both_memories(builder: Builder) -> None:
    image = Image.load(builder.elf("unsigned counted = 5, zeroed[30]; int main(void) { return counted + zeroed[3]; }"))
    flash, ram = memory_map(image, stack=(0, 0x20010000), stack_used=40)
    assert flash.tiles[-1][1:3] == (image.sections[".data"].size, "initial values")
    by_name = {tile.name: tile for tile in ram.tiles}
    assert by_name["counted"].kind == "data" and by_name["counted"].section == ".data"
    assert by_name["zeroed"].kind == "zeroed" and by_name["zeroed"].size == 120
    assert by_name["stack, used"][:2] == (0x20010000 - 40, 40)
    assert "stack, not used" not in by_name  # nobody says where it ends


def test_a_stack_over_variables_takes_their_place(builder: Builder) -> None:
    """The bytes belong to the stack, which was there."""
    image = Image.load(builder.elf("unsigned zeroed[30]; int main(void) { return zeroed[3]; }"))
    base = image.symbols["zeroed"].address
    _, ram = memory_map(image, stack=(0, base + 60), stack_used=40)
    assert [(tile.start - base, tile.size, tile.kind) for tile in ram.tiles][:3] == [(0, 20, "zeroed"), (20, 40, "stack"), (60, 60, "zeroed")]
