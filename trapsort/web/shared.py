"""What all requests of a running page share: the record, the thumbnails, and one model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from trapsort.redlist import RedList, red_list
from trapsort.settings import Settings
from trapsort.store import Store
from trapsort.web.thumbnails import Thumbnails

if TYPE_CHECKING:
    from trapsort.bundle import Bundle
    from trapsort.ensemble import Classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """What the page is started with.

    settings: database, bundle, site profile and Red List; hosts: what a request's Host may be,
    exactly ('127.0.0.1:8765'); token: what people log in with, None where nobody has to; cache: the
    folder of thumbnails, of at most `cache_bytes`; reviewer: who decides where nobody says; stop:
    ends the server; open_bundle and open_classifier: verify and load the model, when it is first
    asked for; body_seconds: how long a request may take to arrive; ahead_seconds: how often what
    came to lie on cards is looked for, so that pictures of it are made ahead, None for never.
    """

    settings: Settings
    hosts: frozenset[str]
    cache: Path
    open_bundle: Callable[[], Bundle]
    open_classifier: Callable[[Bundle], Classifier]
    cache_bytes: int = 1 << 30
    token: str | None = field(default=None, repr=False)
    reviewer: str = ""
    stop: Callable[[], None] = lambda: None
    body_seconds: float = 60.0
    ahead_seconds: float | None = None


class Shared:
    """One for each application; threads share it."""

    def __init__(self, config: WebConfig, store: Store) -> None:
        self.config = config
        self.store = store
        self.thumbnails = Thumbnails(config.cache, config.cache_bytes)
        self.red_list: RedList = red_list(config.settings.red_list)
        self.one_at_a_time = threading.Lock()
        """held while the model looks at one photo: two take twice the memory and are no faster"""
        self.asked_at = 0.0
        """when somebody asked for a picture last (monotonic): what is made ahead gives way"""
        self._lock = threading.Lock()
        self._classifier: Classifier | None = None
        self._bundle: Bundle | None = None
        self._keys: dict[str, str] | None = None

    def note_request(self) -> None:
        """Note that somebody waits for a picture now."""
        self.asked_at = time.monotonic()

    def classifier(self) -> Classifier:
        """Return the model, loaded the first time that anybody asks; raises `BundleError`."""
        bundle = self.bundle()
        with self._lock:
            if self._classifier is None:
                self._classifier = self.config.open_classifier(bundle)
            return self._classifier

    def bundle(self) -> Bundle:
        """Return what the model is, without loading it; raises `BundleError`."""
        with self._lock:
            if self._bundle is None:
                self._bundle = self.config.open_bundle()
            return self._bundle

    def keys(self, choose: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Return label -> number key, chosen once: a hand learns where a label is."""
        with self._lock:
            if self._keys is None:
                self._keys = choose()
            return self._keys


def shared(request: Request) -> Shared:
    """Return what the application of a request shares."""
    found: Shared = request.app.state.shared
    return found


Held = Annotated[Shared, Depends(shared)]
"""The argument of an endpoint that needs any of it."""
