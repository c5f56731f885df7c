"""What each function of a program cost, and who called whom: `numbering` names code, `region` bounds what is looked at, `costs` prices by
place, `profile` adds up by function and `tree` by call path."""

from emu.functions.costs import REGION_LAYER, Cost
from emu.functions.numbering import Numbering
from emu.functions.profile import CallSite, Function, FunctionProfile, Line, profile
from emu.functions.region import Region

__all__ = ["REGION_LAYER", "CallSite", "Cost", "Function", "FunctionProfile", "Line", "Numbering", "Region", "profile"]
