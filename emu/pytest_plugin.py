"""The pytest plug-in: the fixture `thumbcycle`. Imports nothing of the laboratory before a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from emu.testing import Kernels


@pytest.fixture(scope="session")
def thumbcycle() -> Kernels:
    """Calls one kernel on a modelled core: `thumbcycle(kernel, params, x, kernels=..., core=...)` (docs/gate.md)."""
    from emu.testing import Kernels

    return Kernels()
