"""The probe as an object: made of tables, hooked into an engine, read when the run is over."""

from __future__ import annotations

import ctypes as c
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from emu.errors import BuildError
from emu.probe import layout as at
from emu.probe.counts import Call, Context, Counts, Path, Site, Stream, Touch
from emu.probe.follow import Follower, natives


class Code(NamedTuple):
    """Decoded code: `entries` is an at.ENTRY array, one a halfword from `start`; `functions` uint16, their numbers, or None: calls are not followed."""

    start: int
    entries: np.ndarray
    functions: np.ndarray | None = None


class Data(NamedTuple):
    """Memory: `objects` is a uint16 array, one a byte from `start`, of columns of the traffic table; a number of bytes where all are OTHER.

    device: the host is told of every access, before a load and after a store.
    """

    start: int
    objects: np.ndarray | int
    memory: int
    read_only: bool
    device: bool = False

    @property
    def size(self) -> int:
        return self.objects if isinstance(self.objects, int) else len(self.objects)


class Pricer(Protocol):
    """What a timed run asks. sites: uint32 (at.SITE_KINDS, at.BUCKETS), cycles of one site."""

    sites: np.ndarray

    def stream(self, start: int, end: int, taken: bool, entered: bool, events: bytes) -> int:
        """Cycles of a distinct stream."""


