"""Kernel sets: as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from emu.build.kernel_folder import ASSEMBLY, CPP, KernelFolder
from emu.report import json_form
from emu.report.table import printed

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
_KINDS = {"C": (".c",), "C++": CPP, "assembly": ASSEMBLY, "objects": (".o",), "archives": (".a",)}
Found = Sequence[tuple[KernelFolder, Sequence[str]]]  # with the kernels that it implements itself; none of a set without a base: all


def render(found: Found) -> str:
    """A line a set."""
    table = Table(header_style="bold")
    for name in ("set", "folder", "files", "implements", "the rest", "flags", "compiler"):
        table.add_column(name)
    for folder, kernels in found:
        table.add_row(folder.name, folder.folder, _files(folder), ", ".join(kernels) or "every kernel", folder.base or "", " ".join(folder.flags),
                      folder.compiler or "")
    return printed([table])


def render_json(found: Found) -> str:
    """schema, sets (name, folder, sources, linked, implements, base, flags, compiler)."""
    return json_form.dumps({"schema": SCHEMA, "sets": [
        {"name": folder.name, "folder": folder.folder, "sources": list(folder.sources), "linked": list(folder.linked),
         "implements": list(kernels) or None, "base": folder.base, "flags": list(folder.flags), "compiler": folder.compiler}
        for folder, kernels in found]})


def _files(folder: KernelFolder) -> str:
    counts = {kind: sum(name.endswith(suffixes) for name in (*folder.sources, *folder.linked)) for kind, suffixes in _KINDS.items()}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
