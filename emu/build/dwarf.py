"""Debug information: the layout of structs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from emu.errors import InputError

ENCODINGS = {1: "u", 2: "u", 4: "f", 5: "i", 6: "i", 7: "u", 8: "u"}  # DW_ATE_*: address, boolean, float, signed, unsigned
WRAPPERS = ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_restrict_type")


def read_structs(path: Path) -> dict[str, dict[str, tuple[int, str, int]]]:
    """Struct name (tag or typedef) -> field -> (offset, code, size); of structs of one name, the first."""
    structs: dict[str, dict[str, tuple[int, str, int]]] = {}
    with path.open("rb") as file:
        for unit in _units(path, file):
            for die in unit.get_top_DIE().iter_children():
                name = _text(die, "DW_AT_name")
                if not name or die.tag not in ("DW_TAG_typedef", "DW_TAG_structure_type") or name in structs:
                    continue
                target = _unwrap(die)
                if target is not None and target.tag == "DW_TAG_structure_type" and "DW_AT_declaration" not in target.attributes:
                    structs[name] = {_text(m, "DW_AT_name"): _member(m) for m in target.iter_children() if m.tag == "DW_TAG_member"}
    return structs


def _dwarf(path: Path, file: Any) -> Any:
    try:
        elf = ELFFile(file)
        return elf.get_dwarf_info() if elf.has_dwarf_info() else None
    except ELFError:
        raise InputError(f"{path}: debug information that cannot be read") from None


def _units(path: Path, file: Any) -> Iterator[Any]:
    dwarf = _dwarf(path, file)
    if dwarf is not None:
        yield from dwarf.iter_CUs()


def _text(die: Any, attribute: str) -> str:
    value = die.attributes.get(attribute)
    return value.value.decode(errors="replace") if value is not None else ""


def _unwrap(die: Any) -> Any:
    """The type behind typedefs and qualifiers; None for void."""
    while die is not None and die.tag in WRAPPERS:
        die = die.get_DIE_from_attribute("DW_AT_type") if "DW_AT_type" in die.attributes else None
    return die


def _member(member: Any) -> tuple[int, str, int]:
    offset = member.attributes["DW_AT_data_member_location"].value if "DW_AT_data_member_location" in member.attributes else 0
    target = _unwrap(member.get_DIE_from_attribute("DW_AT_type"))
    size = target.attributes["DW_AT_byte_size"].value if target is not None and "DW_AT_byte_size" in target.attributes else 0
    if target is not None and target.tag == "DW_TAG_pointer_type":
        return offset, "ptr", size or 4
    if target is not None and target.tag == "DW_TAG_base_type":
        return offset, f"{ENCODINGS.get(target.attributes['DW_AT_encoding'].value, '?')}{size}", size
    if target is not None and target.tag == "DW_TAG_enumeration_type":
        return offset, f"u{size}", size
    return offset, "?", size
