"""docs/firmware.md names what there is."""

from __future__ import annotations

import re
from dataclasses import fields

from emu.build.cache import REPOSITORY
from emu.firmware import Totals
from emu.machine import board

TEXT = (REPOSITORY / "docs" / "firmware.md").read_text()


def test_every_board_is_named():
    assert set(board.names()) <= set(re.findall(r"`([\w-]+)`", TEXT))


def test_every_figure_is_named():
    assert {field.name for field in fields(Totals)} <= set(re.findall(r"`(\w+)`", TEXT))
