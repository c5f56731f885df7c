"""Parquet tables: what is written is what is read, by us and by pyarrow."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import parquet as arrow

from emu import parquet
from emu.errors import InputError

COLUMNS = {"name": "string", "cycles": "int64", "per_mac": "double", "exact": "bool"}
ROWS = [{"name": "a", "cycles": 2**40, "per_mac": 1.5, "exact": True}, {"name": "b", "exact": False}]


def test_rows_types_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet.table_bytes(COLUMNS, ROWS, {"schema": "1"}))
    table = arrow.read_table(path)
    assert [(field.name, str(field.type)) for field in table.schema] == list(COLUMNS.items())
    assert parquet.read(path) == ([ROWS[0], {"name": "b", "cycles": None, "per_mac": None, "exact": False}], {"schema": "1"})


def test_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet.table_bytes(COLUMNS, [], {}))
    assert parquet.read(path) == ([], {})


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"name,cycles\n", None])
def test_what_is_no_parquet_file(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet.table_bytes(COLUMNS, ROWS, {})[:-20] if damage is None else damage)
    with pytest.raises(InputError, match=r"x.parquet: no Parquet file"):
        parquet.read(path)


def test_a_damaged_body(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    whole = bytearray(parquet.table_bytes(COLUMNS, ROWS, {}))
    whole[4:60] = bytes(56)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"x.parquet: a damaged Parquet file"):
        parquet.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        parquet.read(tmp_path / "x.parquet")
