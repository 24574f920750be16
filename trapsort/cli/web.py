"""`trapsort web`: the page on which people review, correct and look around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.options import open_existing, profile_options, redlist_option
from trapsort.cli.work import open_bundle, open_classifier, say
from trapsort.errors import TrapsortError
from trapsort.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 8765
AHEAD_SECONDS = 5.0
"""How often the page looks for photos of which pictures are to be made ahead."""


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
    help="Address to serve at; another than this machine's own asks for a login.",
)  # fmt: skip
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(0, 65_535),
    help="Port to serve at; 0 for any that is free.",
)  # fmt: skip
@click.option(
    "--allow-host", multiple=True, metavar="NAME",
    help="Another name by which the server is asked for; again.",
)  # fmt: skip
@click.option("--open/--no-open", "opens", default=True, help="Open it in the browser.")
@click.option("--reviewer", metavar="NAME", help="Who decides where the page does not say; you.")
@setting_option(
    "--cache-mb", metavar="MB", help="Room for pictures kept for when the card is gone; 1024."
)
@profile_options
@redlist_option
@common_options
def web(
    settings: Settings, /, *, host: str, port: int, allow_host: tuple[str, ...], opens: bool,
    reviewer: str | None,
) -> None:  # fmt: skip
    """Serve the page on which sightings are reviewed, explained and looked at.

    It works without a network and answers this machine only. With --host 0.0.0.0 others on the same
    network can ask, too; they log in with the token that is printed here. Ctrl+C or Quit ends it.
    """
    try:
        from trapsort.web.serve import is_loopback, serve
    except ImportError as error:
        raise TrapsortError(
            f"the page needs packages that are not here: {error}",
            "install them: pip install 'trapsort[web]'",
        ) from error
    from trapsort.settings import default_database, pictures_path
    from trapsort.web.app import WebConfig
    from trapsort.web.security import login_token

    if settings.db != default_database():
        open_existing(settings.db).close()  # a misspelt path must not look like an empty record
    token = None if is_loopback(host) else login_token()
    config = WebConfig(
        settings=settings,
        hosts=frozenset(allow_host),
        cache=pictures_path(),
        cache_bytes=settings.cache_mb << 20,
        ahead_seconds=AHEAD_SECONDS,
        token=token,
        reviewer=reviewer or _user(),
        open_bundle=lambda: open_bundle(settings),
        open_classifier=lambda bundle: open_classifier(settings, bundle),
    )
    serve(config, host=host, port=port, on_ready=_welcome(token, opens=opens))


def _welcome(token: str | None, *, opens: bool) -> Callable[[str], None]:
    def welcome(address: str) -> None:
        say(f"the page is at {address} - Ctrl+C ends it", err=True)
        if token is not None:
            say(f"log in with this token: {token}", err=True)
        if opens:
            import threading
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    return welcome


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return ""
