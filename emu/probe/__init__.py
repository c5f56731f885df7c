"""The native probe: what to count is decided here, what it means is not."""

from emu.probe.counts import Counts, Site, Stream
from emu.probe.layout import EXECUTED, LITERALS, MISALIGNED, OTHER, QUOTIENT, SKIPPED, STACK, UNIMPLEMENTED
from emu.probe.probe import Code, Data, Probe

__all__ = ["EXECUTED", "LITERALS", "MISALIGNED", "OTHER", "QUOTIENT", "SKIPPED", "STACK", "UNIMPLEMENTED", "Code", "Counts", "Data", "Probe",
           "Site", "Stream"]
