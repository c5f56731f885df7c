"""A folder of kernels to begin with: copies of the files in template/, which build, run and are right."""

from __future__ import annotations

import json
import os
from pathlib import Path

from emu import files
from emu.errors import InputError

TEMPLATE = Path(__file__).parent / "template"
WORKFLOW = {"workflow.yml": ".github/workflows/kernels.yml"}  # a file's name in template/ -> where it goes, if elsewhere
NAME = "NAME"  # in README.md, stands for the folder's
COMPILER = '# compiler = "clang"'  # in kernels.toml


def write(folder: Path, cc: str | None = None) -> list[str]:
    """Writes the files, and returns their names in the folder, which may exist if it is empty. cc: the compiler that kernels.toml is to name.

    InputError where that cannot be done.
    """
    changed = {"README.md": {NAME: folder.absolute().name}, "kernels.toml": {COMPILER: f"compiler = {_named(cc)}"} if cc else {}}
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is there already, and is no empty folder")
        found = []
        for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            name = source.relative_to(TEMPLATE).as_posix()
            target = folder / WORKFLOW.get(name, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text(encoding="utf-8")
            for old, new in changed.get(name, {}).items():
                text = text.replace(old, new)
            files.write_atomically(target, text.encode())
            found.append(WORKFLOW.get(name, name))
    except OSError as error:
        raise InputError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    return found


def _named(cc: str) -> str:
    """A compiler as TOML has it: a name on PATH, or an absolute path."""
    path = os.path.expanduser(cc)
    return json.dumps(os.path.abspath(path) if os.sep in path else cc, ensure_ascii=False)
