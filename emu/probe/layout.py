"""Python's view of probe.h, held against the compiled probe's sizes when it is loaded."""

from __future__ import annotations

import ctypes as c

import numpy as np

# The part of a decoded instruction that counting needs, one a halfword of code.
ENTRY = np.dtype([("flags", "u4"), ("offset", "i4"), ("size", "u1"), ("base", "i1"), ("index", "i1"), ("scale", "u1"),
                  ("access_size", "u1"), ("accesses", "u1"), ("align", "u1"), ("condition", "u1")])
# Bits of an entry's flags beside those of emu.isa.instruction.Flag, which end below them.
ENTRY_FLAG = 1 << 30  # a kernel begins here
REFUSED_FLAG = 1 << 29  # the core does not have this instruction
LINKS_FLAG = 1 << 28  # BL, BLX
INDIRECT_FLAG = 1 << 27  # a branch whose target is a value
RETURNS_FLAG = 1 << 26  # BX LR, or a load of PC from the stack
BEGINS_FLAG = 1 << 25  # a function begins here
FROM_FLAG, TO_FLAG = 1 << 24, 1 << 23  # a region begins here, ends here
SETS_SP_FLAG = 1 << 22  # the stack pointer becomes a value from elsewhere: MOV, LDR, MSR (which may choose another stack)
WATCHED_FLAG = 1 << 31  # stop before it ("request"), so that the host can look
FLAGS = {"ENTRY": ENTRY_FLAG, "REFUSED": REFUSED_FLAG, "LINKS": LINKS_FLAG, "INDIRECT": INDIRECT_FLAG, "RETURNS": RETURNS_FLAG,
         "BEGINS": BEGINS_FLAG, "FROM": FROM_FLAG, "TO": TO_FLAG, "WATCHED": WATCHED_FLAG, "SETS_SP": SETS_SP_FLAG}

OTHER, LITERALS, STACK, UNIMPLEMENTED = 0, 1, 2, 0xFFFF  # objects; STACK is the host's convention
SKIPPED, EXECUTED = 0x80, 0x81
# Kinds of sites; from FOLLOWED on those of followers (follow.h).
MISALIGNED, QUOTIENT, EXCEPTION_ENTRY, EXCEPTION_RETURN, TAIL_CHAIN, SLEEP = range(1, 7)
FOLLOWED = 0x40
SITE_KINDS, BUCKETS = 0x50, 256
CALL_KINDS = ("call", "tail", "handler", "start")
FAULTS = ("none", "unmapped", "read_only", "unaligned", "peripheral", "fpu_off", "stack_overflow", "limit", "not_code", "lost",
          "breakpoint", "supervisor_call", "undefined", "jump", "timer", "slice", "request", "flood", "not_kept", "below_sp")


DEVICE = c.CFUNCTYPE(None, c.c_uint32, c.c_uint32, c.c_uint32)
PRICE = c.CFUNCTYPE(c.c_uint32, c.c_uint32, c.c_uint32, c.c_uint32, c.c_uint32, c.c_void_p, c.c_uint32)


class CodeRegion(c.Structure):
    _fields_ = [("start", c.c_uint32), ("size", c.c_uint32), ("entries", c.c_void_p), ("functions", c.c_void_p)]


class DataRegion(c.Structure):
    _fields_ = [("start", c.c_uint32), ("size", c.c_uint32), ("objects", c.c_void_p), ("memory", c.c_uint8), ("read_only", c.c_uint8),
                ("device", c.c_uint8)]


class Config(c.Structure):
    _fields_ = [("reg_read", c.c_void_p), ("emu_stop", c.c_void_p), ("hook_add", c.c_void_p),
                ("code", c.POINTER(CodeRegion)), ("data", c.POINTER(DataRegion)), ("cpacr", c.c_void_p), ("traffic", c.c_void_p),
                ("limit", c.c_int64), ("device", DEVICE), ("price", PRICE), ("site_prices", c.c_void_p), ("followers", c.c_void_p),
                *((name, c.c_uint32) for name in ("code_regions", "data_regions", "layers", "objects", "stack_limit", "stack_top",
                                                  "follower_count", "touches", "keeps"))]


STREAM = np.dtype([("hash", "u8"), ("count", "u8"), ("events", "u8"), ("start", "u4"), ("end", "u4"), ("layer", "u4"), ("context", "u4"),
                   ("event_count", "u4"), ("length", "u4"), ("price", "u4"), ("taken", "u2"), ("entered", "u2")])
SITE = np.dtype([("count", "u8"), ("pc", "u4"), ("layer", "u4"), ("context", "u4"), ("kind", "u4"), ("bucket", "u4")], align=True)
FACTS = np.dtype([("entry", "u4"), ("calls", "u4"), ("stack", "u4")])
CONTEXT = np.dtype([("path", "u4"), ("function", "u4"), ("stack", "u4"), ("own_stack", "u4")])
PATH = np.dtype([("parent", "u4"), ("function", "u4")])
EDGE = np.dtype([("count", "u8"), ("context", "u4"), ("pc", "u4"), ("layer", "u4"), ("function", "u4"), ("to", "u4"), ("kind", "u4")])


class Fault(c.Structure):
    _fields_ = [(name, c.c_uint32) for name in ("kind", "pc", "address", "size", "layer", "store")]


# In the order of probe_sizes().
SIZES = (ENTRY.itemsize, c.sizeof(CodeRegion), c.sizeof(DataRegion), c.sizeof(Config), STREAM.itemsize, SITE.itemsize,
         c.sizeof(Fault), FACTS.itemsize,
         CONTEXT.itemsize, PATH.itemsize, EDGE.itemsize)
