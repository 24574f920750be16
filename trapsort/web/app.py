"""Put the page together: what all requests share, who may ask, the API, the pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI
from starlette.middleware import Middleware

import trapsort
from trapsort.store import Store
from trapsort.web import api, pages, security, static
from trapsort.web.ahead import Ahead
from trapsort.web.errors import add_handlers
from trapsort.web.security import Guard, Secrets
from trapsort.web.shared import Shared, WebConfig

__all__ = ["WebConfig", "create_app"]

DESCRIPTION = """\
Sightings, photos, reviews and reports of a trapsort database. A program that writes first gets
`/api/v1/session` and sends its `token` as the header `X-Trapsort-Token`, with the cookie that came
with it; where the server asks for a login, `Authorization: Bearer TOKEN` does for both."""


def create_app(config: WebConfig) -> FastAPI:
    """Return the application; it opens the database at once and the model when it is asked for.

    Raises:
        DatabaseError: the database cannot be opened.
    """
    store = Store.open(config.settings.db)
    held = Shared(config, store)

    @asynccontextmanager
    async def close_at_the_end(_app: FastAPI) -> AsyncIterator[None]:
        seconds = config.ahead_seconds
        with Ahead(held).running(seconds) if seconds is not None else nullcontext():
            yield
        store.close()

    known = Secrets(config.token)
    guard = Middleware(Guard, hosts=config.hosts, secrets=known, body_seconds=config.body_seconds)
    app = FastAPI(
        title="trapsort",
        version=trapsort.__version__,
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        lifespan=close_at_the_end,
        middleware=[guard],
    )
    app.state.shared = held
    add_handlers(app, pages.lost)
    for router in (api.router, security.router, static.router, pages.router):
        app.include_router(router)
    return app
