"""What each function of a program cost, and who called whom: `numbering` names code, `region` bounds what is looked at, `profile` adds up."""

from emu.functions.numbering import Numbering
from emu.functions.profile import REGION_LAYER, CallSite, Cost, Function, FunctionProfile, Line, profile
from emu.functions.region import Region

__all__ = ["REGION_LAYER", "CallSite", "Cost", "Function", "FunctionProfile", "Line", "Numbering", "Region", "profile"]
