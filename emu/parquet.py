"""Tables as Parquet, with what the file says about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emu.errors import InputError


def table_bytes(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], about: Mapping[str, str]) -> bytes:
    """A Parquet file. columns: name -> Arrow's name of its type ("int64", "double", "bool", "string"), in order; a key that a row lacks is null.

    about: key -> value in the file's metadata.
    """
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in columns.items()], metadata=dict(about))
    table = pyarrow.table([pyarrow.array([row.get(name) for row in rows], schema.field(name).type) for name in columns], schema=schema)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def about(path: str | Path) -> dict[str, str]:
    """What the file at `path` says about itself. InputError for one that is no Parquet file, or cannot be read."""
    return _open(path)[1]


def read(path: str | Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """(rows, what the file says about itself). InputError for one that is no Parquet file, or cannot be read."""
    import pyarrow

    file, said = _open(path)
    try:
        return file.read().to_pylist(), said
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: a damaged Parquet file ({_first_line(error)})") from None


def _open(path: str | Path) -> tuple[Any, dict[str, str]]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(Path(path).read_bytes()))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or _first_line(error)}") from None
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: no Parquet file ({_first_line(error)})") from None
    said = file.schema_arrow.metadata or {}
    return file, {key.decode(errors="replace"): value.decode(errors="replace") for key, value in said.items()}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
