"""Compiles sources into the cache's objects, in parallel where the cache lacks them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from emu.build.cache import cache_dir, temporary, temporary_folder
from emu.build.driver import keep, run
from emu.build.includes import learn
from emu.build.sources import GENERATED, Job, Source


def object_of(source: Source) -> Path:
    """Where its object lies in the cache, once it is there."""
    return cache_dir() / "objects" / f"{source.key[:32]}.o"


def compile_all(job: Job, sources: Sequence[Source]) -> list[Path]:
    """The objects of all sources. Raises the first failure in their order, and includes.LearnedError where keys have to be made anew."""
    import shutil
    from concurrent.futures import ThreadPoolExecutor

    from emu.build import process

    if all(object_of(source).exists() for source in sources):
        return [object_of(source) for source in sources]
    work = temporary_folder(cache_dir() / "work")
    try:
        for name, text in job.generated.items():
            (work / name).write_text(text)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                return [f.result() for f in [pool.submit(_compile, job, source, work) for source in sources]]
            except BaseException:  # the first failure, or an interrupt: what has not begun need not, what runs is ended
                pool.shutdown(wait=False, cancel_futures=True)
                process.end_all()
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compile(job: Job, source: Source, work: Path) -> Path:
    target = object_of(source)
    if target.exists():
        return target

    def place(name: str) -> str:
        return name.replace(GENERATED, str(work), 1) if name.startswith(GENERATED) else name

    include = [f"-I{place(folder)}" for folder in source.include]
    draft = temporary(target)
    told = draft.with_name(f"{draft.name}.d")
    try:
        run(job, [*source.flags, *_renamed(job, source, work), *include, "-MMD", "-MF", str(told), "-c", place(source.name), "-o", str(draft)],
            source.name, {str(work): GENERATED})
        learn(source.made_with, source.included, told, job.root, (str(work), GENERATED))
        keep(job, draft, target, source.name)
    finally:
        draft.unlink(missing_ok=True)
        told.unlink(missing_ok=True)
    return target


def _renamed(job: Job, source: Source, work: Path) -> list[str]:
    """Options that have folders called otherwise in debug information: an image is then the same wherever the repository and its environment stand."""
    root = str(job.root)
    # Compilers compare letters: a folder outside whose name begins as the repository's does would lose that beginning.
    outside = (folder for folder in (os.path.dirname(source.name), *source.include) if os.path.isabs(folder) and not f"{folder}/".startswith(f"{root}/"))
    folders = {str(job.toolchain.path.parent.parent): "toolchain", f"{root}/": "./", str(work): GENERATED, **{folder: folder for folder in outside}}
    # The last that fits wins, so the innermost comes last.
    return [job.toolchain.family.working_folder.format(root), *(f"-fdebug-prefix-map={folder}={folders[folder]}" for folder in sorted(folders, key=len))]
