"""Snippets go into a cache of their own; the probe and the network's images, which are dear, come from the project's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from emu.build import cache, toolchain
from emu.build import compile as images
from emu.build.elf import Image
from emu.build.program import Program
from emu.errors import BuildError
from emu.probe import build
from tests.emu.target import Assembler


@contextmanager
def _cache(folder: str | None) -> Iterator[None]:
    before = os.environ.pop(cache.VARIABLE, None)
    if folder is not None:
        os.environ[cache.VARIABLE] = folder
    try:
        yield
    finally:
        os.environ.pop(cache.VARIABLE, None)
        if before is not None:
            os.environ[cache.VARIABLE] = before


@pytest.fixture(scope="session")
def assembler(tmp_path_factory: pytest.TempPathFactory) -> Assembler:
    return Assembler(tmp_path_factory.mktemp("snippets"))


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    build.library()
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _own_cache(own_cache: str) -> Iterator[None]:
    with _cache(own_cache):
        yield


class Spotter(NamedTuple):
    """The keyword spotter with one kernel set, and an input."""

    image: Image
    program: Program
    network: object
    x: np.ndarray


@pytest.fixture(scope="session")
def spotter() -> Callable[[str], Spotter]:
    """spotter(kernels): built once; skips a kernel set that does not link."""
    from kwsq import export, features, model

    networks, (x, _), built = model.load(), features.load_input("yes"), {}

    def make(kernels: str) -> Spotter:
        if kernels not in built:
            network = networks["float32" if kernels == "float" else "int8"]
            with _cache(None):
                try:
                    path = images.build(
                        kernels, generated={"network.c": export.source(network)}, float_abi=kernels == "float", toolchain=toolchain.find()
                    )
                except BuildError as error:
                    pytest.skip(f"kernel set {kernels} does not link: {error}")
            program = Program.from_manifest(export.manifest(network))
            built[kernels] = Spotter(Image.load(Path(path)), program, network, network.input_array(x))
        return built[kernels]

    return make
