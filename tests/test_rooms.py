"""The way of the data: a room imports only rooms to its left, nothing imports a command line, no two modules import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from emu.build.cache import REPOSITORY

# From left to right, as docs/architecture.md has them; modules that belong to none of these tie rooms together, and are not looked at.
ROOMS = ("armsrc", "kwsq", "emu.isa", "emu.build", "emu.probe", "emu.machine", "emu.timing", ("emu.profile", "emu.functions"), "emu.check", "emu.experiment",
         "emu.report")
COMMAND_LINES = ("emu.run.", "emu.experiment.commands.")


def modules() -> dict[str, Path]:
    """Name -> file, of the project's own."""
    paths = [*(REPOSITORY / "emu").rglob("*.py"), *(REPOSITORY / "kwsq").rglob("*.py"), *(REPOSITORY / "armsrc").glob("*.py")]
    return {".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path for path in paths if "template" not in path.parts}


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Of its own project, those that only type checkers follow aside."""
    tree = ast.parse(path.read_text())
    unseen = {id(node) for branch in ast.walk(tree) if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING" for node in ast.walk(branch)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in unseen:
            yield from {alias.name for alias in node.names} & known.keys()
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in unseen:
            yield from {name if name in known else node.module for name in (f"{node.module}.{alias.name}" for alias in node.names)} & known.keys()


def room(module: str) -> int | None:
    """Its number in ROOMS; None for a command line and for what ties rooms together."""
    if module.endswith("__main__") or module.startswith(COMMAND_LINES):
        return None
    return next((number for number, names in enumerate(ROOMS) for name in ([names] if isinstance(names, str) else names)
                 if f"{module}.".startswith(f"{name}.")), None)


def test_the_way_of_the_data() -> None:
    known = modules()
    found = {module: set(imports(path, known)) - {module} for module, path in known.items()}
    assert {"emu.machine.running", "kwsq.export", "emu.kws"} <= found.keys() and "emu.machine.system" in found["emu.machine.running"]
    wrong = [f"{module} imports {other}" for module, others in found.items() for other in others
             if (room(module) is not None and room(other) is not None and room(module) < room(other))
             or (other.startswith(COMMAND_LINES) and not module.startswith(("emu.run", "emu.experiment.commands", "emu.experiment.__main__")))
             or (module.startswith("kwsq") and other.startswith("emu"))
             or (module.startswith("emu") and other.startswith("kwsq") and module != "emu.kws" and room(module) is not None)
             or module in found[other]]
    assert wrong == []
