"""Prices: what a stream costs on a core that has a table in `cores/`. Knows no program, and no core by name."""
