"""What can go wrong, each with the exit status of the command lines (listed in their --help)."""

from __future__ import annotations


class ThumbcycleError(Exception):
    """A failure that is answered with one line; `status` is the exit status it ends with."""

    status = 1


class NotBitExact(ThumbcycleError):
    """An output byte differs from the reference's."""

    status = 1


class OverBudget(ThumbcycleError):
    """A count grew over its budget, or what a budget is about cannot be measured."""

    status = 1


class UsageError(ThumbcycleError):
    """An option or a name that does not exist."""

    status = 2


class InputError(ThumbcycleError):
    """A file that cannot be read, or does not hold what was expected."""

    status = 3


class BuildError(ThumbcycleError):
    """No compiler, or a source that does not compile or link."""

    status = 4


class TargetFault(ThumbcycleError):
    """The program did what the core or its memory does not allow, or did not end."""

    status = 5
