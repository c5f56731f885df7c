"""Rooflines: the bounds are the model's, the points the profile's."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from capstone import CS_ARCH_ARM, CS_MODE_MCLASS, CS_MODE_THUMB, Cs

from armsrc import kernelset
from emu import kws
from emu.build.cache import REPOSITORY
from emu.errors import BuildError, UsageError
from emu.experiment import bounds, roofline
from emu.experiment.commands.roofline import command
from emu.isa import cpu
from emu.isa.decode import decode
from emu.isa.instruction import Instruction
from emu.report import shown as forms
from emu.report.roofline import Shown, draw
from emu.timing.core import load
from emu.timing.pricing import Prices
from kwsq import model


@pytest.mark.parametrize(("core", "floating", "macs", "moved", "prices"), [
    ("cortex-m0plus", False, 0.5, 28 / 8, ((2, 8 / 28),)),  # MULS and ADDS; LDM 1 + N
    ("cortex-m3", False, 0.5, 4, ((2, 0.25),)),  # MLA 2
    ("cortex-m4", False, 2, 4, ((0.5, 0.25),)),  # SMLAD 1; LDR pipelined
    ("cortex-m4", True, 0.5, 4, ((2, 0.25),)),  # VFMA 3, VMUL and VADD 1 each
    ("cortex-m7", False, 2, 8, ((0.25, 0.125), (0.5, 0))),  # one SMLAD, or two loads, or one of each a cycle
    ("cortex-m33", False, 2, 4, ((0.5, 0.25),)),
])
def test_peaks_are_what_the_tables_sources_say(core: str, floating: bool, macs: float, moved: float, prices: tuple) -> None:
    found = bounds.bounds(load(core), floating)
    assert (found.macs_per_cycle, found.bytes_per_cycle) == pytest.approx((macs, moved))
    assert found.prices == tuple(pytest.approx(price) for price in prices)


@pytest.mark.parametrize("core", cpu.names())
def test_no_mix_of_the_streams_is_cheaper_than_its_bound(core: str) -> None:
    table, rng = load(core), random.Random(core)
    found = bounds.bounds(table, False)
    for _ in range(8):
        rates = [rng.choice(found.rates) for _ in range(rng.randint(20, 60))]
        code = b"".join(bytes.fromhex(bounds._CODE[rate.name]) for rate in rates)
        instructions = {row.item()[0]: Instruction.from_record(row.item()) for row in decode(code, 0x08000000)}
        events = bytes([1]) * sum(bool(instruction.accesses) for instruction in instructions.values())
        cycles = Prices(instructions, table).stream(min(instructions), max(instructions), False, False, events)
        assert cycles >= found.cycles(sum(rate.macs for rate in rates), sum(rate.bytes for rate in rates)) - 1  # the last one can pair with what follows


def test_streams_hold_what_their_names_say() -> None:
    disassembler = Cs(CS_ARCH_ARM, CS_MODE_THUMB | CS_MODE_MCLASS)
    for name, code in bounds._CODE.items():
        mnemonics = {found.mnemonic.split(".")[0].upper().replace("VLDMIA", "VLDM") for found in disassembler.disasm(bytes.fromhex(code), 0)}
        assert mnemonics == {part.removesuffix(".W") for part in name.split(", ")}


@pytest.fixture(scope="module")
def spotter() -> roofline.Rooflines:
    return roofline.rooflines(kws.Job(), ("cortex-m4", "cortex-m0plus", "cortex-m7"), ("thumb2", "c"))


def test_points_are_the_profiles(spotter: roofline.Rooflines) -> None:
    profile = kws.judged(kws.Job()).profile
    one = spotter.found[0]
    rows = [row for row in profile.layers if row.macs]
    assert [(p.name, p.macs, p.cycles, p.moved) for p in one.points] == [
        (row.name, row.macs, row.cycles, row.bytes_read + row.bytes_written) for row in rows]
    assert one.without == ("qmaxpool2d_2x2", "qglobal_avgpool2d")
    # 20 x 20 inputs, all that is packed, 18 x 18 x 8 outputs
    packed = kernelset.load(REPOSITORY / "armsrc/kernels/thumb2").pack("conv2d_s8", model.load()["int8"][0].params())
    assert one.points[0].unique == 400 + packed.words.nbytes + 18 * 18 * 8
    assert one.points[0].bound == pytest.approx(23328 / 2 + one.points[0].moved / 4)
    assert all(0 < point.share < 1 for each in spotter.found for point in each.points)


def test_what_a_core_cannot_execute_is_said_and_left_out(spotter: roofline.Rooflines) -> None:
    assert [(one.core, one.kernels) for one in spotter.found] == [
        ("cortex-m4", "thumb2"), ("cortex-m4", "c"), ("cortex-m0plus", "c"), ("cortex-m7", "thumb2"), ("cortex-m7", "c")]
    (pair, why), = spotter.failed
    assert pair == "cortex-m0plus, thumb2"
    assert "lacks" in why


def test_forms_say_the_same(spotter: roofline.Rooflines) -> None:
    facts, shown = json.loads(forms.json(Shown(spotter))), forms.terminal(Shown(spotter))
    rows = list(csv.DictReader(io.StringIO(forms.csv(Shown(spotter)))))
    layers = [(one, layer) for one in facts["rooflines"] for layer in one["layers"]]
    assert len(layers) == len(rows) == sum(len(one.points) for one in spotter.found)
    for row, (one, layer) in zip(rows, layers, strict=True):
        assert (row["core"], row["kernels"], row["layer"], int(row["macs"]), float(row["share"])) == (
            one["core"], one["kernels"], layer["name"], layer["macs"], layer["share"])
        assert f"{layer['moved']:,}" in shown
    assert all(f"| {layer['name']} |".replace("_", "\\_") in forms.markdown(Shown(spotter)) for _, layer in layers)
    assert "SMLAD 2 MACs a cycle, LDR 4 bytes a cycle" in shown


def test_picture(spotter: roofline.Rooflines) -> None:
    drawn = draw(Shown(replace(spotter, found=spotter.found[1:])), "x.svg").decode()
    assert drawn.startswith("<?xml")
    for words in ("modelled cortex-m7", "modelled cortex-m0plus", "qdense_16x10", "thumb2", "LDR 8 bytes a cycle", "LDM 3.5 bytes a cycle"):
        assert words in drawn


@pytest.mark.parametrize(("arguments", "error", "words"), [
    (("--core", "cortex-m3"), BuildError, "cortex-m3 cannot execute the thumb2 kernels"),
    (("--core", "cortex-m3", "--kernels", "float"), UsageError, "cortex-m3 has no FPU"),
    (("--core", "cortex-m4", "--core", "cortex-m4"), UsageError, "cortex-m4 is there twice"),
    (("--core", "cortex-m5"), UsageError, "no core 'cortex-m5'"),
    (("--kernels", "thumb3"), UsageError, "no kernel set 'thumb3'"),
    (("--json", "-", "--csv", "-"), UsageError, "only one of them"),
    (("--plot", "x.gif"), UsageError, "suffix"),
])
def test_wrong_arguments(arguments: tuple[str, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        command.main(arguments, standalone_mode=False)


def test_command_writes_its_forms(tmp_path: Path, capfdbinary: pytest.CaptureFixture) -> None:
    command.main(["--json", "-", "--markdown", str(tmp_path / "r.md"), "--csv", str(tmp_path / "r.csv")], standalone_mode=False)
    facts = json.loads(capfdbinary.readouterr().out)
    assert [one["core"] for one in facts["rooflines"]] == ["cortex-m4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.md"]
