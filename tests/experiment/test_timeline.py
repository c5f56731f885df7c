"""Timelines: iterations against the loop's cycles, and against the addresses that plain Unicorn executes; how they are drawn."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable

import numpy as np
import pytest

from emu import firmware, kws
from emu.errors import TargetFault, ThumbcycleError, UsageError
from emu.experiment import annotate, target
from emu.experiment.__main__ import main
from emu.experiment.target import Ran
from emu.experiment.timeline import Row, Timeline, timeline
from emu.functions.loops import Loop, loops
from emu.report import timeline as drawing
from emu.timing.explain import REASONS, sentence
from tests.emu.tracer import Tracer

C, M7 = kws.Job(kernels="c"), kws.Job(kernels="c", core="cortex-m7", memory="stm32h743-400mhz")
PROGRAM = """
int table[16]; volatile int sink;
__attribute__((noinline)) int leaf(int x) { return x & 1 ? x * 3 : x / 3; }
__attribute__((noinline)) int straight(int x) { sink = x; return x + sink; }
__attribute__((noinline)) void caller(void) {
    for (int i = 0; i < 10; i++)
        table[i] = leaf(i);
}
__attribute__((noinline)) int search(void) {
    for (int i = 0; ; i++)
        if (table[i] == 27)
            return i;
}
__attribute__((noinline)) int never(int x) { return x + 1; }
int main(int argc) {
    caller();
    straight(5);
    return argc == 77 ? never(argc) : search();
}
"""


class Looked:
    """Runs, made once, and timelines of them."""

    def __init__(self) -> None:
        self._ran: dict[object, Ran] = {}

    def ran(self, job: object) -> Ran:
        return self._ran.setdefault(job, self._ran.get(job) or target.of(job))

    def at(self, job: object, *arguments: object) -> Timeline:
        return timeline(self.ran(job), lambda recorder: target.record(job, recorder), *arguments)

    def loops(self, job: object) -> list[tuple[str, Loop]]:
        ran = self.ran(job)
        return [(ran.numbering.names[loop.function], loop) for loop in loops(ran.counts, ran.instructions, ran.numbering)]


@pytest.fixture(scope="module")
def looked() -> Looked:
    return Looked()


@pytest.fixture(scope="module")
def program(builder) -> firmware.Job:
    return firmware.Job(builder.elf(PROGRAM))


def check(found: Timeline) -> None:
    """What holds of every timeline."""
    begin = 0
    for row in found.rows:
        assert row.begin == begin <= row.issue
        assert row.cycles == row.minimum + sum(cycles for _, cycles in row.reasons)
        begin += row.cycles
    assert found.cycles == begin == found.minimum + sum(found.reasons.values())


# --- exact ---


@pytest.mark.parametrize(("job", "name"), [(C, "max_pool2d_s8"), (M7, "dense_s8")], ids=["m4", "m7-caches"])
def test_iterations_add_up_to_their_loop(looked, job, name):
    """All of them, with what streams do not say (misses, mispredictions): the loop's cycles as the listing has them."""
    listed = {row.address: row.cycles for function in annotate.annotate(looked.ran(job)).functions for row in function.rows}
    few = [loop for function, loop in looked.loops(job) if function == name and 1 < loop.iterations <= 9]
    assert few
    for loop in few:
        total = 0
        for number in range(1, loop.iterations + 1):
            found = looked.at(job, name, f"0x{loop.head:x}", number)
            check(found)
            assert found.rows[0].address == loop.head and found.number == number and found.loop.head == loop.head
            total += sum(row.cycles for row in found.rows if row.address in loop.addresses)
            total += sum(cycles for _, address, cycles in found.sites if address in loop.addresses)
        assert total == sum(listed[address] for address in loop.addresses) == found.loop.cycles


class PathTracer(Tracer):
    """Keeps the addresses that are executed from the N-th time on that it comes to a head, until the next one."""

    head, number, arrivals = 0, 0, 0

    def _count(self, address: int) -> None:
        super()._count(address)
        self.arrivals += address == self.head
        if self.arrivals == self.number:
            self.path.append(address)


@pytest.mark.parametrize(("name", "number"), [("max_pool2d_s8", 5), ("pointwise_conv2d_s8", 20)])
def test_an_iteration_is_the_way_that_plain_unicorn_takes(looked, name, number):
    """Of an outer loop; what IT skipped is not executed."""
    ran = looked.ran(C)
    loop = next(loop for function, loop in looked.loops(C) if function == name and loop.iterations > number)
    tracer = PathTracer(ran.image.path, kernels=tuple(layer.kernel for layer in ran.layers), layers=len(ran.layers))
    tracer.engine.mem_write(tracer.symbols[ran.layers[0].tensors["input"]], np.ascontiguousarray(kws.read("yes").features).tobytes())
    tracer.head, tracer.number, tracer.path = loop.head, number, []
    tracer.reset_and_run()
    found = looked.at(C, name, f"0x{loop.head:x}", number)
    check(found)
    assert [row.address for row in found.rows if not row.skipped] == tracer.path


