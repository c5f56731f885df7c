"""Names that do not exist, and the nearest that does."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from emu.errors import UsageError


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like `name`, if one is."""
    import difflib  # a start without an error should not pay for this import

    return next(iter(difflib.get_close_matches(name, list(known), 1, cutoff)), None)


def near(name: str, known: Collection[str]) -> str:
    """" (did you mean ...?)", or nothing."""
    found = nearest(name, known)
    return f" (did you mean {found}?)" if found else ""


def check(what: str, name: str, known: Iterable[str], besides: str = "") -> None:
    """UsageError for a `what` that is not among the known ones. besides: what there is in addition, in words."""
    known = list(known)
    if name not in known:
        found = nearest(name, known, 0.4)
        raise UsageError(f"no {what} {name!r} (there are {', '.join(known)}{besides and f', {besides}'})" + (f"; did you mean {found}?" if found else ""))
