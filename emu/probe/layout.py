"""Python's view of probe.h, held against the compiled probe's sizes when it is loaded."""

from __future__ import annotations

import ctypes as c

import numpy as np

# The part of a decoded instruction that counting needs, one a halfword of code.
ENTRY = np.dtype([("flags", "u4"), ("offset", "i4"), ("size", "u1"), ("base", "i1"), ("index", "i1"), ("scale", "u1"),
                  ("access_size", "u1"), ("accesses", "u1"), ("align", "u1"), ("condition", "u1")])
ENTRY_FLAG = 1 << 30  # a kernel begins here
REFUSED_FLAG = 1 << 29  # the core does not have this instruction

OTHER, LITERALS, STACK, UNIMPLEMENTED = 0, 1, 2, 0xFFFF  # objects; STACK is the host's convention
SKIPPED, EXECUTED = 0x80, 0x81
MISALIGNED, QUOTIENT = 1, 2
FAULTS = ("none", "unmapped", "read_only", "unaligned", "peripheral", "fpu_off", "stack_overflow", "limit", "not_code", "lost",
          "breakpoint", "supervisor_call", "undefined", "jump")


class CodeRegion(c.Structure):
    _fields_ = [("start", c.c_uint32), ("size", c.c_uint32), ("entries", c.c_void_p)]


class DataRegion(c.Structure):
    _fields_ = [("start", c.c_uint32), ("size", c.c_uint32), ("objects", c.c_void_p), ("memory", c.c_uint8), ("read_only", c.c_uint8)]


class Config(c.Structure):
    _fields_ = [("reg_read", c.c_void_p), ("emu_stop", c.c_void_p), ("hook_add", c.c_void_p),
                ("code", c.POINTER(CodeRegion)), ("data", c.POINTER(DataRegion)), ("cpacr", c.c_void_p), ("traffic", c.c_void_p),
                ("limit", c.c_int64), *((name, c.c_uint32) for name in (
                    "code_regions", "data_regions", "layers", "objects", "stack_limit", "stack_top"))]


STREAM = np.dtype([("hash", "u8"), ("count", "u8"), ("events", "u8"), ("start", "u4"), ("end", "u4"), ("layer", "u4"),
                   ("event_count", "u4"), ("length", "u4"), ("taken", "u4")])
SITE = np.dtype([("count", "u8"), ("pc", "u4"), ("layer", "u4"), ("kind", "u4"), ("bucket", "u4")])
FACTS = np.dtype([("entry", "u4"), ("calls", "u4"), ("stack", "u4")])


class Fault(c.Structure):
    _fields_ = [(name, c.c_uint32) for name in ("kind", "pc", "address", "size", "layer", "store")]


# In the order of probe_sizes().
SIZES = (ENTRY.itemsize, c.sizeof(CodeRegion), c.sizeof(DataRegion), c.sizeof(Config), STREAM.itemsize, SITE.itemsize,
         c.sizeof(Fault), FACTS.itemsize)
