"""The probe as an object: made of tables, hooked into an engine, read when the run is over."""

from __future__ import annotations

import ctypes as c
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from emu.probe import layout as at
from emu.probe.counts import Counts, Site, Stream


class Code(NamedTuple):
    """Decoded code: `entries` is an at.ENTRY array, one a halfword from `start`."""

    start: int
    entries: np.ndarray


class Data(NamedTuple):
    """Memory: `objects` is a uint16 array, one a byte from `start`, of columns of the traffic table."""

    start: int
    objects: np.ndarray
    memory: int
    read_only: bool


@functools.cache
def _native() -> c.CDLL:
    from emu.probe import build  # here, so that `python -m emu.probe.build` is not imported twice

    library = c.CDLL(str(build.library()))
    pointer = c.c_void_p
    for name, result, arguments in (
        ("probe_sizes", c.c_size_t, [c.c_int]), ("probe_new", pointer, [pointer]), ("probe_attach", c.c_int, [pointer, pointer]),
        ("probe_start", None, [pointer]), ("probe_finish", None, [pointer, c.c_uint32]), ("probe_streams", pointer, [pointer, pointer]),
        ("probe_events", pointer, [pointer, pointer]), ("probe_sites", pointer, [pointer, pointer]), ("probe_facts", pointer, [pointer]),
        ("probe_fault", c.POINTER(at.Fault), [pointer]), ("probe_peak", c.c_uint32, [pointer]),
        ("probe_free", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    sizes = tuple(library.probe_sizes(which) for which in range(len(at.SIZES)))
    assert sizes == at.SIZES, f"probe.h and layout.py differ: {sizes} != {at.SIZES}"
    return library


class Probe:
    """Counts of one machine's runs.

    `unicorn_library` is the ctypes library that the engine lives in; `cpacr` the address, on the host, of the word that holds
    CPACR; `limit` the instructions after which a run is stopped as endless.
    """

    def __init__(self, unicorn_library: c.CDLL, code: Sequence[Code], data: Sequence[Data], objects: Sequence[str], *, cpacr: int,
                 layers: int, stack: tuple[int, int], limit: int) -> None:
        self._handle = None
        self._library = _native()
        self._objects, self._layers = tuple(objects), layers
        self._keep = (tuple(code), tuple(data))  # the probe reads these arrays while it runs
        self._traffic = np.zeros((layers + 1, len(objects), 6), np.uint64)
        codes = (at.CodeRegion * len(code))(*(at.CodeRegion(r.start, 2 * len(r.entries), r.entries.ctypes.data) for r in code))
        datas = (at.DataRegion * len(data))(*(
            at.DataRegion(r.start, len(r.objects), r.objects.ctypes.data, r.memory, r.read_only) for r in data))
        functions = (c.cast(getattr(unicorn_library, name), c.c_void_p) for name in ("uc_reg_read", "uc_emu_stop", "uc_hook_add"))
        config = at.Config(*functions, codes, datas, cpacr, self._traffic.ctypes.data, limit, len(code), len(data), layers, len(objects),
                           *stack)
        self._keep += (codes, datas)
        self._handle = self._library.probe_new(c.byref(config))

    def __del__(self) -> None:
        if self._handle:
            self._library.probe_free(self._handle)

    def attach(self, engine_handle: int) -> None:
        """Hook into the engine of that handle (a uc_engine pointer)."""
        error = self._library.probe_attach(self._handle, engine_handle)
        if error:
            raise RuntimeError(f"Unicorn refused the probe's hooks: error {error}")

    def start(self) -> None:
        """A run begins: forget where execution stood. Counts go on."""
        self._library.probe_start(self._handle)

    def finish(self, pc: int) -> None:
        """The run ended before the instruction at `pc`: close the last stream."""
        self._library.probe_finish(self._handle, pc)

    @property
    def fault(self) -> at.Fault:
        """What stopped the run; kind 0 (at.FAULTS[0]) when nothing did, with the last instruction and its layer."""
        return self._library.probe_fault(self._handle).contents

    def counts(self) -> Counts:
        """All that was counted since the probe was made."""
        streams, sites = self._array("probe_streams", at.STREAM), self._array("probe_sites", at.SITE)
        size = c.c_size_t()
        events = self._library.probe_events(self._handle, c.byref(size))
        pool = c.string_at(events, size.value) if size.value else b""
        facts = c.string_at(self._library.probe_facts(self._handle), at.FACTS.itemsize * (self._layers + 1))
        entries, calls, stack = zip(*np.frombuffer(facts, at.FACTS).tolist(), strict=True)
        return Counts(
            layers=self._layers,
            streams=[Stream(layer, start, end, bool(taken), pool[first:first + number], length, count)
                     for _, count, first, start, end, layer, number, length, taken in streams.tolist()],
            sites=sorted(Site(layer, pc, kind, bucket, count) for count, pc, layer, kind, bucket in sites[sites["count"] > 0].tolist()),
            traffic=self._traffic.astype(np.int64).reshape(self._layers + 1, -1, 2, 3),
            objects=self._objects, entries=list(entries), calls=list(calls), stack=list(stack),
            peak=self._library.probe_peak(self._handle))

    def _array(self, getter: str, dtype: np.dtype) -> np.ndarray:
        number = c.c_uint32()
        address = getattr(self._library, getter)(self._handle, c.byref(number))
        return np.frombuffer(c.string_at(address, number.value * dtype.itemsize) if number.value else b"", dtype)
