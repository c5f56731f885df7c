"""Options of a compiler that make code and nothing else: what names files would not be part of the build cache's keys."""

from __future__ import annotations

from collections.abc import Sequence

MAKE_CODE = ("-f", "-m", "-D", "-U", "--param=")
DO_NOT = {**dict.fromkeys(("-mcpu", "-march", "-mfpu", "-mfloat-abi", "-mthumb", "-marm"), "the core's name says what the code is for"),
          **dict.fromkeys(("-fplugin", "-fprofile", "-fauto-profile", "-fdump", "-fpass-plugin", "-fstack-usage", "-ftest-coverage", "-fcallgraph-info"),
                          "it reads or writes files of its own")}


def shown(flag: str) -> str:
    """The option as a message of one line has it."""
    return flag if flag.isprintable() else ascii(flag)


def obstacle(flag: str, others: Sequence[str] = ()) -> str:
    """Why that option cannot be given, "" when it can. others: beginnings of options that may be given as well."""
    if not flag.isprintable():
        return "it cannot be printed"
    for prefix, reason in DO_NOT.items():
        if flag.startswith(prefix):
            return reason
    wanted = (*others, *MAKE_CODE)
    if any(flag.startswith(prefix) and (flag != prefix or prefix in others) for prefix in wanted):
        return ""
    return f"an option that only changes the code is wanted ({'..., '.join(wanted)}...)"
