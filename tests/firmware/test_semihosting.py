"""Every semihosting call, as a program makes it and as its libraries do; and what a hostile program gets out of them: nothing."""

from __future__ import annotations

import os

import pytest

from tests.firmware.conftest import HOSTED

MAIN = '#include "firmware.h"\n{head}\nint main(void) {{\n{body}\nleave(0);\n}}\n'
OPEN = """static uint32_t open(const char *name, uint32_t mode) {
    uint32_t length = 0;
    while (name[length]) length++;
    return CALL(1, (uint32_t)name, mode, length);
}
"""


def runs(start, body: str, **options: object):
    done = start(MAIN.format(head=OPEN, body=body), **options)
    assert done.code == 0, f"line {done.code}: {done.result.ending.text}"
    return done


def test_console_output(start):
    done = runs(start, """
    print("zero\\n");
    semihosting(3, (uint32_t)"one");
    uint32_t out = open(":tt", 4), err = open(":tt", 8), in = open(":tt", 0);
    CHECK(out != ~0u && err != ~0u && in != ~0u && out && err && in);
    CHECK(CALL(5, out, (uint32_t)"two\\n", 4) == 0);
    CHECK(CALL(5, err, (uint32_t)"three\\n", 6) == 0);
    CHECK(CALL(5, in, (uint32_t)"four\\n", 5) == 5);
    CHECK(CALL(9, out) == 1 && CALL(9, in) == 1);
    CHECK(CALL(0xC, out) == 0);
    CHECK(CALL(2, out) == 0 && CALL(2, out) == ~0u && CALL(5, out, (uint32_t)"x", 1) == ~0u);
    """)
    assert done.out == "zero\notwo\n"
    assert done.err == "three\n"


def test_console_input(start):
    done = runs(start, """
    static char text[16];
    uint32_t in = open(":tt", 0);
    CHECK(CALL(6, in, (uint32_t)text, 16) == 12);
    CHECK(text[0] == 'a' && text[3] == '\\n');
    CHECK(semihosting(7, 0) == 'd');
    CHECK(semihosting(7, 0) == '\\n');
    CHECK(semihosting(7, 0) == ~0u);
    CHECK(CALL(6, in, (uint32_t)text, 16) == 16);
    """, stdin=b"abc\nd\n")
    assert done.out == ""


def test_features(start):
    runs(start, """
    static uint8_t bytes[8];
    uint32_t handle = open(":semihosting-features", 0);
    CHECK(CALL(0xC, handle) == 5);
    CHECK(CALL(6, handle, (uint32_t)bytes, 8) == 3);
    CHECK(bytes[0] == 'S' && bytes[1] == 'H' && bytes[2] == 'F' && bytes[3] == 'B' && bytes[4] == 3);
    CHECK(CALL(0xA, handle, 4) == 0 && CALL(6, handle, (uint32_t)bytes, 1) == 0 && bytes[0] == 3);
    CHECK(open(":semihosting-features", 4) == ~0u);
    CHECK(open(":other", 0) == ~0u);
    """)


def test_files(start, tmp_path):
    (tmp_path / "in.txt").write_bytes(b"0123456789")
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "gone").write_bytes(b"")
    done = runs(start, """
    static char text[16];
    uint32_t in = open("in.txt", 0), out = open("out.txt", 4);
    CHECK(in != ~0u && out != ~0u && in != out);
    CHECK(CALL(9, in) == 0 && CALL(0xC, in) == 10);
    CHECK(CALL(6, in, (uint32_t)text, 4) == 0 && text[3] == '3');
    CHECK(CALL(0xA, in, 8) == 0 && CALL(6, in, (uint32_t)text, 4) == 2 && text[0] == '8');
    CHECK(CALL(6, in, (uint32_t)text, 4) == 4);
    CHECK(CALL(5, in, (uint32_t)"x", 1) == ~0u && semihosting(0x13, 0) == 9);
    CHECK(CALL(5, out, (uint32_t)"hello", 5) == 0 && CALL(2, out) == 0);
    uint32_t more = open("out.txt", 8);
    CHECK(CALL(5, more, (uint32_t)"!", 1) == 0 && CALL(2, more) == 0);
    CHECK(CALL(0xF, (uint32_t)"old", 3, (uint32_t)"new", 3) == 0);
    CHECK(CALL(0xE, (uint32_t)"gone", 4) == 0 && CALL(0xE, (uint32_t)"gone", 4) == ~0u && semihosting(0x13, 0) == 2);
    CHECK(CALL(0xD, (uint32_t)text, 7, 16) == 0 && text[0] == 't' && CALL(0xD, (uint32_t)text, 7, 3) == ~0u);
    CHECK(open("missing", 0) == ~0u && open("in.txt", 12) == ~0u);
    """, files=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "new", "out.txt"]
    assert (tmp_path / "out.txt").read_bytes() == b"hello!"
    assert done.result.notes == ()


