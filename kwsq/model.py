"""A model file: the float network and its int8 one, in an uncompressed .npz that needs no pickle.

`meta` is a JSON text: format, version, front end, and of every network the layers with all fields that are no arrays; an array
field F of layer L of the network of dtype D is the member `D/L/F`; a requantizer is its int32 (channels, 5) table.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kwsq import features
from kwsq.errors import InputError
from kwsq.layers import KINDS, Layer, Network
from kwsq.quantize import Requantizer

FORMAT, VERSION = "thumbcycle-model", 1
_LARGEST = 1 << 20  # bytes of all arrays; the shipped model has 20 KB
KWS = Path(__file__).parent / "models" / "kws.npz"


def save(path: str | os.PathLike[str], networks: Sequence[Network]) -> None:
    """Write networks (one a dtype) to `path`, whole or not at all, the same bytes for the same networks."""
    arrays: dict[str, np.ndarray] = {}
    described = {network.dtype: _describe(network, arrays) for network in networks}
    meta = {"format": FORMAT, "version": VERSION, "front_end": features.FRONT_END, "networks": described}
    content = io.BytesIO()
    np.savez(content, meta=np.array(json.dumps(meta)), **arrays)
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content.getvalue())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def load(path: str | os.PathLike[str] = KWS) -> dict[str, Network]:
    """The networks of a model file, by dtype: "int8", "float32".

    InputError, naming the file, when it is missing, damaged, of another version, fitted to another front end, or holds layers
    of wrong shapes, dtypes or parameters.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _check_sizes(archive.zip)
            arrays = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    # a damaged .npz can end in any of these
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, LookupError, EOFError, RuntimeError, SyntaxError,
            AttributeError, TypeError, MemoryError):
        raise InputError(f"{path}: not a model file, or a damaged one") from None
    try:
        return _networks(arrays)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a whole model: {error}") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """ValueError when reading the members would take more memory than a model can need: they may be packed, and claim any shape."""
    members = archive.infolist()
    if sum(member.file_size for member in members) > _LARGEST:
        raise ValueError("larger than any model")
    for member in members:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{member.filename} claims more than it holds")


def _describe(network: Network, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    described = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    described["layers"] = [_describe_layer(layer, network.dtype, arrays) for layer in network]
    return described


def _describe_layer(layer: Layer, dtype: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    described: dict[str, Any] = {"kernel": layer.kernel}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, Requantizer):
            described["per_channel"] = value.per_channel
            value = value.table()
        if isinstance(value, np.ndarray):
            arrays[f"{dtype}/{layer.name}/{field.name}"] = value
        else:
            described[field.name] = value
    return described


def _networks(arrays: Mapping[str, np.ndarray]) -> dict[str, Network]:
    if "meta" not in arrays or arrays["meta"].dtype.kind != "U":
        raise ValueError("not a model file: it has no description")
    meta = json.loads(str(arrays["meta"]))
    if meta["format"] != FORMAT or meta["version"] != VERSION:
        raise ValueError(f"is {meta['format']} version {meta['version']}, expected {FORMAT} version {VERSION}")
    if meta["front_end"] != features.FRONT_END:
        raise ValueError("was fitted to another front end: train it again (python -m kwsq.train)")
    networks = {}
    for dtype, described in meta["networks"].items():
        layers = tuple(_layer(layer, f"{dtype}/{layer['name']}/", arrays) for layer in described["layers"])
        networks[dtype] = Network(**(described | {"layers": layers, "labels": tuple(described["labels"])}))
        if networks[dtype].dtype != dtype:
            raise ValueError(f"its {dtype} network has {networks[dtype].dtype} layers")
    return networks


def _layer(described: dict[str, Any], prefix: str, arrays: Mapping[str, np.ndarray]) -> Layer:
    values = {key: _tuples(value) for key, value in described.items() if key not in ("kernel", "per_channel")}
    values |= {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    if "requantizer" in values:
        values["requantizer"] = Requantizer.from_table(values["requantizer"], described["per_channel"])
    return KINDS[described["kernel"]](**values)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
