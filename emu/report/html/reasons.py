"""Colours of stalls: the dearest reasons of a page have one each, the others share the last."""

from __future__ import annotations

from collections.abc import Mapping

_COLORS = tuple(f"why-{number}" for number in range(6))
OTHER = "why-6"
MINIMUM = "minimum"  # its name and its colour


class Palette:
    """Of the reasons of one page, by their cycles."""

    def __init__(self, reasons: Mapping[str, int]) -> None:
        self.dearest = tuple(sorted(reasons, key=lambda reason: -reasons[reason]))
        self._colors = dict(zip(self.dearest, _COLORS, strict=False))

    def color(self, reason: str) -> str:
        return self._colors.get(reason, OTHER)

    def legend(self) -> list[tuple[str, str]]:
        """(what, colour): the minimum, then reasons in the order of their cycles; what shares a colour stands last, as one."""
        rest = len(self.dearest) - len(self._colors)
        return [(MINIMUM, MINIMUM), *self._colors.items(), *([(f"{rest} other reasons" if rest > 1 else self.dearest[-1], OTHER)] if rest else [])]
