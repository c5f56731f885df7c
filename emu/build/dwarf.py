"""Debug information: the layout of structs and the source lines of code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
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


def read_lines(path: Path, code_ranges: Sequence[tuple[int, int]]) -> tuple[list[int], list[str | None]]:
    """Addresses, sorted, and the "file:line" from each on (None: no line is known from there on)."""
    rows: dict[int, str | None] = {}
    with path.open("rb") as file:
        dwarf = _dwarf(path, file)
        for unit in dwarf.iter_CUs() if dwarf is not None else ():
            program = dwarf.line_program_for_CU(unit)
            if program is None:
                continue
            names: dict[int, str] = {}
            for sequence in _sequences(program):
                # What the linker threw away is still described, at address 0.
                if not any(start <= sequence[0].address < end for start, end in code_ranges):
                    continue
                for state in sequence:
                    if state.address < sequence[-1].address:  # GCC marks lines without code at the end, too
                        if state.file not in names:
                            names[state.file] = _file_name(unit, program, state.file)
                        rows[state.address] = f"{names[state.file]}:{state.line}"
                rows.setdefault(sequence[-1].address, None)
    addresses = sorted(rows)
    return addresses, [rows[a] for a in addresses]


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


def _sequences(program: Any) -> Iterator[list[Any]]:
    sequence: list[Any] = []
    for entry in program.get_entries():
        if entry.state is None:
            continue
        sequence.append(entry.state)
        if entry.state.end_sequence:
            yield sequence
            sequence = []


def _file_name(unit: Any, program: Any, index: int) -> str:
    """The file's path as the compiler was given it, relative to the folder where it ran."""
    header = program.header
    base = 0 if header.version >= 5 else 1  # DWARF 5 counts files and folders from 0
    entry = header.file_entry[index - base]
    folders = header.include_directory
    folder = ""
    if header.version >= 5:
        folder = folders[entry.dir_index].decode() if entry.dir_index < len(folders) else ""
    elif entry.dir_index:
        folder = folders[entry.dir_index - 1].decode()
    return str(PurePosixPath(folder) / entry.name.decode(errors="replace"))
