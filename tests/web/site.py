"""A small record behind the page: five drawn photos, one broken file, and the toy bundle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.testclient import TestClient

from tests.toy import write_bundle
from trapsort.bundle import Bundle, load_bundle
from trapsort.ensemble import Classifier
from trapsort.pipeline import ingest
from trapsort.session import open_session
from trapsort.settings import Settings
from trapsort.store import Store
from trapsort.web.app import WebConfig, create_app

PORT = 8765
HOST = f"127.0.0.1:{PORT}"
COLOURS = {  # what the toy bundle makes of them: Lion, Panda, Rhino, nothing, and no species
    "1 red.jpg": (250, 10, 10),
    "2 green.jpg": (10, 250, 10),
    "3 blue.jpg": (10, 10, 250),
    "4 black.jpg": (0, 0, 0),
    "5 dim.jpg": (110, 60, 60),
}


@dataclass
class Site:
    """A record with its card, and what the page is started with; `opened` counts model loads."""

    folder: Path
    card: Path
    url: str
    bundle: Path
    opened: list[str] = field(default_factory=list)
    stopped: list[bool] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings(db=self.url, bundle=str(self.bundle))

    def config(self, **changes: Any) -> WebConfig:
        """What `create_app` takes, with changes."""

        def load(bundle: Bundle) -> Classifier:
            self.opened.append(bundle.name)
            return Classifier(bundle, open_session(bundle))

        usual: dict[str, Any] = {
            "settings": self.settings,
            "hosts": frozenset({HOST}),
            "cache": self.folder / "cache",
            "reviewer": "Ada",
            "open_bundle": lambda: load_bundle(str(self.bundle)),
            "open_classifier": load,
            "stop": lambda: self.stopped.append(True),
        }
        return WebConfig(**usual | changes)

    @contextmanager
    def browser(self, **changes: Any) -> Iterator[Browser]:
        """Somebody at the page."""
        with TestClient(create_app(self.config(**changes)), base_url=f"http://{HOST}") as client:
            yield Browser(client)


class Browser:
    """Asks the API, with the token of writes."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        token = client.get("/api/v1/session").json().get("token", "")
        self.headers = {"X-Trapsort-Token": token, "Origin": f"http://{HOST}"}

    def get(self, path: str, **query: Any) -> Any:
        """Return the answer to a question that has one."""
        answer = self.client.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object, *, status: int = 200) -> Any:
        """Write, and return the answer, which has this status."""
        answer = self.client.post(f"/api/v1{path}", json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def review(
        self, photos: list[int], label: str | None, seen: object = None, **more: object
    ) -> list[int]:
        """Say what photos show that nobody reviewed, or whose reviews are `seen`."""
        known = seen if seen is not None else dict.fromkeys(map(str, photos))
        said = {"photos": photos, "label": label, "seen": known} | more
        return [each["review_id"] for each in self.post("/reviews", said)["reviews"]]


def draw(card: Path) -> None:
    card.mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (400, 300), colour).save(card / name)
    (card / "6 broken.jpg").write_bytes(b"\xff\xd8\xff broken")


def make(folder: Path) -> Site:
    """Draw a card and take it in."""
    url = f"sqlite:///{folder.as_posix()}/x.sqlite3"
    site = Site(folder, folder / "card", url, write_bundle(folder / "toy"))
    draw(site.card)
    bundle = load_bundle(str(site.bundle))
    with Store.open(site.url) as store:
        ingest(site.card, store=store, classifier=Classifier(bundle, open_session(bundle)))
    return site