def test_the_dearest_way_is_a_stream_as_it_is_priced(looked):
    found = looked.at(C, "conv2d_s8")
    check(found)
    streams = [s for s in looked.ran(C).counts.streams if (s.start, s.end) == (found.rows[0].address, found.rows[-1].address)]
    cycles = {looked.ran(C).prices.stream(s.start, s.end, s.taken, s.entered, s.events): s.count for s in streams}
    assert found.number is None and cycles[found.cycles] >= found.times > found.loop.iterations / 2
    assert found.rows[-1].text.startswith("b")


def test_without_a_function_it_is_the_hottest_loop_of_the_run(looked):
    assert looked.at(C).function == "conv2d_s8"


def test_a_loop_of_several_streams_shows_its_dearest_way(looked, program):
    """Of ten iterations half multiply, half divide, which takes longer."""
    found = looked.at(program, "caller")
    check(found)
    assert {row.function for row in found.rows} == {"caller", "leaf"}
    assert found.number and found.rows[0].address == found.loop.head
    numbers = [looked.at(program, "caller", None, number) for number in range(1, 11)]
    texts = [[row.text for row in one.rows] for one in numbers]
    assert [row.text for row in found.rows] == max(texts[:2], key=len)
    assert texts[::2] == [texts[0]] * 5 and texts[1::2] == [texts[1]] * 5


def test_a_long_run_is_not_heard_to_its_end(builder):
    """Two ways, of which the first iterations tell; the last ones are others."""
    job = firmware.Job(builder.elf("""
        volatile int x;
        __attribute__((noinline)) void once(int n) { x = n; }
        __attribute__((noinline)) void many(void) {
            for (int i = 0; i < 21000; i++) {
                if (i < 20000 ? i & 1 : i % 3 == 0) once(i);
                once(i + 1);
            }
        }
        int main(void) { many(); return 0; }"""))
    found = timeline(target.of(job), lambda recorder: target.record(job, recorder), "many")
    check(found)
    assert re.search(r"of 21,000 as it ran; (9,999|10,000) of the first 20,000 took the same way, the dearest of [23]", found.what)
    assert [row.text for row in found.rows if row.function == "many"].count(next(row.text for row in found.rows if row.text.startswith("bl "))) == 2


def test_the_last_iteration_ends_where_the_loop_is_left(looked, program):
    loop = next(loop for name, loop in looked.loops(program) if name == "search")
    last = looked.at(program, "search", None, loop.iterations)
    check(last)
    assert {row.address for row in last.rows} <= set(loop.addresses) and last.rows[0].address == loop.head
    assert "its dearest straight piece" in looked.at(program, "straight").what


@pytest.mark.parametrize(("arguments", "message"), [
    (("serch",), r"no function 'serch' \(did you mean search\?\)"),
    (("never",), "never did not run"),
    (("straight", None, 2), "--iteration: straight has no loop that went round"),
    (("search", "straight"), "--loop straight: no loop that ran is there; loops begin at 0x"),
    (("search", "nowhere"), "--loop: no symbol 'nowhere'"),
    (("caller", None, 11), r"--iteration 11: the loop at 0x\w+ in caller has 10 iterations"),
])
def test_what_is_not_there(looked, program, arguments, message):
    with pytest.raises(UsageError, match=message):
        looked.at(program, *arguments)


def test_a_run_that_went_another_way(looked, program):
    """Nothing is recorded."""
    with pytest.raises(UsageError, match="when it was run again, the program came to the loop 0 times"):
        timeline(looked.ran(program), lambda _recorder: None, "search", None, 2)


def test_an_iteration_that_a_handler_interrupts(looked, builder):
    """Its streams are in it, and what entry and return cost."""
    job = firmware.Job(builder.elf("""
        #define REGISTER(address) (*(volatile unsigned *)(address))
        volatile int ticks, rounds;
        void SysTick_Handler(void) { ticks++; }
        __attribute__((noinline)) void spin(void) { while (ticks < 3) rounds++; }
        int main(void) {
            REGISTER(0xE000E014) = 99; REGISTER(0xE000E018) = 0; REGISTER(0xE000E010) = 7;
            spin();
            REGISTER(0xE000E010) = 0;
            return 0;
        }"""))
    loop = next(loop for name, loop in looked.loops(job) if name == "spin")
    found = [looked.at(job, "spin", None, number) for number in range(1, loop.iterations + 1)]
    interrupted = [one for one in found if len({row.function for row in one.rows}) > 1]
    assert [[row.function for row in one.rows if row.address not in loop.addresses] for one in interrupted] == [["SysTick_Handler"] * 5] * 3
    assert all(sum(cycles for reason, _, cycles in one.sites if reason == "exception") == 22 for one in interrupted)
    assert all({row.address for row in one.rows} >= {loop.head, loop.end} for one in found)


# --- drawn ---


def row(number: int, begin: int, cycles: int, minimum: int, *reasons: tuple[str, int], issues: int | None = None) -> Row:
    return Row(0x1000 + 2 * number, f"add r{number}", "f", f"a/f.c:{number}", False, begin, begin if issues is None else issues, cycles, minimum, reasons)


