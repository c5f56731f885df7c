"""C programs for the machine: a compiler for tests, and sources whose calls are of every sort."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

import pytest

from emu.build.elf import Image
from emu.build.toolchain import find
from tests.emu.target import SCRIPT

_FLAGS = (
    "-mthumb",
    "-ffreestanding",
    "-fno-common",
    "-nostartfiles",
    "-static",
    "-g",
    "-Wl,--build-id=none",
    "-Wl,-e,0",
    "-Wl,--no-warn-rwx-segments",
)

JUMPS = """
typedef int jmp_buf[10];
int setjmp(jmp_buf) __attribute__((returns_twice));
void longjmp(jmp_buf, int) __attribute__((noreturn));
__asm__(".syntax unified\\n.thumb\\n.pushsection .text\\n.balign 4\\n"
        ".global setjmp\\n.type setjmp, %function\\n.thumb_func\\nsetjmp:\\n"
        "mov r12, sp\\nstr r12, [r0]\\nstr lr, [r0, #4]\\nadd r0, #8\\nstmia r0!, {r4-r11}\\nmovs r0, #0\\nbx lr\\n.size setjmp, . - setjmp\\n"
        ".balign 4\\n.global longjmp\\n.type longjmp, %function\\n.thumb_func\\nlongjmp:\\n"
        "ldr r2, [r0]\\nldr r3, [r0, #4]\\nadd r0, #8\\nldmia r0!, {r4-r11}\\nmov sp, r2\\nmovs r0, r1\\nit eq\\nmoveq r0, #1\\nbx r3\\n"
        ".size longjmp, . - longjmp\\n.popsection\\n");
"""
HEAD = "#define NOINLINE __attribute__((noinline, noclone, noipa))\nvolatile unsigned sink, fuel;\n"

RECURSION = (
    HEAD
    + """
NOINLINE unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
NOINLINE int odd(unsigned n);
NOINLINE int even(unsigned n) { sink++; return n ? odd(n - 1) + 1 : 0; }
NOINLINE int odd(unsigned n) { return n ? even(n - 1) + 1 : 0; }
NOINLINE unsigned ackermann(unsigned m, unsigned n) { return !m ? n + 1 : !n ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1)); }
int snippet(void) { return fib(9) + even(7) + odd(4) + ackermann(2, 2); }
"""
)
TAIL_CALLS = (
    HEAD
    + """
NOINLINE int ping(unsigned n);
NOINLINE int leaf(int n) { volatile int room[6]; room[n % 6] = n; return room[n % 6] + sink; }
NOINLINE int pong(unsigned n) { sink = n; return n ? ping(n - 1) : leaf(3); }
NOINLINE int ping(unsigned n) { volatile char room[40]; room[n % 40] = 1; sink += leaf(n); return n ? pong(n - 1) : leaf(5); }
NOINLINE int loop(unsigned n) { sink += n; return n ? loop(n - 1) : 0; }
int (*volatile pointer)(unsigned) = ping;
NOINLINE int indirect(unsigned n) { return pointer(n); }
int snippet(void) { sink = 1; pointer = ping; return ping(9) + pong(4) + indirect(5) + loop(6) + leaf(1); }
"""
)
POINTERS = (
    HEAD
    + """
typedef int compare(const int *, const int *);
NOINLINE int up(const int *a, const int *b) { return *a - *b; }
NOINLINE int down(const int *a, const int *b) { return up(b, a); }
NOINLINE void sort(int *v, int n, compare *c) {
    if (n < 2) return;
    int last = 0;
    for (int i = 1; i < n; i++) if (c(v + i, v) < 0) { int t = v[++last]; v[last] = v[i]; v[i] = t; }
    int t = v[0]; v[0] = v[last]; v[last] = t;
    sort(v, last, c);
    sort(v + last + 1, n - last - 1, c);
}
compare *volatile table[2] = {up, down};
int numbers[12];
int snippet(void) {
    for (int i = 0; i < 12; i++) numbers[i] = i * 7 % 12;
    for (int i = 0; i < 2; i++) sort(numbers, 12, table[i]);
    return numbers[0];
}
"""
)
LONG_JUMPS = (
    HEAD
    + JUMPS
    + """