@functools.cache
def _native() -> c.CDLL:
    from emu.probe import build  # here, so that `python -m emu.probe.build` is not imported twice

    path = build.library()
    try:
        library = c.CDLL(str(path))
    except OSError as error:
        raise BuildError(f"the native probe {path} does not load: {str(error).removeprefix(f'{path}: ')} (delete it, and it is compiled anew)") from None
    pointer = c.c_void_p
    for name, result, arguments in (
        ("probe_sizes", c.c_size_t, [c.c_int]), ("probe_new", pointer, [pointer]), ("probe_attach", c.c_int, [pointer, pointer]),
        ("probe_start", None, [pointer]), ("probe_finish", None, [pointer, c.c_uint32]), ("probe_streams", pointer, [pointer, pointer]),
        ("probe_events", pointer, [pointer, pointer]), ("probe_sites", pointer, [pointer, pointer]), ("probe_touches", pointer, [pointer, pointer]), ("probe_facts", pointer, [pointer]),
        ("probe_fault", c.POINTER(at.Fault), [pointer]), ("probe_peak", c.c_uint32, [pointer]),
        ("probe_contexts", pointer, [pointer, pointer]), ("probe_paths", pointer, [pointer, pointer]), ("probe_edges", pointer, [pointer, pointer]), ("probe_folded", c.c_int, [pointer]),
        ("probe_resume", None, [pointer]), ("probe_retry", None, [pointer]), ("probe_data", None, [pointer, pointer, c.c_uint32]),
        ("probe_instructions", c.c_int64, [pointer]), ("probe_flush", None, [pointer]), ("probe_request", None, [pointer]),
        ("probe_slice", None, [pointer, c.c_int64]), ("probe_deadline", None, [pointer, c.c_uint64]), ("probe_cycles", c.c_uint64, [pointer]),
        ("probe_open", c.c_int, [pointer, pointer, pointer]), ("probe_sleep", None, [pointer, c.c_uint64]),
        ("probe_exception_entry", None, [pointer, *[c.c_uint32] * 5]), ("probe_exception_return", None, [pointer, *[c.c_uint32] * 3]),
        ("probe_tail_chain", None, [pointer, *[c.c_uint32] * 2]), ("probe_free", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    sizes = tuple(library.probe_sizes(which) for which in range(len(at.SIZES)))
    assert sizes == at.SIZES, f"probe.h and layout.py differ: {sizes} != {at.SIZES}"
    return library


class Probe:
    """Counts of one machine's runs.

    `unicorn_library` is the ctypes library that the engine lives in; `cpacr` the address, on the host, of the word that holds
    CPACR; `limit` the instructions after which a run is stopped as endless. device(address, size, store): called before a load from a
    device region and after a store to one. pricer: makes the run a timed one. followers: what follows the run beside it.
    touches: count by instruction which objects its accesses touch. keeps: layers are AAPCS functions, and held to the registers that those keep.
    """

    def __init__(self, unicorn_library: c.CDLL, code: Sequence[Code], data: Sequence[Data], objects: Sequence[str], *, cpacr: int,
                 layers: int, stack: tuple[int, int], limit: int, device: Callable[[int, int, bool], None] | None = None,
                 pricer: Pricer | None = None, followers: Sequence[Follower] = (), touches: bool = False, keeps: bool = False,
                 memories: Mapping[int, tuple[str, int, int]] | None = None) -> None:
        self._handle = None
        self._library = _native()
        self._objects, self._layers, self._memories = tuple(objects), layers, dict(memories or {})
        self.pending_error: BaseException | None = None  # raised by the host's own functions during a run
        self._device, self._pricer = device, pricer
        self._traffic = np.zeros((layers + 1, len(objects), 6), np.uint64)
        codes = (at.CodeRegion * len(code))(*(at.CodeRegion(r.start, 2 * len(r.entries), r.entries.ctypes.data, _address(r.functions)) for r in code))
        datas = _data_regions(data)
        functions = (c.cast(getattr(unicorn_library, name), c.c_void_p) for name in ("uc_reg_read", "uc_emu_stop", "uc_hook_add"))
        callbacks = at.DEVICE(self._on_device) if device else at.DEVICE(), at.PRICE(self._on_new_stream) if pricer else at.PRICE()
        self._followers, array = tuple(followers), natives(followers)
        config = at.Config(*functions, codes, datas, cpacr, self._traffic.ctypes.data, limit, *callbacks, _address(pricer and pricer.sites),
                           c.cast(array, c.c_void_p), len(code), len(data), layers, len(objects), *stack, len(followers), touches, keeps)
        self._keep = (tuple(code), tuple(data), codes, datas, callbacks, array)  # the probe reads these while it runs
        self._handle = self._library.probe_new(c.byref(config))

    def _on_device(self, address: int, size: int, store: int) -> None:
        try:
            self._device(address, size, bool(store))
        except BaseException as error:  # noqa: BLE001 - it must not pass through C
            self.pending_error = self.pending_error or error
            self.request_stop()

    def _on_new_stream(self, start: int, end: int, taken: int, entered: int, events: int, number: int) -> int:
        try:
            return self._pricer.stream(start, end, bool(taken), bool(entered), c.string_at(events, number) if number else b"")
        except BaseException as error:  # noqa: BLE001
            self.pending_error = self.pending_error or error
            self.request_stop()
            return 0

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

    def resume(self) -> None:
        """A run that stopped goes on: what stopped it is forgotten, where it stood is not."""
        self._library.probe_resume(self._handle)

    def retry(self) -> None:
        """The instruction whose fault stopped the run executes after all, because the host has put right what was wrong: it is not counted twice."""
        self._library.probe_retry(self._handle)

    def set_data(self, data: Sequence[Data]) -> None:
        """Other memory from now on."""
        regions = _data_regions(data)
        self._library.probe_data(self._handle, regions, len(data))
        self._keep_data = (tuple(data), regions)

    def instructions_now(self) -> int:
        """Instructions of this run, the one in progress included."""
        return self._library.probe_instructions(self._handle)

    def flush(self) -> None:
        """Tell the host of a store to a device that was the last thing to happen before the engine stopped."""
        self._library.probe_flush(self._handle)

    def request_stop(self) -> None:
        """Stop before the next instruction (fault "request")."""
        self._library.probe_request(self._handle)

    def set_slice(self, instructions: int) -> None:
        """Stop at the taken branch behind that many instructions (fault "slice"), so that the host can look up; 0: never."""
        self._library.probe_slice(self._handle, instructions)

    def set_deadline(self, cycles: int | None) -> None:
        """Stop a timed run at the taken branch behind that modelled cycle (fault "timer"); None: never."""
        self._library.probe_deadline(self._handle, 0xFFFFFFFFFFFFFFFF if cycles is None else cycles)

    def cycles_now(self) -> int:
        """Modelled cycles of a timed run, the instruction in progress included."""
        cycles = self._library.probe_cycles(self._handle)
        if stream := self.open_stream():
            start, end, entered, events = stream
            cycles += self._pricer.stream(start, end, False, entered, events)
        return cycles

    def open_stream(self) -> tuple[int, int, bool, bytes] | None:
        """The stream that is executing: start, the instruction in progress, entered, events so far; None where none is."""
        stream, events = np.zeros(1, at.STREAM), c.c_void_p()
        if not self._library.probe_open(self._handle, stream.ctypes.data, c.byref(events)):
            return None
        row = stream[0]
        held = c.string_at(events, int(row["event_count"])) if row["event_count"] else b""
        return int(row["start"]), int(row["end"]), bool(row["entered"]), held

    def sleep(self, cycles: int) -> None:
        """The core slept for that many cycles."""
        self._library.probe_sleep(self._handle, cycles)

    def exception_entry(self, number: int, handler: int, return_pc: int, sp: int, handler_sp: int) -> None:
        """The host has entered an exception's handler. sp: of the interrupted code; handler_sp: as the handler finds it."""
        self._library.probe_exception_entry(self._handle, number, handler, return_pc, sp, handler_sp)

    def exception_return(self, number: int, pc: int, sp: int) -> None:
        """The host has left a handler: execution goes on at `pc` with stack pointer `sp`, perhaps in another thread."""
        self._library.probe_exception_return(self._handle, number, pc, sp)

    def tail_chain(self, number: int, handler: int) -> None:
        """A handler gave way to another, without a return between."""
        self._library.probe_tail_chain(self._handle, number, handler)

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
        edges = self._array("probe_edges", at.EDGE)
        return Counts(
            layers=self._layers,
            streams=[Stream(layer, start, end, bool(taken), pool[first:first + number], length, count, context, bool(entered))
                     for _, count, first, start, end, layer, context, number, length, _, taken, entered in streams.tolist()],
            sites=sorted(Site(layer, pc, kind, bucket, count, context)
                         for count, pc, layer, context, kind, bucket in sites[sites["count"] > 0].tolist()),
            traffic=self._traffic.astype(np.int64).reshape(self._layers + 1, -1, 2, 3),
            objects=self._objects, entries=list(entries), calls=list(calls), stack=list(stack),
            peak=self._library.probe_peak(self._handle),
            contexts=tuple(Context(*row) for row in self._array("probe_contexts", at.CONTEXT).tolist()),
            paths=tuple(Path(*row) for row in self._array("probe_paths", at.PATH).tolist()),
            edges=tuple(sorted(Call(layer, context, pc, function, to, at.CALL_KINDS[kind], count)
                               for count, context, pc, layer, function, to, kind in edges[edges["count"] > 0].tolist())),
            folded=bool(self._library.probe_folded(self._handle)), touches=tuple(self._touches()),
            memories=self._memories, followers=self._followers)

    def _touches(self) -> Iterator[Touch]:
        touches = self._array("probe_touches", at.SITE)
        for count, pc, layer, context, _, number in touches[touches["count"] > 0].tolist():
            yield Touch(layer, pc, number, count, context)

    def _array(self, getter: str, dtype: np.dtype) -> np.ndarray:
        number = c.c_uint32()
        address = getattr(self._library, getter)(self._handle, c.byref(number))
        return np.frombuffer(c.string_at(address, number.value * dtype.itemsize) if number.value else b"", dtype)


def _address(array: np.ndarray | int | None) -> int | None:
    """Where an array lies on the host; None where there is none."""
    return array.ctypes.data if isinstance(array, np.ndarray) else None


def _data_regions(data: Sequence[Data]) -> c.Array[at.DataRegion]:
    return (at.DataRegion * len(data))(*(at.DataRegion(r.start, r.size, _address(r.objects), r.memory, r.read_only, r.device) for r in data))
