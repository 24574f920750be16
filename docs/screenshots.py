"""Draw the screenshots of the docs: the page on a drawn card, in headless Chromium.

python docs/screenshots.py [FOLDER]   writes docs/images/web-*.webp, or into FOLDER

Nothing but what `trapsort demo` draws is to be seen on them. It needs `trapsort[dev,web]` and a
Chromium, as the tests of the page do.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from trapsort.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).resolve().parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
MOST_BYTES = 150_000
DESK, PHONE = (1280, 720), (390, 780)

# What the drawings are meant to be; photos that are not named here are left to review.
DRAWN = {
    "Red deer": (2, 14, 20),
    "Wild boar": (4, 11),
    "Wildcat": (5, 13),
    "Common crane": (3, 10),
    "blank": (1, 9),
}
BURST = "IMG_0006.JPG"
STATIONS = """station,latitude,longitude
ridge,-2.3312,34.8333
river,-2.3711,34.8012
saddle,-2.3907,34.8622
"""


def prepare(folder: Path, environment: dict[str, str]) -> Path:
    """Take a drawn card into a new record, name some of it; return the record's file."""
    record, table = folder / "demo.sqlite3", folder / "stations.csv"
    table.write_text(STATIONS, encoding="utf-8")
    for command in (
        ["demo", "card"],
        ["--db", record.name, "ingest", "card", "--station", "ridge", "--quiet"],
        ["--db", record.name, "stations", "import", table.name],
    ):
        subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "trapsort", *command],
            cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    names = {f"IMG_{n:04}.JPG": label for label, numbers in DRAWN.items() for n in numbers}
    with Store.open(f"sqlite:///{record.as_posix()}") as store:
        for each in list(store.sightings()):
            label = names.get(Path(str(each.path)).name)
            if label is not None:
                count = 0 if label == "blank" else 1
                store.review(each.photo_id, label, count=count, reviewer="Ada")
    return record


@contextmanager
def served(record: Path, environment: dict[str, str]) -> Iterator[str]:
    """Serve the page; yields its address."""
    command = [sys.executable, "-m", "trapsort", "--db", record.name, "web", "--no-open"]
    server = subprocess.Popen(  # noqa: S603 - our own program
        [*command, "--port", "0", "--reviewer", "Ada"],
        cwd=record.parent, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = server.stderr.readline() if server.stderr else ""
        yield line.partition("page is at ")[2].split()[0].rstrip("/")
    finally:
        server.terminate()
        server.wait()
        if server.stderr:
            server.stderr.close()


def keep(page: Page, folder: Path, name: str) -> None:
    """Write what is seen as WebP, small enough for a repository."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)  # what moves has come to rest
    picture = Image.open(io.BytesIO(page.screenshot()))
    file = folder / f"web-{name}.webp"
    picture.convert("RGB").save(file, format="WEBP", quality=80, method=6)
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{file} has {size:,} bytes; at most {MOST_BYTES:,} are kept")
    print(f"{file}: {size:,} bytes")


def draw(browser: Browser, address: str, folder: Path, card: Path) -> None:
    """Go to each view as a person does."""

    def visit(path: str, size: tuple[int, int] = DESK, scheme: str = "light") -> Page:
        view = {"width": size[0], "height": size[1]}
        page = browser.new_page(viewport=view, color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(address + path)
        return page

    page = visit("/?reviewed=any")
    page.locator(".tile:focus").wait_for()
    keep(page, folder, "review")

    page.locator(".tile", has=page.locator(f"img[src*='/{_photo(page, BURST)}/']")).click()
    page.keyboard.press("Space")
    page.locator("#strip button").nth(2).wait_for()
    page.keyboard.press("s")
    page.keyboard.press("h")
    page.get_by_text("Warm colours: what spoke for").wait_for(timeout=60_000)
    keep(page, folder, "photo")
    page.keyboard.press("h")
    page.keyboard.press("/")
    page.keyboard.type("le")
    keep(page, folder, "find")

    page = visit("/look", scheme="dark")
    page.get_by_text("Through the day").wait_for()
    keep(page, folder, "look")

    keep(visit("/cards"), folder, "cards")

    page = visit("/classify")
    page.locator("#file").set_input_files(card / "DCIM" / "100TRAPS" / "IMG_0006.JPG")
    page.locator("#result figure img").wait_for(timeout=60_000)
    keep(page, folder, "classify")

    page = visit("/?reviewed=any", PHONE)
    page.locator(".tile:focus").wait_for()
    keep(page, folder, "phone")


def _photo(page: Page, name: str) -> int:
    """Return the id of a file's photo, as a program asks for it."""
    found = page.request.get(f"{page.url.partition('?')[0]}api/v1/sightings?limit=100").json()
    return next(int(each["id"]) for each in found["items"] if each["path"].endswith(name))


def main(folder: Path) -> None:
    """Draw all screenshots into a folder."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit("no browser; install Debian's chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trapsort-") as scratch, sync_playwright() as driver:
        home = Path(scratch)
        private = {f"XDG_{each}_HOME": str(home / each) for each in ("CACHE", "CONFIG", "DATA")}
        environment = {**os.environ, **private, "HOME": str(home)}
        record = prepare(home, environment)
        launch: Callable[..., Browser] = driver.chromium.launch
        browser = launch(executable_path=found, args=["--no-sandbox"])
        with served(record, environment) as address:
            draw(browser, address, folder, home / "card")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
