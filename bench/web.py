"""How long the page takes on a large record: first screens, the next photo, a decision."""

from __future__ import annotations

import hashlib
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy import update

from bench import photos as drawings
from bench.records import make
from trapsort.settings import Settings
from trapsort.store.engine import connect, writing
from trapsort.store.tables import cards, photos, places_seen

ORIGINALS = 8
"""Photos of the record that are really there, 8 megapixels each."""


def put_originals(url: str, folder: Path) -> list[int]:
    """Draw photos and make them those of the record's first ids; return the ids."""
    paths = drawings.draw(folder, ORIGINALS)
    engine = connect(url)
    try:
        with writing(engine) as connection:
            for number, path in enumerate(paths, start=1):
                digest = hashlib.sha256(path.read_bytes()).digest()
                name = path.name.encode()
                place = places_seen.c.photo_id == number
                photo = update(photos).where(photos.c.id == number)
                connection.execute(photo.values(sha256=digest))
                moved = update(places_seen).where(place)
                connection.execute(moved.values(path_bytes=name, path=path.name))
            connection.execute(update(cards).values(root=cards.c.root + "-old"))
            here = update(cards).where(cards.c.id <= ORIGINALS + 1)
            connection.execute(here.values(root=str(folder), volume=cards.c.id))
    finally:
        engine.dispose()
    return list(range(1, len(paths) + 1))


class Page:
    """A browser that asks over one connection, and times it."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._connection.request("GET", "/api/v1/session")
        first = self._connection.getresponse()
        token = json.loads(first.read())["token"]
        cookie = str(first.getheader("set-cookie")).partition(";")[0]
        self._headers = {"X-Trapsort-Token": token, "Cookie": cookie}

    def ask(self, path: str, said: object = None) -> tuple[float, bytes]:
        """Return the seconds that an answer took, and the answer."""
        body = None if said is None else json.dumps(said)
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        begun = time.perf_counter()
        self._connection.request("POST" if body else "GET", path, body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {data[:200]!r}")
        return time.perf_counter() - begun, data


@contextmanager
def served(url: str, cache: Path) -> Iterator[Page]:
    """Serve a record; yields a browser, and quits."""
    from trapsort.cli.work import open_bundle, open_classifier
    from trapsort.web.app import WebConfig
    from trapsort.web.serve import serve

    settings, addresses, ready = Settings(db=url), list[str](), threading.Event()

    def on_ready(address: str) -> None:
        addresses.append(address.removeprefix("http://").rstrip("/"))
        ready.set()

    config = WebConfig(
        settings=settings,
        hosts=frozenset(),
        cache=cache,
        reviewer="Ada",
        open_bundle=lambda: open_bundle(settings),
        open_classifier=lambda bundle: open_classifier(settings, bundle),
    )
    how: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "on_ready": on_ready}
    server = threading.Thread(target=serve, args=(config,), kwargs=how)
    server.start()
    ready.wait()
    page = Page(addresses[0])
    try:
        yield page
    finally:
        page.ask("/api/v1/quit", {})
        server.join()


def steps(page: Page, count: int, originals: list[int]) -> Iterator[tuple[str, list[float]]]:
    """Yield what a person does, and the seconds that it took each time."""

    def several(path: str, times: int = 5) -> list[float]:
        return [page.ask(path)[0] for _ in range(times)]

    listing = "/api/v1/sightings?limit=60"
    yield "first screen, page", several("/")
    yield "first screen, newest", several(listing)
    yield "first screen, least certain", several(f"{listing}&order=uncertain")
    yield "first screen, not reviewed", several(f"{listing}&reviewed=false")
    yield "first screen, one species", several(f"{listing}&species=Lion")
    yield "first screen, one station", several(f"{listing}&station=S07")
    yield "first screen, improbable ones", several(f"{listing}&max_probability=0.5005")
    for order in ("newest", "uncertain"):
        walk, after = [], ""
        for _ in range(40):
            took, data = page.ask(f"{listing}&order={order}{after}")
            after = f"&after={json.loads(data)['next']}"
            walk.append(took)
        yield f"next page, {order}", walk
    middle = [count // 2 + n for n in range(40)]
    yield "next photo, what is known", [page.ask(f"/api/v1/photos/{n}")[0] for n in middle]
    image = "/api/v1/photos/{}/image?size={}"
    new = [page.ask(image.format(n, 1280))[0] for n in originals]
    yield "next photo, picture from the card", new
    yield "next photo, picture kept", [page.ask(image.format(n, 1280))[0] for n in originals]
    yield "thumbnail, from the kept picture", [page.ask(image.format(n, 256))[0] for n in originals]
    decided = []
    for n in middle:
        seen = json.loads(page.ask(f"/api/v1/photos/{n}")[1])["review_id"]
        said = {"photos": [n], "label": "Lion", "seen": {str(n): seen}}
        decided.append(page.ask("/api/v1/reviews", said)[0])
    yield "a decision, saved", decided
    yield "labels", several("/api/v1/labels")
    for by in ("species", "station", "day", "iucn", "hour"):
        yield f"counts by {by}", several(f"/api/v1/counts?by={by}", 3)
    for name in ("stations", "cards", "problems", "progress"):
        yield name, several(f"/api/v1/{name}", 3)


@click.command()
@click.option("--photos", "count", default=100_000, show_default=True, type=click.IntRange(1000))
@click.option("--record", type=click.Path(path_type=Path), help="A record that was made before.")
def web(count: int, record: Path | None) -> None:
    """Ask the page's server as a browser does; first screen 1 s, next photo 100 ms."""
    with tempfile.TemporaryDirectory(prefix="trapsort-bench-") as scratch:
        file = record or Path(scratch) / "sightings.sqlite3"
        if not file.is_file():
            click.echo(f"making a record of {count:,} photos", err=True)
            make(file, count)
        url = f"sqlite:///{file.as_posix()}"
        originals = put_originals(url, Path(scratch) / "card")
        with served(url, Path(scratch) / "cache") as page:
            click.echo(f"{'':<36}{'median':>9}{'slowest':>11}")
            for what, took in steps(page, count, originals):
                median, slowest = (1000 * each for each in (statistics.median(took), max(took)))
                click.echo(f"{what:<36}{median:6.0f} ms{slowest:8.0f} ms")
