"""Fixtures that other folders define: command lines as a user types them, firmware."""

from __future__ import annotations

from tests.cli.conftest import copy, one_line_error, run
from tests.firmware.conftest import builder

__all__ = ["builder", "copy", "one_line_error", "run"]
