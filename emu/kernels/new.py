"""A folder of kernels to begin with: copies of the files in template/, which build, run and are right."""

from __future__ import annotations

from pathlib import Path

from emu import files
from emu.errors import InputError

TEMPLATE = Path(__file__).parent / "template"
WORKFLOW = {"workflow.yml": ".github/workflows/kernels.yml"}  # a file's name in template/ -> where it goes, if elsewhere
NAME = "NAME"  # in README.md, stands for the folder's


def write(folder: Path) -> list[str]:
    """Writes the files, and returns their names in the folder, which may exist if it is empty. InputError where that cannot be done."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is there already, and is no empty folder")
        found = []
        for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            name = source.relative_to(TEMPLATE).as_posix()
            target = folder / WORKFLOW.get(name, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomically(target, source.read_bytes().replace(NAME.encode(), folder.absolute().name.encode()) if name == "README.md"
                                   else source.read_bytes())
            found.append(WORKFLOW.get(name, name))
    except OSError as error:
        raise InputError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    return found
