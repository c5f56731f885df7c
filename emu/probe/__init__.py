"""The native probe: what to count is decided here, what it means is not."""

from emu.probe.counts import Call, Context, Counts, Path, Site, Stream, Touch
from emu.probe.layout import (
    BUCKETS,
    EXCEPTION_ENTRY,
    EXCEPTION_RETURN,
    EXECUTED,
    FOLLOWED,
    LITERALS,
    MISALIGNED,
    OTHER,
    QUOTIENT,
    SITE_KINDS,
    SKIPPED,
    SLEEP,
    STACK,
    TAIL_CHAIN,
    UNIMPLEMENTED,
)
from emu.probe.probe import Code, Data, Pricer, Probe

__all__ = ["BUCKETS", "EXCEPTION_ENTRY", "EXCEPTION_RETURN", "EXECUTED", "FOLLOWED", "LITERALS", "MISALIGNED", "OTHER", "QUOTIENT", "SITE_KINDS",
           "SKIPPED", "SLEEP", "STACK", "TAIL_CHAIN", "UNIMPLEMENTED", "Call", "Code", "Context", "Counts", "Data", "Path", "Pricer", "Probe",
           "Site", "Stream", "Touch"]