NAMES = ["/etc/passwd", "../outside", "inside/../../outside", "link/secret", "secret-link", "..", ".", "", "fifo", "sub", "dangling"]


@pytest.fixture
def folders(tmp_path):
    """A folder for the program, and beside it what is none of its business, with every kind of way out."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir(), outside.mkdir()
    (outside / "secret").write_text("secret")
    (inside / "link").symlink_to(outside)
    (inside / "secret-link").symlink_to(outside / "secret")
    (inside / "dangling").symlink_to(outside / "made")
    (inside / "sub").mkdir()
    os.mkfifo(inside / "fifo")
    return inside, outside


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", [0, 2, 4, 6, 8])
def test_nothing_outside_the_folder(start, folders, name, mode):
    inside, outside = folders
    body = f"""
    CHECK(open("{name}", {mode}) == ~0u);
    uint32_t length = 0; const char *name = "{name}"; while (name[length]) length++;
    CHECK(CALL(0xE, (uint32_t)name, length) == ~0u);
    CHECK(CALL(0xF, (uint32_t)name, length, (uint32_t)"taken", 5) == ~0u);
    """ + f"""CHECK(CALL(1, (uint32_t)name, {mode}, length + 1) == ~0u);"""
    done = runs(start, body, files=inside)
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_text() == "secret"
    assert sorted(path.name for path in inside.iterdir()) == ["dangling", "fifo", "link", "secret-link", "sub"]
    assert all("was refused the file" in note for note in done.result.notes)


def test_no_folder_no_files(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").write_text("x")
    done = runs(start, 'CHECK(open("here", 0) == ~0u && open("new", 4) == ~0u && semihosting(0x13, 0) == 13); CHECK(CALL(0xE, (uint32_t)"here", 4) == ~0u);')
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert done.result.notes == ("the program was refused the file 'here': it may use what lies below --files DIR",
                                 "the program was refused the file 'new': it may use what lies below --files DIR")


def test_a_renamed_file_stays_inside(start, folders):
    inside, outside = folders
    (inside / "mine").write_text("mine")
    runs(start, """
    CHECK(CALL(0xF, (uint32_t)"mine", 4, (uint32_t)"../outside/mine", 15) == ~0u);
    CHECK(CALL(0xF, (uint32_t)"mine", 4, (uint32_t)"link/mine", 9) == ~0u);
    """, files=inside)
    assert (inside / "mine").exists()
    assert not (outside / "mine").exists()


def test_the_command_line(start):
    done = runs(start, """
    static char text[64];
    static uint32_t block[2] = {(uint32_t)text, 64};
    CHECK(semihosting(0x15, (uint32_t)block) == 0);
    print(text);
    CHECK(block[1] > 10 && text[block[1]] == 0);
    block[1] = 4;
    CHECK(semihosting(0x15, (uint32_t)block) == ~0u);
    """, arguments=("one", "two three", "", 'a "b'))
    assert done.out.endswith(""".elf one "two three" "" 'a "b'""")


def test_time(start):
    done = runs(start, """
    static uint64_t elapsed[2];
    CHECK(semihosting(0x31, 0) == 16000000);
    CHECK(semihosting(0x30, (uint32_t)elapsed) == 0);
    for (volatile int n = 0; n < 1000; n++) ;
    CHECK(semihosting(0x30, (uint32_t)(elapsed + 1)) == 0);
    CHECK(elapsed[1] - elapsed[0] > 3000 && elapsed[1] - elapsed[0] < 30000);
    CHECK(semihosting(0x10, 0) == 0 && semihosting(0x11, 0) == 0);
    """)
    assert done.result.reads_time == ("the semihosting clock",)
    assert runs(start, "CHECK(semihosting(0x31, 0) == 2500000);", mhz=2.5).code == 0


def test_heap(start):
    done = runs(start, """
    extern char end[];
    static uint32_t info[4], *where = info;
    CHECK(semihosting(0x16, (uint32_t)&where) == 0);
    CHECK(info[0] == (((uint32_t)end + 7) & ~7u) && info[1] == 0x20010000 && info[2] == 0x20010000 && info[3] == info[0]);
    """)
    assert done.code == 0


def test_what_is_refused(start):
    done = runs(start, """
    CHECK(CALL(0x12, (uint32_t)"touch /tmp/pwned", 16) == ~0u);
    CHECK(semihosting(0x77, 0) == ~0u);
    CHECK(CALL(8, 0) == 0 && CALL(8, ~0u) != 0);
    CHECK(CALL(2, 99) == ~0u && CALL(6, 99, 0x20000000, 1) == ~0u && CALL(0xC, 99) == ~0u && CALL(0xA, 99, 0) == ~0u);
    """)
    assert done.result.notes == ("the program was refused a command of the host (SYS_SYSTEM)",
                                 "semihosting operation 0x77 does not exist; it was answered with -1")


POINTERS = [
    "semihosting(1, 0)", "semihosting(5, 0xFFFFFFF0)", "semihosting(4, 0x40000000)", "semihosting(3, 0x60000000)",
    "CALL(5, open(\":tt\", 4), 0x2000FFF0, 0x10000000)", "CALL(6, open(\":tt\", 0), 0x2000FFF0, 0xFFFFFFFF)", "CALL(1, 0x20000000, 0, 0xFFFFFFFF)",
    "semihosting(0x16, 0)", "CALL(0x16, 0x50000000)", "semihosting(0x15, 0x0)", "CALL(0x15, 0x1000, 64)", "semihosting(0x20, 0x30)",
    "CALL(0xF, 0, 4, 0, 4)", "CALL(0xE, 0xFFFFFFFF, 2)", "semihosting(0x30, 0)", "CALL(0xD, 0, 1, 99)", "CALL(1, (uint32_t)\"a\\0b\", 4, 3)",
]


@pytest.mark.parametrize("call", POINTERS)
def test_pointers_to_nowhere(start, call, tmp_path):
    """Ends the run in one line, or is answered with -1; it never touches the host."""
    done = start(MAIN.format(head=OPEN, body=f"CHECK({call} == ~0u);"), files=tmp_path, limit=100_000)
    ending = done.result.ending
    assert done.code == 0 or (ending.status == 5 and "do not lie in memory; 'bkpt #0xab' at 0x" in ending.text) or "operation 0x04" in ending.text
    assert list(tmp_path.iterdir()) == []


def test_handles_are_bounded(start, tmp_path):
    runs(start, """
    int count = 0;
    while (open("file", 6) != ~0u) count++;
    CHECK(count == 64 && semihosting(0x13, 0) == 24);
    """, files=tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    runs(start, 'while (open("file", 6) != ~0u) ;', files=tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("where", ["console", "file"])
def test_output_is_bounded(start, tmp_path, where, monkeypatch):
    from emu.machine import console

    monkeypatch.setattr(console.Quota.__init__, "__defaults__", (1 << 20,))
    handle = 'open(":tt", 4)' if where == "console" else 'open("file", 4)'
    done = start(MAIN.format(head=OPEN, body=f"uint32_t out = {handle}; for (;;) CALL(5, out, 0x20000000, 0x8000);"), files=tmp_path)
    assert done.result.ending.status == 5
    assert done.result.ending.text.startswith("the program has written more than 1 MB")
    assert len(done.out) <= 1 << 20
    assert all(path.stat().st_size <= 1 << 20 for path in tmp_path.iterdir())


@pytest.mark.parametrize("body", [
    'char name[] = "aaa"; for (int n = 0;; n++) { name[0] = 97 + n % 26; name[1] = 97 + n / 26 % 26; name[2] = 97 + n / 676; CALL(2, open(name, 4)); }',
    "uint32_t file = open(\"file\", 4); CALL(10, file, 0x7fffffff); CALL(5, file, 0x20000000, 1);",
], ids=["many files", "a file of 2 GB with nothing in it"])
def test_files_are_bounded(start, tmp_path, body, monkeypatch):
    from emu.machine import console

    monkeypatch.setattr(console.Quota.__init__, "__defaults__", (1 << 20,))
    ending = start(MAIN.format(head=OPEN, body=body), files=tmp_path).result.ending
    assert ending.text.startswith("the program has written more than 1 MB")
    assert 0 < len(list(tmp_path.iterdir())) <= 256
    assert all(path.stat().st_size <= 1 << 20 for path in tmp_path.iterdir())


LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
static int constructed;
__attribute__((constructor)) static void construct(void) { constructed = 7; }
static void at_exit(void) { puts("bye"); }
int main(int argc, char **argv) {
    atexit(at_exit);
    printf("%d %s %s %d %.3f\\n", argc, argv[1], argv[2], constructed, 2.5 / 3);
    fprintf(stderr, "careful\\n");
    char line[32];
    while (fgets(line, sizeof line, stdin))
        printf("<%s>", line);
    FILE *file = fopen("data", "w");
    fprintf(file, "%s", "written");
    fclose(file);
    file = fopen("data", "r");
    size_t got = fread(line, 1, 32, file);
    fseek(file, 2, SEEK_SET);
    int c = fgetc(file);
    fclose(file);
    char *heap[20];
    for (int n = 0; n < 20; n++)
        memset(heap[n] = malloc(1000), n, 1000);
    int sum = 0;
    for (int n = 0; n < 20; n++)
        sum += heap[n][999];
    printf("%d %c %d %d %d\\n", (int)got, c, sum, remove("data"), fopen("/etc/passwd", "r") == NULL);
    return 11;
}
"""


