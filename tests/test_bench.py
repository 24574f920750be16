"""bench: the photographs that it draws, its statistics and what it shows; not the speed itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.measure import Machine, Result, Way, cpu_model, interleave, print_table, summarise
from bench.photos import draw, texture


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_photos_are_the_same_each_time_and_differ_from_each_other(tmp_path: Path) -> None:
    first = draw(tmp_path / "a", 3, width=320, height=240)
    again = draw(tmp_path / "b", 3, width=320, height=240)
    assert [path.name for path in first] == ["IMG_0000.JPG", "IMG_0001.JPG", "IMG_0002.JPG"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in first}) == 3
    with Image.open(first[1]) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (320, 240), "RGB")
        assert image.getexif().get_ifd(0x8769)[0x9003] == "2025:06:01 00:01:00"
        pixels = np.asarray(image)
    assert 60 < pixels.mean() < 190
    assert pixels.std() > 20
    assert ((pixels == 0) | (pixels == 255)).mean() < 0.05  # natural, not clipped


def test_the_texture_has_the_spectrum_of_its_slope() -> None:
    plane = texture(256, 256, np.random.default_rng(0), slope=1.0)
    assert abs(float(plane.mean())) < 1e-3
    assert float(plane.std()) == pytest.approx(1, abs=1e-3)
    amplitude = np.abs(np.fft.rfft2(plane))
    vertical, horizontal = np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None]
    frequency = np.hypot(vertical, horizontal)
    used = (frequency > 0.02) & (frequency < 0.45)
    slope = np.polyfit(np.log(frequency[used]), np.log(amplitude[used]), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.1)


def test_the_ways_take_turns_after_a_warm_up_and_only_their_work_is_timed() -> None:
    clock, order = Clock(), list[str]()

    def way(name: str, cost: float) -> Way:
        def run() -> None:
            order.append(name)
            clock.now += cost if order.count(name) > 1 else 100  # the first time is slow

        def prepare() -> None:
            clock.now += 50

        return Way(name, "", run, prepare=prepare)

    ways = [way("a", 1), Way("b", "", None, "no such thing"), way("c", 2)]
    assert interleave(ways, 3, clock) == {"a": [1, 1, 1], "c": [2, 2, 2]}
    assert order == ["a", "c", "a", "c", "c", "a", "a", "c"]


WAYS = [
    Way("old", "by hand", lambda: None),
    Way("new", "by machine", lambda: None),
    Way("other", "by none", None, "not here (install '.[train]')"),
]


def test_rows_hold_medians_and_ratios_to_the_first_way() -> None:
    old, new, other = summarise(WAYS, {"old": [4, 2, 3], "new": [1, 1, 0.5]}, 6)
    assert (old.median, old.slowest, old.fastest, old.ratio) == (2, 1.5, 3, 1)
    assert old.milliseconds_per_image == 500
    assert (new.median, new.slowest, new.fastest, new.ratio) == (6, 6, 12, 3)
    assert (other.median, other.ratio, other.note) == (
        None,
        None,
        "not measured: not here (install '.[train]')",
    )


def test_without_the_first_way_there_is_no_ratio() -> None:
    rows = summarise([Way("old", "", None, "gone"), WAYS[1]], {"new": [1, 2, 3]}, 6)
    assert rows[0].note == "not measured: gone"
    assert (rows[1].median, rows[1].ratio) == (3, None)


@pytest.fixture
def result() -> Result:
    machine = Machine("Some CPU [x]", 2, "Linux", "3.11.7", {"pillow": "13.0.0"}, 0.5)
    rows = summarise(WAYS, {"old": [4, 2, 3], "new": [1, 1, 0.5]}, 6)
    return Result(6, 7.99, 3.04, 3, "demo-1.0.0", machine, rows)


def test_the_table_shows_each_row_and_the_machine(
    result: Result, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    print_table(result)
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert cells == [
        ["old", "2.0", "1.5", "3.0", "500.0", "1.00x"],
        ["new", "6.0", "6.0", "12.0", "166.7", "3.00x"],
        ["other", "-", "-", "-", "-", "-"],
    ]
    assert lines[-6:] == [
        "old: by hand",
        "new: by machine",
        "other: by none; not measured: not here (install '.[train]')",
        "medians of 3 interleaved repeats, 3.0 MB a photo, model demo-1.0.0",
        "Some CPU [x], 2 cores, Linux, load 0.5 at the start",
        "Python 3.11.7, pillow 13.0.0",
    ]


def test_json_holds_the_same(result: Result) -> None:
    loaded = json.loads(json.dumps(result.as_dict()))
    assert [row["way"] for row in loaded["rows"]] == ["old", "new", "other"]
    assert loaded["rows"][1]["ratio"] == 3
    assert loaded["rows"][2]["median"] is None
    assert loaded["machine"]["versions"] == {"pillow": "13.0.0"}


def test_the_name_of_the_processor(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9B45\nprocessor\t: 1\n")
    assert cpu_model(cpuinfo) == "AMD EPYC 9B45"
    cpuinfo.write_text("processor\t: 0\nModel\t\t: Raspberry Pi 5 Model B\n")
    assert cpu_model(cpuinfo) == "Raspberry Pi 5 Model B"
    assert cpu_model(tmp_path / "none")


def test_a_member_finds_its_backbone() -> None:
    from bench.ways import backbone_of

    known = ["MobileNetV2", "ResNet50", "ResNet50V2", "EfficientNetLite0"]
    assert backbone_of("efficientnet_lite0", known) == "EfficientNetLite0"
    assert backbone_of("resnet50v2", known) == "ResNet50V2"
    with pytest.raises(ValueError, match="member 'vgg16' is named after no known backbone"):
        backbone_of("vgg16", known)
