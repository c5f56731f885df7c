"""The laboratory: builds, runs, counts, prices and checks kernels, and reports what they cost."""

__version__ = "0.1.0"
