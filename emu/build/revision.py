"""Folders as a git revision has them, in the build cache: armsrc, or somebody's folder of kernels; nothing is checked out."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from emu.build.cache import REPOSITORY, cache_dir, temporary
from emu.errors import BuildError, UsageError

GIT_TIMEOUT = 60.0  # seconds
FOLDER = "armsrc"
HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True)
class Revision:
    """root: the folder that holds armsrc/, or the folder that was asked for. commit: its full hash."""

    commit: str
    root: Path


def sources(revision: str, repository: Path | None = None) -> Revision:
    """The sources of `revision`, from the cache when they were there before; repository: this one by default, or a folder in it.

    Raises UsageError without git, outside a repository that git trusts, and for a revision that it does not have or that has no armsrc;
    BuildError when the cache cannot be written.
    """
    where = repository or REPOSITORY
    commit = _commit(revision, where)
    return Revision(commit, _unpacked(revision, commit, where, FOLDER))


def folder(revision: str, path: Path) -> Revision:
    """A folder as its own repository has it in `revision`, among all that the repository then held. Raises what `sources` does."""
    commit = _commit(revision, path)
    top, inside = (_git(path, "rev-parse", question).stdout.decode().strip() for question in ("--show-toplevel", "--show-prefix"))
    root = _unpacked(revision, commit, Path(top)) / inside
    if not root.is_dir():
        raise UsageError(f"the revision {revision!r} has no folder {inside}")
    return Revision(commit, root)


def _commit(revision: str, where: Path) -> str:
    inside = _git(where, "rev-parse", "--is-inside-work-tree")
    if inside.returncode:
        said = inside.stderr.decode(errors="replace").strip().partition("\n")[0].removeprefix("fatal: ")
        why = f"{where} is not in a git repository" if said.startswith("not a git repository") else f"git: {said}"
        raise UsageError(f"no revision {revision!r}: {why}")
    commit = "" if revision.startswith("-") else _hash(where, f"{revision}^{{commit}}")
    if not commit:
        raise UsageError(f"no revision {revision!r} in the git repository {where}")
    return commit


def _unpacked(revision: str, commit: str, where: Path, part: str = "") -> Path:
    """The folder in the cache that holds what the commit has of `part`, all when it is ""."""
    tree = _hash(where, f"{commit}:./{part}")
    if not tree:
        raise UsageError(f"the revision {revision!r} has no folder {part}")
    root = cache_dir() / "revisions" / (tree if part else f"{tree}.named/{where.name}")  # a folder's name is its kernel set's
    if not root.exists():
        _unpack(where, commit, root, part)
    return root


def head(repository: Path | None = None) -> tuple[str, bool] | None:
    """(hash of the commit, whether a file that git knows differs from it); None where git or a repository is missing."""
    where = repository or REPOSITORY
    try:
        commit = _hash(where, "HEAD")
        return (commit, bool(_git(where, "status", "--porcelain", "--untracked-files=no").stdout)) if commit else None
    except UsageError:
        return None


def _hash(where: Path, name: str) -> str:
    """Of what git knows by that name; "" when it knows none."""
    asked = _git(where, "rev-parse", "--verify", "--quiet", name)
    return "" if asked.returncode else asked.stdout.decode().strip()


def _unpack(where: Path, commit: str, root: Path, part: str) -> None:
    """The folder whole or not at all; of several processes the first wins."""
    archive = _git(where, "archive", "--format=zip", commit, *[part] * bool(part))
    if archive.returncode:
        raise UsageError(f"git archive {commit} {part} fails in {where}")
    draft = temporary(root)
    try:
        with zipfile.ZipFile(io.BytesIO(archive.stdout)) as packed:
            packed.extractall(draft)
        _settle(draft, root)
    except OSError as error:
        raise BuildError(f"cannot write the build cache {root}: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _settle(draft: Path, root: Path) -> None:
    try:
        os.rename(draft, root)
    except OSError:
        if not root.is_dir():  # else another process was first
            raise


def _git(where: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    # A hook's environment names the repository that it runs in.
    environment = {key: value for key, value in os.environ.items() if key not in HOOKS} | {"LC_ALL": "C"}
    command = ["git", "-C", str(where), *arguments]
    try:
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_TIMEOUT, check=False)
    except FileNotFoundError:
        raise UsageError("a side with @REVISION needs git, which is not on PATH") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"git {arguments[0]}: no answer in {GIT_TIMEOUT:g} s") from None
