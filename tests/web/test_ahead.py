"""Pictures that are made before anybody asks: of all that lies on cards, within the bound."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.web.site import COLOURS, Site, make
from trapsort.cli.main import main
from trapsort.settings import pictures_path
from trapsort.store import Store
from trapsort.web.ahead import Ahead
from trapsort.web.shared import Shared
from trapsort.web.thumbnails import PREVIEW, SIZES, Thumbnails


@pytest.fixture(scope="module")
def on_card(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make(tmp_path_factory.mktemp("ahead"))


def kept(site: Site, folder: Path, size: int) -> list[str]:
    """The photos of which there is a picture."""
    cache = Thumbnails(folder, 1 << 20)
    with Store.open(site.url) as store:
        return sorted(str(s.path) for s in store.sightings() if cache.has(s.sha256, size))


def test_pictures_of_a_card_outlive_it_though_nobody_looked(on_card: Site, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with Store.open(on_card.url) as store:
        ahead = Ahead(Shared(on_card.config(cache=cache), store))
        assert ahead.fill() == len(COLOURS) * len(SIZES)
        assert ahead.fill() == 0
        away = on_card.card.rename(tmp_path / "away")
        try:
            with on_card.browser(cache=cache) as browser:
                for size in SIZES:
                    address = f"/api/v1/photos/1/image?size={size}"
                    assert browser.client.get(address).headers["content-type"] == "image/jpeg"
        finally:
            away.rename(on_card.card)
    assert kept(on_card, cache, 256) == kept(on_card, cache, 1280) == sorted(COLOURS)


def test_a_card_that_comes_back_is_gone_on_with(on_card: Site, tmp_path: Path) -> None:
    with Store.open(on_card.url) as store:
        ahead = Ahead(Shared(on_card.config(cache=tmp_path / "cache"), store))
        away = on_card.card.rename(tmp_path / "away")
        on_card.card.mkdir()  # an empty place to mount at is no card
        assert ahead.fill() == 0
        on_card.card.rmdir()
        away.rename(on_card.card)
        assert ahead.fill() == len(COLOURS) * len(SIZES)


def test_half_of_the_bound_is_left_for_what_people_look_at(on_card: Site, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with Store.open(on_card.url) as store:
        ahead = Ahead(Shared(on_card.config(cache=cache, cache_bytes=4_000), store))
        made = ahead.fill()
    sizes = [path.stat().st_size for path in cache.glob("??/*")]
    assert 0 < made == len(sizes) < len(COLOURS)
    assert sum(sizes) - max(sizes) < 2_000 < sum(sizes) + min(sizes)


def test_what_the_models_were_shown_stands_in_until_the_card_is_back(
    on_card: Site, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with Store.open(on_card.url) as store:
        (digest,) = [s.sha256 for s in store.sightings() if s.photo_id == 1]
    previews = Thumbnails(cache, 1 << 20)
    previews.keep(digest, Image.new("RGB", (2560, 1920), "red"))
    (path,) = cache.glob("*/*")
    before = path.stat()
    previews.keep(digest, Image.new("RGB", (80, 60), "blue"))  # the first stays
    previews.keep("ab" * 32, Image.new("RGBA", (80, 60)))  # no JPEG can hold it: the photo counts
    assert path.stat() == before
    address = "/api/v1/photos/1/image?size="
    away = on_card.card.rename(tmp_path / "away")
    try:
        with on_card.browser(cache=cache) as browser:
            large = browser.client.get(f"{address}1280")
            small = browser.client.get(f"{address}256")
            heat = browser.client.get("/api/v1/photos/1/heatmap")
    finally:
        away.rename(on_card.card)
    assert Image.open(io.BytesIO(large.content)).size == (1280, 960)
    assert (large.headers["cache-control"], large.headers.get("etag")) == ("no-store", None)
    assert Image.open(io.BytesIO(small.content)).size == (256, 192)
    assert heat.status_code == 200
    with on_card.browser(cache=cache) as browser:
        back = browser.client.get(f"{address}1280")
    assert Image.open(io.BytesIO(back.content)).size == (400, 300)
    assert back.headers["etag"] == f'"{digest}-1280"'


def test_previews_are_kept_while_a_card_is_taken_in(
    on_card: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken_in(name: str, *command: str) -> list[bool]:
        """Take the card into a new record; say of which photos a preview is kept."""
        cache = tmp_path / name
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
        url = f"sqlite:///{(tmp_path / name).as_posix()}.sqlite3"
        shared = ["--db", url, "--bundle", str(on_card.bundle)]
        assert main([*command, str(on_card.card), *shared]) == 0
        kept = Thumbnails(pictures_path(), 1 << 20)
        with Store.open(url) as store:
            return [kept.has(each.sha256, PREVIEW) for each in store.sightings()]

    everything = [True] * len(COLOURS)
    assert taken_in("a", "ingest") == [False] * len(COLOURS)
    assert not (tmp_path / "a").exists()
    assert taken_in("b", "ingest", "--previews") == everything
    assert taken_in("c", "watch", "--once", "--previews") == everything


def test_a_page_that_is_served_fills_the_cache_by_itself(on_card: Site, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    until = time.monotonic() + 30
    with on_card.browser(cache=cache, ahead_seconds=0.01):
        while len(kept(on_card, cache, max(SIZES))) < len(COLOURS) and time.monotonic() < until:
            time.sleep(0.05)
    assert kept(on_card, cache, 256) == kept(on_card, cache, 1280) == sorted(COLOURS)
    assert "trapsort-ahead" not in [each.name for each in threading.enumerate()]