jmp_buf back, inner;
NOINLINE void thrower(int n) { if (n) longjmp(back, n); longjmp(inner, 2); }
NOINLINE int deep(int n, int why) { volatile int room[4]; room[n & 3] = n; if (!n) thrower(why); return deep(n - 1, why) + room[n & 3]; }
NOINLINE int shallow(int why) { sink++; thrower(why); return 1; }
NOINLINE int catcher(int n) {
    int got = setjmp(inner);
    if (got) return got;
    if (n & 1) shallow(0);
    if (n) return catcher(n - 1) + deep(3, 0);
    return deep(5, 0);
}
NOINLINE int outer(int n) {
    int got = setjmp(back);
    if (!got) return deep(n, 7);
    sink += catcher(n);
    return got;
}
NOINLINE int again(int n) { if (n) { int x = outer(n); return x + again(n - 1); } return 0; }
int snippet(void) { sink = 0; if (!setjmp(back)) shallow(1); return outer(3) + again(4); }
"""
)
NEWLIB = (
    HEAD
    + """
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
jmp_buf back;
static int tired;
int by_value(const void *a, const void *b) { if (++tired == 30) longjmp(back, 1); return *(const int *)a - *(const int *)b; }
int numbers[40];
char text[64];
int snippet(void) {
    tired = 0;
    for (int i = 0; i < 40; i++) numbers[i] = i * 17 % 40;
    if (!setjmp(back)) qsort(numbers, 40, sizeof *numbers, by_value);
    qsort(numbers, 40, sizeof *numbers, by_value);
    memset(text, 'x', 40);
    text[40] = 0;
    return numbers[0] + strlen(text) + memcmp(text, text + 3, 9);
}
"""
)
# What crt0 and libnosys would bring: zeroed memory, a heap.
EXCEPTIONS = """#include <string.h>
#define NOINLINE __attribute__((noinline, noclone, noipa))
extern "C" char __bss_start[], __bss_end[], heap_start[];
extern "C" { char *heap; void *_sbrk(int n) { if (!heap) heap = heap_start; char *p = heap; heap += n; return p; } }
char heap_start[32768];
extern "C" { void *__dso_handle; }
volatile int sink;
namespace lab {
struct Guard { int n; NOINLINE explicit Guard(int n) : n(n) { sink += n; } NOINLINE ~Guard() { sink -= n; } };
struct Error { int code; };
NOINLINE void thrower(int n) { if (n & 1) throw Error{n}; throw n; }
NOINLINE int deep(int n) { Guard g(n); if (!n) thrower(sink & 3); return deep(n - 1) + g.n; }
NOINLINE int rethrow(int n) { try { return deep(n); } catch (int x) { sink ^= x; throw; } }
NOINLINE int catcher(int n) { try { return rethrow(n); } catch (const Error &e) { return e.code; } catch (int x) { return x + 100; } }
struct Shape { virtual int area() = 0; };
struct Square : Shape { int s; explicit Square(int s) : s(s) {} NOINLINE int area() override { return s * s; } };
struct Line : Shape { NOINLINE int area() override { return catcher(2); } };
template <class T> NOINLINE T twice(T x) { return x + x; }
}
extern "C" int snippet() {
    memset(__bss_start, 0, __bss_end - __bss_start);
    lab::Square s(4); lab::Line l; lab::Shape *volatile shapes[2] = {&s, &l};
    int sum = 0;
    for (int i = 0; i < 4; i++) { sum += shapes[i & 1]->area(); sink = i; sum += lab::catcher(i); }
    return sum + lab::twice(3) + (int)lab::twice(2L);
}
"""
SOURCES = {"recursion": RECURSION, "tail_calls": TAIL_CALLS, "pointers": POINTERS, "long_jumps": LONG_JUMPS}


class Compiler:
    """Compiles and links C into a folder, once a text and flags; the program is the function `snippet`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.driver = find()

    def exceptions_script(self) -> Path:
        """The linker script with the tables that the unwinder searches."""
        path = self.folder / "exceptions.ld"
        tables = (
            "    .ARM.extab : { *(.ARM.extab*) } > FLASH :flash\n"
            "    .ARM.exidx : { __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; } > FLASH :flash\n"
        )
        path.write_text(SCRIPT.read_text().replace("    .stack (NOLOAD)", tables + "    .stack (NOLOAD)"))
        return path

    def image(
        self,
        source: str,
        *flags: str,
        cpu: str = "cortex-m4",
        libraries: tuple[str, ...] = ("-nostdlib",),
        suffix: str = ".c",
        script: Path = SCRIPT,
    ) -> Image:
        """Skips the test where the compiler has no such library."""
        stem = self.folder / hashlib.sha256(f"{cpu}{flags}{libraries}{source}".encode()).hexdigest()[:20]
        elf = stem.with_suffix(".elf")
        if not elf.exists():
            stem.with_suffix(suffix).write_text(source)
            done = subprocess.run(
                [
                    str(self.driver.path),
                    *self.driver.flags,
                    f"-mcpu={cpu}",
                    *_FLAGS,
                    *flags,
                    "-T",
                    str(script),
                    stem.name + suffix,
                    *libraries,
                    "-o",
                    elf.name,
                ],
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode and "-nostdlib" not in libraries:
                pytest.skip(f"the compiler has no C library for {cpu}: {done.stderr.splitlines()[0]}")
            assert not done.returncode, f"{done.stderr}\n{source}"
        return Image.load(elf)


def call_graph(seed: int, functions: int) -> str:
    """Functions that call each other at random, as deep as `fuel` lets them: directly, by pointer, as tail calls; some jump back far."""
    chance = random.Random(seed)
    names = [f"f{n}" for n in range(functions)]
    parts = [
        HEAD,
        JUMPS,
        "jmp_buf back[4];\nunsigned jumps;\n",
        *(f"NOINLINE int {name}(int);\n" for name in names),
        f"int (*volatile table[{functions}])(int) = {{{', '.join(names)}}};\n",
    ]
    for name in names:
        body = [f"volatile int room[{chance.randrange(1, 9)}]; room[0] = n;"] if chance.random() < 0.4 else []
        body.append("if (fuel < 2) return n; fuel--;")
        for _ in range(chance.randrange(4)):
            body.append(_statement(chance, names))
        other = chance.choice(names)
        end = chance.choice(
            (f"return {other}(n + 1);", f"return table[n % {functions}u](n);", "return n + sink;", f"return {other}(n) + 1;")
        )
        parts.append(f"NOINLINE int {name}(int n) {{ {' '.join(body)} {end} }}\n")
    parts.append(
        "int snippet(void) { fuel = 150; jumps = 0; for (int i = 0; i < 4; i++) if (setjmp(back[i])) return 1;\n"
        "int sum = 0; while (fuel > 1) sum += f0(fuel); return sum; }\n"
    )
    return "".join(parts)


def _statement(chance: random.Random, names: list[str]) -> str:
    other, slot = chance.choice(names), chance.randrange(4)
    return chance.choice(
        (
            f"n += {other}(n);",
            f"n ^= table[(n + {chance.randrange(9)}) % {len(names)}u](n + 1);",
            f"if (n & {1 << chance.randrange(3)}) n += {other}(n >> 1);",
            f"for (int i = 0; i < {chance.randrange(1, 4)}; i++) sink += {other}(i);",
            f"if (sink & 1) return {other}(n);",
            (
                f"{{ int kept[10]; for (int i = 0; i < 10; i++) kept[i] = back[{slot}][i]; if (!setjmp(back[{slot}])) n += {other}(3);"
                f" for (int i = 0; i < 10; i++) back[{slot}][i] = kept[i]; }}"
            ),
            f"if (fuel % 5 == 1 && jumps < 20) {{ jumps++; fuel--; longjmp(back[{slot}], 1); }}",
            (
                f"switch (n & 7) {{ case 0: n += {other}(1); break; case 1: sink++; break; case 2: n -= 3; break; case 3: n += sink; break;"
                f" case 4: n = {other}(n); break; default: n++; }}"
            ),
        )
    )
