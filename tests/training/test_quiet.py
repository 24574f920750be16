"""What libraries print while they start is held back, and shown where they fail."""

from __future__ import annotations

import os

import pytest

from training.quiet import STDERR, unless_it_fails


def test_nothing_is_shown_where_all_is_well(capfd: pytest.CaptureFixture[str]) -> None:
    with unless_it_fails():
        os.write(STDERR, b"no GPU was found\n")
    os.write(STDERR, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_everything_is_shown_where_something_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError, match="no such module"), unless_it_fails():
        os.write(STDERR, b"a library is missing\n")
        raise ImportError("no such module")
    assert capfd.readouterr().err == "a library is missing\n"
