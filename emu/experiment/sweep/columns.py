"""The columns of a sweep's results: name, type, and what it says."""

from __future__ import annotations

from typing import NamedTuple

from emu.profile import PARTS


class Column(NamedTuple):
    """kind: Arrow's name of the type."""

    name: str
    kind: str
    meaning: str


COLUMNS = (
    Column("point", "string", "hash of what was asked: one row a point"),
    Column("key", "string", "hash of all that made the row; a point whose key is another is run again"),
    Column("sweep", "string", "name of the sweep file"),
    Column("shape", "string", "the shape's name"),
    Column("status", "string", "ok, not bit-exact, illegal shape, build error, cannot execute, fault, timeout, worker died, error"),
    Column("error", "string", "what went wrong, in a line"),
    Column("kind", "string", "the layer's kind, or network"),
    Column("kernel", "string", "the kernel ABI's function, or the network"),
    Column("input", "string", "of a network: what it heard"),
    *(Column(name, "int64", "field of the kernel's struct") for name in (
        "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left")),
    Column("padding", "string", "same or valid"),
    Column("activation", "string", "relu or none"),
    Column("per_channel", "bool", "a requantizer a channel"),
    Column("seed", "int64", "of weights and input"),
    Column("kernels", "string", "kernel set"),
    Column("opt", "string", "level of optimization"),
    Column("flags", "string", "more of the compiler's options"),
    Column("cc", "string", "the compiler as it was asked for"),
    Column("compiler", "string", "first line of its --version"),
    Column("compiler_identity", "string", "its path, date and size, and those of its linker"),
    Column("mcpu", "string", "the core whose code ran"),
    Column("core", "string", "the core that the cycles are of"),
    Column("memory", "string", "its memories"),
    Column("sources", "string", "hash of the kernel set and what of armsrc goes with it"),
    Column("emulator", "string", "hash of what runs, counts, prices and checks"),
    Column("tables", "string", "hash of the core's and the memories' tables"),
    Column("git_revision", "string", "commit of the project"),
    Column("git_dirty", "bool", "files differ from it"),
    Column("thumbcycle", "string", "version"),
    Column("schema", "int64", "of these columns"),
    Column("image_sha256", "string", "of the ELF"),
    Column("flash_bytes", "int64", "of the image, all kernels of the set"),
    Column("instructions", "int64", "issued, skipped ones included"),
    Column("skipped", "int64", "of them, whose condition failed in an IT block"),
    Column("cycles", "int64", "modelled, for core and memory"),
    Column("macs", "int64", "multiply-accumulates, windows over padding counted whole"),
    Column("cycles_per_mac", "double", "null without MACs"),
    Column("loads", "int64", "accesses"),
    Column("stores", "int64", "accesses"),
    Column("bytes_read", "int64", "of data"),
    Column("bytes_written", "int64", "of data"),
    Column("fetch_bytes", "int64", "of the issued instructions"),
    *(Column(f"{part}_bytes_{way}", "int64", f"of the part {part}") for part in PARTS for way in ("read", "written")),
    Column("weight_bytes", "int64", "weights as stored, bias, requantization table"),
    Column("activation_bytes", "int64", "the output"),
    Column("stack_bytes", "int64", "the most that was in use"),
    Column("code_bytes", "int64", "sizes of the functions that ran"),
    Column("bit_exact", "bool", "every byte is the reference's; null of float"),
    Column("max_abs_error", "double", "of float"),
    Column("timeout", "double", "seconds that the point might take"),
    Column("seconds", "double", "that the point took; of points that share a run, a part of it each"),
    Column("host", "string", "the machine that it ran on"),
    Column("finished", "string", "when, UTC"),
)
TYPES = {column.name: column.kind for column in COLUMNS}
