"""bench: the photographs that it draws, its statistics and what it shows; not the speed itself."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench.apart import apart
from bench.charts import Chart
from bench.charts import draw as draw_chart
from bench.measure import Machine, Timing, Way, cpu_model, interleave, reached, steps
from bench.one import main as one
from bench.one import peak
from bench.page import marks, put
from bench.photos import draw, texture
from bench.progress import progress
from bench.sizes import times
from bench.speed import late_share, row, said
from bench.startup import children, started
from bench.tables import Column, Section, Table, markdown, print_tables
from bench.workshop import Workshop
from tests.toy import write_bundle
from trapsort.exif import NO_EXIF

ROOT = Path(__file__).resolve().parent.parent


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
    clock, cpu, order, told = Clock(), Clock(), list[str](), list[str]()

    def way(name: str, cost: float) -> Way:
        def run() -> None:
            order.append(name)
            clock.now += cost if order.count(name) > 1 else 100  # the first time is slow
            cpu.now += 2 * cost

        def prepare() -> None:
            clock.now += 50
            cpu.now += 50

        return Way(name, "", 1, run, prepare=prepare)

    ways = [way("a", 1), Way("b", "", 1, None, "no such thing"), way("c", 2)]
    taken = interleave(ways, 3, clock=clock, cpu_clock=cpu, on_step=told.append)
    assert taken == {"a": [Timing(1, 2)] * 3, "c": [Timing(2, 4)] * 3}
    assert order == ["a", "c", "a", "c", "c", "a", "a", "c"]
    assert told[:3] == ["a, to warm up", "c, to warm up", "a, 1 of 3"]
    assert len(told) == steps(ways, 3)


def test_what_is_reached_are_medians() -> None:
    found = reached([Timing(4, 1), Timing(2, 5), Timing(3, 2)], 6)
    assert (found.images_per_second, found.slowest, found.fastest) == (2, 1.5, 3)
    assert (found.milliseconds, found.cpu_milliseconds) == (500, pytest.approx(2000 / 6))


def test_a_row_compares_with_the_published_way_and_with_the_floor() -> None:
    old, new, floor = (reached([Timing(s, s)], 10) for s in (8.0, 2.0, 0.5))
    cells = row(Way("new", "by machine", 10, lambda: None), new, (old, floor), floor)
    assert cells == ("new", 5.0, 5.0, 5.0, 200.0, 200.0, 4.0, 0.25, 4.0)
    missing = Way("old", "by hand", 10, None, "no Keras")
    assert row(missing, None, (old, new), floor) == ("old", *[None] * 8)
    assert row(missing, new, (None, new), floor)[6:8] == (None, 1)
    assert said(missing) == "old: by hand; not measured: no Keras"
    assert times(8, 2) == 4
    assert times(None, 2) is None
    assert times(8, None) is None


TABLE = Table(
    "6 photos",
    (
        Column("way", "way"),
        Column("images_per_second", "images/s", 1),
        Column("x", "ratio", 2, "x"),
    ),
    (("old", 1234.56, 1.0), ("other", None, None)),
    ("old: by hand",),
)
CHART = Chart("Photos a second", "images/s", (("old", 1234.56), ("new", 5.0)))
SECTION = Section("speed", (TABLE,), CHART)
MACHINE = Machine("Some CPU [x]", 2, "Linux", "3.11.7", {"pillow": "13.0.0"}, 0.5)


def test_the_table_shows_each_row_and_its_notes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")  # narrower than the table: nothing is cut off
    print_tables([TABLE])
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert cells == [["old", "1,234.6", "1.00x"], ["other", "-", "-"]]
    assert Column("files", "files").shown(None) == "-"
    assert Column("files", "files").shown(10_000) == "10,000"
    assert lines[0].strip() == "6 photos"
    assert lines[-1] == "old: by hand"


def test_markdown_names_the_command_and_the_machine() -> None:
    assert markdown(SECTION, MACHINE.sentence, "page-speed.svg") == (
        "![Photos a second](page-speed.svg)\n\n"
        "**6 photos**\n\n"
        "| way | images/s | ratio |\n| --- | ---: | ---: |\n"
        "| old | 1,234.6 | 1.00x |\n| other | - | - |\n\n"
        "- old: by hand\n\n"
        "Measured by `python -m bench speed` on:\n\n"
        "```text\nSome CPU [x], 2 cores, Linux, load 0.5 at the start\n"
        "Python 3.11.7, pillow 13.0.0\n```"
    )


def test_the_chart_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_chart(CHART, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "Photos a second" in text
    assert len(text) < 20_000


def test_figures_take_the_place_of_the_former_ones_and_of_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    first, last = marks("speed")
    page.write_text(f"# Title\n\n{first}\n{last}\n\nwords\n", encoding="utf-8")
    for figures in (r"old \1", "new"):
        put(page, "speed", figures)
        shown = f"# Title\n\n{first}\n\n{figures}\n\n{last}\n\nwords\n"
        assert page.read_text(encoding="utf-8") == shown
    before = page.read_bytes()
    with pytest.raises(ValueError, match="no single pair of lines <!-- figures: memory -->"):
        put(page, "memory", "figures")
    assert page.read_bytes() == before


def test_the_page_has_a_place_for_every_part_of_the_suite() -> None:
    from bench.__main__ import main

    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for part in main.commands:
        first, last = marks(part)
        assert text.count(first) == text.count(last) == 1, part
        assert text.index(first) < text.index(last)


def test_every_part_can_be_asked_for() -> None:
    from bench.__main__ import SUITE, main

    asked = {"speed", "stages", "sizes", "memory", "startup", "scale"}
    assert {part.name for part in SUITE} == asked
    assert asked | {"web", "export", "record", "cluster", "reduced"} == set(main.commands)


def test_what_is_measured_becomes_a_page_and_json(tmp_path: Path) -> None:
    with ExitStack() as stack:
        page = tmp_path / "page.md"
        page.write_text("\n".join(marks("speed")), encoding="utf-8")
        workshop = Workshop(stack, is_json=True, page=page, machine=MACHINE)
        workshop.take(SECTION)
        assert "| old | 1,234.6 | 1.00x |" in page.read_text(encoding="utf-8")
        assert (tmp_path / "page-speed.svg").is_file()
        with pytest.raises(click.ClickException, match="no single pair of lines"):
            workshop.take(Section("web", printed="first screen 20 ms\n"))
        runner = CliRunner()
        with runner.isolation() as (out, *_):
            workshop.finish()
            found = json.loads(out.getvalue())
    assert found["machine"]["versions"] == {"pillow": "13.0.0"}
    speed, web = found["parts"]
    assert speed["tables"][0]["rows"] == [
        {"way": "old", "images_per_second": 1234.56, "x": 1.0},
        {"way": "other", "images_per_second": None, "x": None},
    ]
    assert web == {
        "part": "web",
        "command": "python -m bench web",
        "printed": ["first screen 20 ms"],
    }


def test_what_a_part_prints_is_shown_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.__main__ import add, main

    options = [click.Option(["--word"], multiple=True), click.Option(["--loud/--quiet"])]
    options += [click.Option(["--file"], type=click.Path(path_type=Path)), click.Option(["--n"])]
    monkeypatch.setitem(main.commands, "say", click.Command("say"))  # that it goes in the end
    add(click.Command("say", params=options, callback=lambda word, **_: click.echo(*word[:1])))
    given = ["say", "--word", "hello", "--word", "b", "--quiet", "--file", "/somewhere/a.db"]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("hello\n")
    done = CliRunner().invoke(main, ["--format", "json", *given])
    assert done.stderr == "hello\n"
    (part,) = json.loads(done.stdout)["parts"]
    assert part == {
        "part": "say",
        "command": "python -m bench say --word hello --word b --quiet --file a.db",
        "printed": ["hello"],
    }


def test_what_is_measured_where_no_part_is_named_is_shown_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import bench.__main__ as suite

    def found(count: int) -> Section:
        return Section("few", (replace(TABLE, title=f"{count} photos"),))

    few = click.Command("few", params=[click.Option(["--count"], default=7)], callback=found)
    monkeypatch.setitem(suite.main.commands, "few", few)  # that it goes in the end
    monkeypatch.setattr(suite, "SUITE", (few,))
    suite.add(few)
    done = CliRunner().invoke(suite.main, ["--format", "json"])
    assert done.exit_code == 0, done.output
    (part,) = json.loads(done.stdout)["parts"]
    assert (part["command"], part["tables"][0]["title"]) == ("python -m bench few", "7 photos")


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


def test_progress_is_a_line_a_step_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("speed", 2) as step:
        step("old, 1 of 2")
        step("old, 2 of 2")
    assert capsys.readouterr() == ("", "speed: old, 1 of 2\nspeed: old, 2 of 2\n")


def test_the_most_memory_that_was_held(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t   9999 kB\nVmHWM:\t    2048 kB\n")
    assert peak(status) == 2048 * 1024
    assert peak(tmp_path / "none") > 10 * 1024 * 1024


def test_one_way_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(tmp_path / "card", 2, width=320, height=240)
    one("trapsort", tmp_path / "card", str(write_bundle(tmp_path / "toy")))
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["images"]) == ("trapsort", 2)
    assert found["peak"] > 20 * 1024 * 1024


def test_photos_are_drawn_once_or_copied_from_a_card(tmp_path: Path) -> None:
    with ExitStack() as stack:
        workshop = Workshop(stack)
        folder, paths = workshop.photos(2, width=64, height=48)
        assert [path.parent for path in paths] == [folder, folder]
        drawn = [path.stat().st_mtime_ns for path in paths]
        assert workshop.photos(2, width=64, height=48) == (folder, paths)
        assert [path.stat().st_mtime_ns for path in paths] == drawn
        assert len(workshop.photos(5, folder)[1]) == 2
        with pytest.raises(click.BadParameter, match="no JPEG file below"):
            workshop.photos(1, tmp_path)
    assert not folder.exists()


@pytest.fixture
def toy(tmp_path: Path) -> list[str]:
    """Options that name three small photos and a tiny bundle."""
    draw(tmp_path / "card", 3, width=320, height=240)
    return ["--card", str(tmp_path / "card"), "--bundle", str(write_bundle(tmp_path / "toy"))]


def test_ways_are_measured_side_by_side(toy: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import speed, ways
    from bench.__main__ import main

    def published(setting: ways.Setting) -> Way:
        return Way("published, by 32", "by hand", 1, None, "no Keras")

    names = ("trapsort", "floor", "floor-1")
    few = {"published-32": published} | {name: ways.WAYS[name] for name in names}
    monkeypatch.setattr(ways, "WAYS", few)
    monkeypatch.setattr(
        speed, "apart", lambda name, s: published(s) if name == "published-32" else apart(name, s)
    )
    done = CliRunner().invoke(main, ["--format", "json", "speed", *toy])
    assert done.exit_code == 0, done.output
    (table,) = json.loads(done.stdout)["parts"][0]["tables"]
    first, trapsort, floor, alone = table["rows"]
    assert table["title"].startswith("3 photos of 0.1 megapixels, 0.0 MB each; members of toy")
    assert (first["way"], first["milliseconds"], trapsort["times_published"]) == (
        "published, by 32",
        None,
        None,
    )
    assert trapsort["milliseconds"] > floor["milliseconds"] > 0
    assert (floor["way"], floor["floors"], alone["way"]) == (ways.FLOOR, 1, ways.FLOOR_ALONE)
    assert "published, by 32: by hand; not measured: no Keras" in table["notes"]
    assert "all members of the ensemble were asked of 100% of the photos" in table["notes"]


def test_a_way_in_a_process_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from bench.ways import Setting
    from trapsort.bundle import load_bundle

    paths = draw(tmp_path / "card", 2, width=320, height=240)
    bundle = load_bundle(write_bundle(tmp_path / "toy"))
    with ExitStack() as stack:
        setting = Setting(tmp_path / "card", paths, bundle, tmp_path, stack)
        way = apart("trapsort", setting)
        assert way.cpu is not None
        (timing,) = interleave([way], 1)[way.name]
        assert 0 < timing.cpu < way.cpu(), "of its round, not since its start"
        assert way.images == 2
        assert len(list(tmp_path.glob("*.sqlite3"))) == 2, "one to warm up, one that counts"
        with pytest.raises(RuntimeError, match="no such way ended with 1"):
            apart("no such way", setting)
    assert not multiprocessing.active_children()
    assert "KeyError" in capfd.readouterr().err


def test_the_share_of_photos_that_every_member_saw(toy: list[str], tmp_path: Path) -> None:
    from trapsort.ensemble import Prediction
    from trapsort.scan import Photo, scan
    from trapsort.store import Record, Store

    one, two, _ = (item for item in scan(Path(toy[1])) if isinstance(item, Photo))
    database = tmp_path / "votes.sqlite3"
    with Store.open(f"sqlite:///{database}") as store:
        card, model = store.card(Path(toy[1])), store.model("toy", "1.0.0", "0" * 64)
        for number, (photo, members) in enumerate([(one, 1), (two, 2)]):
            votes = tuple((f"m{n}", "Lion", 0.9) for n in range(members))
            said = Prediction("Lion", 0.9, None, (("Lion", 0.9),), votes)
            found = Record(
                photo=photo,
                sha256=bytes([number]) * 32,
                size=1,
                exif=NO_EXIF,
                width=1,
                height=1,
                format="JPEG",
                flags=(),
                perceptual_hash=0,
                prediction=said,
            )
            store.record(card, model, records=[found])
    assert late_share(database, 2) == 0.5


def test_stages_are_measured_one_by_one(toy: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import stages
    from bench.__main__ import main

    monkeypatch.setattr(stages, "RECORDED", 200)
    monkeypatch.setattr(stages, "HASHES", 50)
    monkeypatch.setattr(stages, "everyone", lambda *_: [])
    done = CliRunner().invoke(main, ["--format", "json", "stages", *toy])
    assert done.exit_code == 0, done.output
    passed, inside = json.loads(done.stdout)["parts"][0]["tables"]
    rows = {found["stage"]: found for found in passed["rows"]}
    assert list(rows) == [
        *("list", "read", "sha256", "look-up", "decode", "EXIF", "perceptual hash", "inference"),
        *("decision", "near-duplicates", "record", "sum", stages.WHOLE),
    ]
    shares = [found["share"] for found in passed["rows"][:-2]]
    assert sum(shares) == pytest.approx(100)
    sums = [found["cpu_milliseconds"] for found in passed["rows"]]
    assert sum(sums[:-2]) == pytest.approx(sums[-2])
    within = {found["stage"]: found["milliseconds"] for found in inside["rows"]}
    assert within["inference, single, first exit"] is None  # the toy has no cascade
    assert within["inference, single, last exit"] > 0
    assert within["look-up, 12 a query"] > 0


def test_what_decoding_a_part_changes(tmp_path: Path) -> None:
    from bench.__main__ import main

    card = tmp_path / "card"
    draw(card, 1, width=2000, height=1000)
    draw(tmp_path / "small", 1, width=400, height=300)
    (tmp_path / "small" / "IMG_0000.JPG").rename(card / "small.jpg")
    (card / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    toy = write_bundle(tmp_path / "toy")
    asked = ["reduced", "--card", str(card), "--crops", "1", "--bundle", str(toy)]
    result = CliRunner().invoke(main, ["--format", "json", *asked])
    assert result.exit_code == 0, result.output
    (table,) = json.loads(result.stdout)["parts"][0]["tables"]
    half, quarter, eighth = table["rows"]
    assert (eighth["decoded"], eighth["width"], eighth["height"]) == ("1/8", 408, 306)
    assert 0 < half["drift"] < quarter["drift"] < eighth["drift"] < 5
    assert table["notes"][0].startswith("1 photos and 1 crops of each")
    for few in (tmp_path / "small", tmp_path / "absent"):
        assert CliRunner().invoke(main, ["reduced", "--card", str(few)]).exit_code == 2


def test_files_a_second_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import scale
    from bench.__main__ import main

    monkeypatch.setattr(scale, "DECADES", (100, 200))
    monkeypatch.setattr(scale, "FEW", 100)
    monkeypatch.setattr(scale, "MIN_REPEATS", 2)
    done = CliRunner().invoke(main, ["--format", "json", "scale", "--most", "1000"])
    assert done.exit_code == 0, done.output
    (table,) = json.loads(done.stdout)["parts"][0]["tables"]
    assert [(found["files"], found["runs"]) for found in table["rows"]] == [
        (100, 2),
        (200, 1),
    ]
    first, second = table["rows"]
    assert second["of_first"] == pytest.approx(
        second["files_per_second"] / first["files_per_second"]
    )


def test_a_command_that_fails_is_no_figure(tmp_path: Path) -> None:
    def python(code: str) -> Callable[[], None]:
        return started(lambda: [sys.executable, "-S", "-c", code], tmp_path)

    before = children()
    python("sum(range(5_000_000))")()
    assert children() > before
    with pytest.raises(RuntimeError, match="ended with 3: no such photo"):
        python("import sys; sys.stderr.write('no such photo');sys.exit(3)")()


def test_a_command_starts_from_compiled_modules(tmp_path: Path) -> None:
    started(lambda: [sys.executable, "-c", "import wave"], tmp_path)()
    assert len(list(tmp_path.rglob("wave.*.pyc"))) == 1
