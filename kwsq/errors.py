"""The errors that a user of kwsq sees."""

from __future__ import annotations


class InputError(ValueError):
    """A file or a name that cannot be used; the message is one line and names it."""


class UnknownWord(InputError):
    """A word that does not come with the project; the message names the near ones."""
