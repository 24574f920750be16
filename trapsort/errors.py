"""What can go wrong, said so that the reader knows what to do next.

A `TrapsortError` ends a command: its class carries the exit code, its text the way out.
A `PhotoError` ends nothing: it costs one photo and becomes one row among the problems.
"""

from __future__ import annotations


class TrapsortError(Exception):
    """A command cannot go on; `hint` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class InputError(TrapsortError):
    """A path or an option that the user gave cannot be used."""

    exit_code = 2


class SettingsError(TrapsortError):
    """The configuration file or an environment variable is wrong."""

    exit_code = 2


class BundleError(TrapsortError):
    """A model bundle is missing, damaged or does not add up."""

    exit_code = 3


class DatabaseError(TrapsortError):
    """The sightings database cannot be opened, read or written."""

    exit_code = 4


class BusyError(TrapsortError):
    """Another trapsort holds what this one needs."""

    exit_code = 5


class PhotoError(Exception):
    """One photo cannot be used: `reason` is one of `scan.REASONS`, `detail` says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
