"""How long a run still takes is said, and by whom."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

from training import progress
from training.progress import TimeLeft, duration, starts, verbosity


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3540, "59 min"), (12000, "3 h 20 min")],
)
def test_a_duration_is_rounded(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_every_epoch_says_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit that goes on in its third of five epochs, each of 90 s."""
    clock = iter([0.0, 90.0, 180.0, 270.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    left = TimeLeft()
    left.set_params({"epochs": 5})
    left.on_train_begin()
    for epoch in (2, 3, 4):
        left.on_epoch_end(epoch)
    assert capsys.readouterr().err == (
        "epoch 3 of 5: at most 3 min left\nepoch 4 of 5: at most 2 min left\n"
    )


def test_many_batches_have_a_bar_and_few_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(starts(17, 8, "answers")) == [0, 8, 16]
    assert capsys.readouterr().err == ""
    assert list(starts(90, 10, "answers")) == list(range(0, 90, 10))
    assert capsys.readouterr().err == "answers\n"  # in a file the label alone


def test_in_a_file_an_epoch_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verbosity() == 2
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert verbosity() == 1
