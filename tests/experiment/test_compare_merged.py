"""Sides whose kernels take different layers in one call: rows of all sides are of the same layers, and nothing is lost."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu import kws
from emu.experiment import compare, sides
from emu.report.compare import Shown

ENDS = st.sets(st.integers(1, 5)).map(lambda inner: frozenset({*inner, 6}))


@pytest.fixture(scope="module")
def measured() -> tuple[compare.Measured, ...]:
    return compare.compare(sides.parse_all(["thumb2", "c"], "cortex-m4", "zero-wait"), kws.read("yes")).sides


def test_two_layers_of_one_side_are_one_of_the_other(measured) -> None:
    thumb2, c = measured
    fused = c.merged({2, 3, 4, 5, 6})
    assert fused.covers == (2, 1, 1, 1, 1)
    found = compare.side_by_side("yes", (thumb2, fused))
    assert [line.name for line in found.lines] == ["qconv2d_3x3_8+qmaxpool2d_2x2", *(row.name for row in thumb2.rows[2:])]
    for one, cell, place in ((thumb2, found.lines[0].cells[0], 0), (fused, found.lines[0].cells[1], 1)):
        first, second = measured[place].rows[:2]
        figures = dict(zip(compare.FIGURES, cell.figures, strict=True))
        for figure in ("instructions", "cycles", "bytes_read", "bytes_written"):
            assert figures[figure] == getattr(first, figure) + getattr(second, figure)
        assert figures["stack_bytes"] == max(first.stack_bytes, second.stack_bytes) and cell.row.bit_exact
        apart = [sum(code.values()) for code in measured[place].code[:2]]
        assert max(apart) < figures["code_bytes"] <= sum(apart)
        assert one.side.text == found.sides[place].side.text
    assert "qconv2d_3x3_8+qmaxpool2d_2x2" in Shown(found).csv()


@settings(max_examples=25)
@given(ENDS, ENDS)
def test_totals_stay_and_rows_are_as_fine_as_they_can_be(measured, ends, others) -> None:
    thumb2, c = measured
    found = compare.side_by_side("yes", (thumb2.merged(ends), c.merged(others)))
    assert {tuple(accumulate(side.covers)) for side in found.sides} == {tuple(sorted(ends & others))}
    whole = compare.side_by_side("yes", measured).lines[-1]
    assert found.lines[-1] == whole
    for number in range(2):
        cycles = sum(line.cells[number].row.cycles for line in found.lines[:-1])
        assert cycles == whole.cells[number].row.cycles == sum(sum(own.values()) for own in found.sides[number].functions)
