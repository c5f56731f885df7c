"""The network and its arithmetic: features, quantization, exact inference in NumPy, and the export to C tables."""

from __future__ import annotations

from kwsq.errors import InputError

__all__ = ["InputError"]
