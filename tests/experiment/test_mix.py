"""The mix: every cycle of a layer in one class, and the classes what the kernels' own comments say."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emu import kws
from emu.errors import UsageError
from emu.experiment import classes, sums, target
from emu.experiment.commands.mix import command
from emu.experiment.mix import ALL, mix
from emu.isa.decode import decode
from emu.isa.instruction import Instruction
from emu.report import mix as report
from emu.report import shown as forms
from emu.timing import pricing
from emu.timing.step import Step


@pytest.fixture(scope="module")
def thumb2() -> target.Ran:
    return target.of_kws(kws.Job())


@pytest.fixture(scope="module")
def c() -> target.Ran:
    return target.of_kws(kws.Job(kernels="c"))


@pytest.mark.parametrize(("kernels", "core", "memory"), [
    ("thumb2", "cortex-m4", "zero-wait"), ("c", "cortex-m0plus", "zero-wait"), ("thumb2", "cortex-m7", "stm32h743-400mhz"),
])
def test_classes_add_up_to_the_layers_cycles(kernels: str, core: str, memory: str) -> None:
    ran = target.of_kws(kws.Job(kernels=kernels, core=core, memory=memory))
    outside, *layers = ran.prices.price(ran.counts).tolist()
    by_layer, by_function = mix(ran, "layer"), mix(ran, "function")
    assert [part.total for part in by_layer.parts] == [*layers, outside]
    assert by_layer.totals.cycles == by_function.totals.cycles
    assert all(part.cycles["stall"] == sum(part.stalls.values()) for part in (*by_layer.parts, *by_function.parts))
    assert all(cycles >= 0 for part in by_layer.parts for cycles in part.cycles.values())
    assert all((part.cycles["MAC"] > 0) == (part.macs > 0) for part in by_layer.parts)


def test_the_convolution_spends_what_its_comments_say(thumb2: target.Ran) -> None:
    """conv2d_rows.inc: 10 multiplications for two outputs, and none besides; two cycles to requantize an output."""
    first, rows = mix(thumb2, "layer").parts[0], 18 * 8
    assert 90 * rows <= first.cycles["MAC"] < 90 * rows + 64
    assert first.cycles["requantize"] == 2 * 18 * rows


def test_data_say_of_c_what_its_sources_say(c: target.Ran) -> None:
    """Of the arithmetic of requantize.h most is found in the machine code alone, and nothing that is not there."""
    streams = [pricing.steps(c.instructions, *key) for key in sorted({(s.start, s.end, s.events) for s in c.counts.streams})]
    found = classes._rescaled(c, streams, sums.long_sums(streams))
    kinds = classes.classes(c)
    assert {re.sub(r":\d+$", "", line or "") for line in c.image.source_lines(found)} == {"armsrc/kernels/c/requantize.h"}
    times = np.zeros(2, np.int64)
    for stream in c.counts.streams:
        for step in pricing.steps(c.instructions, stream.start, stream.end, stream.events):
            if kinds[step.instruction.address] == "requantize":
                times[int(step.instruction.address in found)] += stream.count
    assert times[1] / times.sum() > 0.8


def code(*hexadecimal: str) -> list[Instruction]:
    return [Instruction.from_record(row.item()) for row in decode(bytes.fromhex("".join(hexadecimal)), 0x08000000)]


def classified(*hexadecimal: str) -> list[str]:
    """Of one stream."""
    steps = tuple(Step(instruction, False, -1) for instruction in code(*hexadecimal))
    nameless = SimpleNamespace(numbering=SimpleNamespace(names=("",), at=lambda address: 0))
    found: set[int] = set()
    long = sums.long_sums([steps]) | sums.lane_sums([steps])
    classes._flow(nameless, steps, 0, found, long)
    products, flags = classes._sums_of_products(steps) | long, set(classes._flags_of_branches(steps))
    return [classes._class(step.instruction, at in found, at in products, at in flags, False, False) for step in steps for at in (step.instruction.address,)]


@pytest.mark.parametrize(("stream", "wanted"), [
    (("28fb0900", "2ffa83f0"), ["MAC", "unpack"]),  # smlad r0, r8, r9, r0; sxtb16 r0, r3
    (("10ee900a", "00ee103a"), ["load", "store"]),  # vmov r0, s1; vmov s0, r3
    (("7fcf", "80b5", "80bd"), ["load", "call", "call"]),  # ldm r7!, {r0-r6}; push {r7, lr}; pop {r7, pc}
    (("84b0", "7047"), ["call", "call"]),  # sub sp, #16; bx lr
    (("0047",), ["loop"]),  # bx r0
    (("dff80400", "3860"), ["load", "store"]),  # ldr r0, [pc, #4]; str r0, [r7]
    (("7043", "2418", "0834"), ["MAC", "MAC", "other"]),  # muls r0, r6, r0; adds r4, r4, r0; adds r4, #8
    (("013c", "0146", "fcd1"), ["loop", "other", "loop"]),  # subs r4, #1; mov r1, r0; bne
    # add r2, r3, r0, asr #31; smmlar r0, r0, r1, r2; asrs r0, r4; ssat r0, #8, r0; strb r0, [r7]; movs r0, #0
    (("03ebe072", "50fb1120", "2041", "00f30700", "3870", "0020"), ["requantize"] * 4 + ["store", "other"]),
    # smull r4, r5, r2, r12; smlal r4, r5, r2, lr; lsrs r6, r4, #21; adc r6, r6, r5, lsl #11; smmla r6, r6, r2, r3; ssat r6, #8, r6, asr #17
    (("82fb0c45", "c2fb0e45", "5fea5456", "46ebc526", "56fb0236", "26f34746"), ["MAC"] * 2 + ["requantize"] * 4),
    # smmlar r0, r1, r7, r0; mla r2, r12, r10, r0; uqadd16 r2, r2, r4; sel r2, r5, r2; str r2, [sp]; smlad r0, r8, r9, r0; smmlar r0, r0, r1, r0
    (("51fb1700", "0cfb0a02", "92fa54f2", "a5fa82f2", "0092", "28fb0900", "50fb1100"), ["MAC"] * 2 + ["requantize"] * 2 + ["store", "MAC", "requantize"]),
    # smmla r0, r0, r1, r2; asrs r3, r0, #31; mla r0, r3, r4, r0: a multiple of the sign
    (("50fb0120", "c317", "03fb0400"), ["requantize", "requantize", "MAC"]),
    (("82fb0c45", "2418"), ["requantize"] * 2),  # smull r4, r5, r2, r12; adds r4, r4, r0
    # lsrs r4, r0, #1, which is gone when smull r4, r5, r2, r12; smlal r4, r5, r2, lr have written r4; smmla r6, r4, r2, r3
    (("4408", "82fb0c45", "c2fb0e45", "54fb0236"), ["other", "MAC", "MAC", "requantize"]),
])
def test_classes_of_instructions(stream: tuple[str, ...], wanted: list[str]) -> None:
    assert classified(*stream) == wanted


def test_forms_say_the_same(thumb2: target.Ran) -> None:
    found = mix(thumb2, "layer")
    shown = report.Shown(found)
    facts, rows = json.loads(forms.json(shown)), list(csv.DictReader(io.StringIO(forms.csv(shown))))
    assert [layer["name"] for layer in facts["layers"]] == [row["layer"] for row in rows] == [part.name for part in found.parts]
    for layer, row in zip(facts["layers"], rows, strict=True):
        assert {kind: int(row[kind]) for kind in ALL} == layer["by_class"]
        assert sum(layer["by_class"].values()) == layer["cycles"] == int(row["cycles"])
    bars = re.findall(r"│ ([-A-Z!]+) │$", forms.terminal(shown), re.MULTILINE)
    assert [len(bar) for bar in bars] == [50] * (len(rows) + 1)
    assert bars[0].count("M") == round(50 * facts["layers"][0]["by_class"]["MAC"] / facts["layers"][0]["cycles"])
    assert "| **total** |" in forms.markdown(shown)


def test_functions_beyond_the_top_stand_together(c: target.Ran) -> None:
    found = mix(c, "function")
    lines = report.Shown(found, top=3).lines
    assert [part.name for part in lines] == ["conv2d_s8", "pointwise_conv2d_s8", "depthwise_conv2d_s8", f"{len(found.parts) - 3} more", "total"]
    assert sum(part.total for part in lines[:-1]) == lines[-1].total


def test_picture(thumb2: target.Ran) -> None:
    shown = report.Shown(mix(thumb2, "layer"))
    drawn = report.draw(shown, "x.svg").decode()
    assert all(words in drawn for words in ("qconv2d_3x3_8", f"{shown.lines[0].total:,} cycles", *ALL))


def test_firmware(c: target.Ran, capfd: pytest.CaptureFixture) -> None:
    command.main(["--elf", str(c.image.path), "--json", "-"], standalone_mode=False)
    facts = json.loads(capfd.readouterr().out)
    assert {function["name"] for function in facts["functions"]} >= {"conv2d_s8", "dense_s8", "main"}
    assert sum(function["cycles"] for function in facts["functions"]) == facts["totals"]["cycles"]


@pytest.mark.parametrize(("arguments", "words"), [
    (("--elf", "x.elf", "--by", "layer"), "a firmware has no layers"),
    (("--json", "-", "--csv", "-"), "only one of them"),
    (("--plot", "x.gif"), "suffix"),
])
def test_wrong_arguments(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        command.main(arguments, standalone_mode=False)


def test_m0_requantizes_without_a_high_multiply() -> None:
    """m0/requantize.inc: 7 cycles an output besides loads, comparison and branch; matmul.inc: four products, sums and shifts for eight MACs."""
    ran = target.of_kws(kws.Job(kernels="m0", core="cortex-m0plus"))
    parts = {part.name: part for part in mix(ran, "layer").parts}
    conv, pointwise = parts["qconv2d_3x3_8"], parts["qpwconv2d_8x16"]
    assert conv.cycles["requantize"] / (18 * 18 * 8) == pytest.approx(7.5, abs=0.5)
    assert pointwise.cycles["requantize"] / (7 * 7 * 16) == pytest.approx(7.5, abs=0.5)
    assert pointwise.cycles["MAC"] / pointwise.macs == pytest.approx(1.25, abs=0.05)  # 10 of 8 MACs: four multiplies, six additions
    assert not any(parts[name].cycles["requantize"] for name in ("qmaxpool2d_2x2", "qglobal_avgpool2d"))