ROWS = (row(0, 0, 0, 0), row(1, 0, 3, 1, ("load-use", 2)), row(2, 3, 1, 0, ("not paired: mac", 1)), row(3, 4, 4, 2, ("fetch", 1), ("branch refill", 1), issues=5))
DRAWN = Timeline("a program", "cortex-m7", "zero-wait", "f", "all 5 iterations", None, None, 5, ROWS, (("cache miss", 0x1000, 0.5),), 80)


def test_marks_of_every_cycle():
    assert [[(cycle, mark, reason) for cycle, mark, reason in drawing.marks(one)] for one in ROWS] == [
        [(0, "●", "")], [(0, "●", ""), (1, "", "load-use"), (2, "", "load-use")], [(3, "○", "not paired: mac")],
        [(4, "", "fetch"), (5, "●", ""), (6, "━", ""), (7, "", "branch refill")]]


def test_the_picture(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = drawing.Shown(DRAWN)
    text = [str(part).rstrip() for part in lines.parts()]
    picture = [line for line in text if line.startswith("0000")]
    assert picture == ["00001000  add r0  f.c:0  ●", "00001002  add r1  f.c:1  ●ll      load-use 2", "00001004  add r2  f.c:2     ○     not paired: mac 1",
                       "00001006  add r3  f.c:3      f●━r fetch 1, branch refill 1"]
    assert f"p not paired: mac: {sentence('not paired: mac')}" in text
    assert "4 instructions, 8 cycles, 5 above the minimum (load-use 2, not paired: mac 1, fetch 1, branch refill 1)" in text
    assert "and beside that cache miss: 0.5 cycles on average at 0x00001000" in text
    assert "executed so 5 times: 40 cycles, 50.0% of f" in text


@pytest.mark.parametrize("columns", ["60", "100", "161"])
def test_sections_hold_every_cycle_once(looked, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    found = looked.at(C, "conv2d_s8", None, 5)
    lines = [str(part) for part in drawing.Shown(found).parts()]
    picture = [line for line in lines if re.match("[0-9a-f]{8}  ", line)]
    assert sum(line.count("●") + line.count("○") for line in picture) == len(found.rows)
    assert sum(line.count("|") for line in lines if line.startswith(" ")) == -(-found.cycles // 10)


def test_every_reason_has_a_letter_of_its_own():
    of_streams = list(REASONS)[:list(REASONS).index("misaligned")]
    letters = {drawing.look(reason)[0] for reason in of_streams}
    assert len(letters) == len({reason.partition(":")[0] for reason in of_streams}) == len(drawing.LOOKS)


# --- the command ---


@pytest.fixture
def printed(capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        main.main(["timeline", *arguments], standalone_mode=False)
        return capsysbinary.readouterr().out.decode()

    return call


def test_json_csv_and_pictures(printed, tmp_path):
    png, svg, document = tmp_path / "t.png", tmp_path / "t.svg", tmp_path / "t.json"
    rows = list(csv.DictReader(io.StringIO(printed("depthwise_conv2d_s8", "--kernels", "c", "--core", "cortex-m33", "--json", str(document), "--csv", "-",
                                                   "--plot", str(png)))))
    found = json.loads(document.read_text())
    assert found["schema"] == 1 and found["core"] == "cortex-m33" and found["function"] == "depthwise_conv2d_s8"
    assert found["cycles"] == sum(one["cycles"] for one in found["rows"]) == sum(int(one["cycles"]) for one in rows)
    assert found["loop"]["iterations"] >= found["times"]
    assert set(found["legend"]) == set(found["reasons"])
    assert png.read_bytes()[:4] == b"\x89PNG"
    printed("depthwise_conv2d_s8", "--kernels", "c", "--plot", str(svg))
    assert "depthwise_conv2d_s8 on a modelled cortex-m4" in svg.read_text()


def test_rows_that_are_not_drawn_are_counted(printed, program):
    text = printed("--elf", str(program.path), "caller", "--rows", "3")
    assert re.search(r"\.\.\. \d+ more instructions \(--rows, --json\)", text)
    assert len(re.findall(r"^[0-9a-f]{8}  ", text, re.MULTILINE)) == 3


def test_a_core_that_cannot_execute_the_set(printed):
    with pytest.raises(ThumbcycleError, match="cortex-m3 cannot execute the thumb2 kernels"):
        printed("--core", "cortex-m3")


def test_a_fault_is_raised_when_all_is_shown(printed, builder, capsysbinary):
    path = builder.elf("volatile int x; int main(void) { for (int i = 0; i < 5; i++) x++; *(volatile int *)0x70000000 = 1; return 0; }")
    with pytest.raises(TargetFault, match="0x70000000"):
        printed("--elf", str(path), "main")
    assert "of 5 iterations" in capsysbinary.readouterr().out.decode()


def test_help_teaches(run):
    text = run("emu.experiment", "timeline", "--help").stdout
    assert all(words in text for words in ("Examples", "timeline max_pool2d_s8 --iteration 3", "●", "--loop PLACE"))