@pytest.mark.parametrize("base", [HOSTED, ("--specs=rdimon.specs", "--specs=nano.specs", "-u", "_printf_float")], ids=["newlib", "newlib-nano"])
@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m33"])
def test_newlib(start, tmp_path, base, cpu):
    """`arm-none-eabi-gcc --specs=rdimon.specs` and nothing else: no linker script, no vector table."""
    done = start(LIBRARY, base=base, cpu=cpu, arguments=("first", "second arg"), stdin=b"in\nput", files=tmp_path)
    assert done.out == "3 first second arg 7 0.833\n<in\n><put>7 i 190 0 1\nbye\n"
    assert done.err == "careful\n"
    assert (done.code, done.result.ending.status) == (11, 11)
    assert done.result.notes[0].startswith("no vector table: started at the entry _mainCRTStartup as a debugger would, the stack at the end of ram (0x")
    assert list(tmp_path.iterdir()) == []


def test_picolibc(start, tmp_path):
    """Its own linker script and vector table; its standard input has no end, so that is left alone."""
    source = LIBRARY.replace("while (fgets(line, sizeof line, stdin))", "fgets(line, sizeof line, stdin);")
    source = source.replace("argc, argv[1], argv[2]", "argc, argv[argc - 2], argv[argc - 1]")  # it puts a name of its own before ours
    done = start(source, base=("--specs=picolibc.specs", "--crt0=semihost", "--oslib=semihost", "-DPICOLIBC_DOUBLE_PRINTF_SCANF"),
                 arguments=("first", "second"), stdin=b"in\nput", files=tmp_path)
    assert done.out == "4 first second 7 0.833\ncareful\n<in\n>7 i 190 0 1\nbye\n"
    assert done.result.ending.status == 11
