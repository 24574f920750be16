"""The page in a real browser: what a person does, from a card to a file of sightings."""

from __future__ import annotations

import base64
import csv
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import httpx2 as httpx
import pytest
from PIL import Image

from tests.toy import write_bundle
from tests.web.site import Site
from trapsort.bundle import load_bundle
from trapsort.demo import draw_card
from trapsort.ensemble import Classifier
from trapsort.pipeline import ingest
from trapsort.session import open_session
from trapsort.store import Store
from trapsort.web.serve import serve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

NEEDS_BROWSER = "TRAPSORT_NEEDS_BROWSER" in os.environ
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
HOSTILE = "<img src=x onerror=hacked=1>&lt;b&gt;'\".jpg"
SCRIPT = "<script>hacked=2</script><b>bold</b>"
DROP = """data => {
  const bytes = Uint8Array.from(atob(data), letter => letter.codePointAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
  const dropped = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.querySelector("h1").dispatchEvent(dropped);
}"""
TOKEN = "abcd-efgh"  # noqa: S105 - of these tests alone
DESK, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 780}


def _without_browser(why: str) -> NoReturn:
    if NEEDS_BROWSER:
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all; skips where there is none to be found."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        _without_browser(f"nothing drives a browser: {error}; install trapsort[dev]")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        _without_browser("no browser; install Debian's chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A drawn card with a burst, and one photo whose name and EXIF are markup."""
    folder = tmp_path_factory.mktemp("page")
    site = Site(
        folder,
        folder / "card",
        f"sqlite:///{folder.as_posix()}/x.sqlite3",
        write_bundle(folder / "toy"),
    )
    draw_card(site.card)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = SCRIPT, SCRIPT
    red = Image.new("RGB", (400, 300), (250, 10, 10))
    red.save(site.card / ("red.jpg" if os.name == "nt" else HOSTILE), exif=exif)
    bundle = load_bundle(str(site.bundle))
    with Store.open(site.url) as store:
        ingest(site.card, store=store, classifier=Classifier(bundle, open_session(bundle)))
    return site


@pytest.fixture
def site(drawn: Site, tmp_path: Path) -> Site:
    file = tmp_path / "x.sqlite3"
    shutil.copy(drawn.folder / "x.sqlite3", file)
    return replace(
        drawn, folder=tmp_path, url=f"sqlite:///{file.as_posix()}", opened=[], stopped=[]
    )


@contextmanager
def serving(site: Site, **changes: Any) -> Iterator[str]:
    """Serve the page as the command does; the address."""
    ready: list[str] = []
    is_up = threading.Event()

    def welcome(address: str) -> None:
        ready.append(address.rstrip("/"))
        is_up.set()

    config = site.config(hosts=frozenset(), **changes)
    thread = threading.Thread(
        target=serve, args=(config,), kwargs={"host": "127.0.0.1", "port": 0, "on_ready": welcome}
    )
    thread.start()
    assert is_up.wait(20)
    try:
        yield ready[0]
    finally:
        with suppress(httpx.ConnectError):  # it may be over already
            _quit(ready[0], str(changes.get("token") or ""))
        thread.join(20)
    assert not thread.is_alive()


def _quit(address: str, token: str) -> None:
    """Ask as a program does."""
    with httpx.Client(base_url=f"{address}/api/v1") as client:
        client.headers |= {"Authorization": f"Bearer {token}"} if token else {}
        client.headers["X-Trapsort-Token"] = client.get("/session").json()["token"]
        client.post("/quit").raise_for_status()


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    with serving(site) as found:
        yield found


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages, each in a browser of its own; nothing may go wrong there, or leave the site."""
    opened: list[BrowserContext] = []
    wrong: list[str] = []

    def visit(url: str, *, allowed: tuple[str, ...] = (), **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": DESK} | options)
        context.set_default_timeout(8_000)
        opened.append(context)
        page = context.new_page()
        origin = "/".join(url.split("/")[:3])

        def asked(to: str) -> None:
            if not to.startswith((origin, "blob:")):
                wrong.append(f"asked for {to}")

        def said(text: str) -> None:
            if not any(each in text for each in allowed):
                wrong.append(text)

        page.on("request", lambda request: asked(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("console", lambda line: said(line.text))
        page.goto(url)
        return page

    yield visit
    for context in opened:
        context.close()
    assert wrong == []


def focused(page: Page) -> Locator:
    """The photo that has the focus in the grid."""
    return page.locator(".tile:focus")


def focus_of(page: Page) -> int:
    return int(focused(page).get_attribute("data-id") or 0)


def press(page: Page, *keys: str) -> None:
    """Decide, and wait until the focus has moved on."""
    for key in keys:
        before = focus_of(page)
        page.keyboard.press(key)
        page.wait_for_function(
            "id => ![undefined, id].includes(document.activeElement.dataset.id)", arg=str(before)
        )


def reviewed(site: Site) -> dict[int, tuple[str | None, str | None]]:
    with Store.open(site.url) as store:
        return {s.photo_id: (s.label, s.reviewer) for s in store.sightings() if s.reviewed}


def labels_of(site: Site) -> dict[int, str | None]:
    with Store.open(site.url) as store:
        return {s.photo_id: s.label for s in store.sightings()}


def answers_of(site: Site) -> dict[int, str | None]:
    """What Enter confirms: the species, or what the model said in its place."""
    with Store.open(site.url) as store:
        return {s.photo_id: "blank" if s.reason == "blank" else s.label for s in store.sightings()}


def burst_of(site: Site) -> list[int]:
    """The ids of the frames of the longest burst."""
    frames: dict[int, list[int]] = {}
    with Store.open(site.url) as store:
        for each in store.sightings():
            if each.sequence_id is not None:
                frames.setdefault(each.sequence_id, []).append(each.photo_id)
    return max(frames.values(), key=len)


def test_ten_photos_by_keyboard_then_undo_reload_and_export(
    site: Site, address: str, visit: Callable[..., Page], tmp_path: Path
) -> None:
    said = answers_of(site)
    page = visit(f"{address}/")
    focused(page).wait_for()
    tiles = page.locator(".tile")
    assert tiles.count() == len(said)
    order = [int(each.get_attribute("data-id") or 0) for each in tiles.all()]
    assert page.locator("#labels button").first.inner_text().split() == ["1", "African", "Elephant"]

    press(page, "Enter", "Enter", "1", "b", "u", "p", "9", "Enter", "B", "1")
    expected: list[str | None] = [
        said[order[0]], said[order[1]], "African_Elephant", "blank", None,
        "person", "Panda", said[order[7]], "blank", "African_Elephant",
    ]  # fmt: skip
    wanted = {photo: (label, "Ada") for photo, label in zip(order, expected, strict=False)}
    assert reviewed(site) == wanted
    assert "blank" in (said[order[0]], said[order[1]], said[order[7]])
    assert page.locator(".tile.reviewed").count() == 10

    page.keyboard.press("z")
    page.get_by_text("Taken back, 1 photo.").wait_for()
    assert focus_of(page) == order[9]
    del wanted[order[9]]
    assert reviewed(site) == wanted

    # To find a label by typing, and one that is new.
    page.keyboard.press("r")
    assert page.locator("#finder-list [aria-selected=true] > b").inner_text() == "Rhino"
    press_in_dialog(page, "Enter")
    page.wait_for_function("id => document.activeElement.dataset.id === String(id)", arg=order[10])
    wanted[order[9]] = ("Rhino", "Ada")
    page.keyboard.press("/")
    page.keyboard.type("Honey badger")
    press_in_dialog(page, "Enter")
    page.wait_for_function("id => document.activeElement.dataset.id === String(id)", arg=order[11])
    wanted[order[10]] = ("Honey badger", "Ada")
    assert reviewed(site) == wanted

    page.reload()
    focused(page).wait_for()
    assert tiles.count() == len(said) - 11  # what is left to review
    page.get_by_label("Reviewed", exact=True).check()
    page.wait_for_function("() => document.querySelectorAll('.tile.reviewed').length === 11")
    assert page.url.endswith("?reviewed=true")
    page.keyboard.press("z")  # it outlives the reload
    page.get_by_text("Taken back, 1 photo.").wait_for()
    del wanted[order[10]]
    assert reviewed(site) == wanted

    page.goto(f"{address}/look?reviewed=true")
    page.get_by_text("10 photos", exact=True).wait_for()
    with page.expect_download() as download:
        page.get_by_text("Download as CSV").click()
    download.value.save_as(tmp_path / "sightings.csv")
    with (tmp_path / "sightings.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["photo_id"]): row["label"] or None for row in csv.DictReader(file)}
    assert rows == {photo: label for photo, (label, _) in wanted.items()}


def press_in_dialog(page: Page, key: str) -> None:
    page.keyboard.press(key)
    page.locator("dialog[open]").wait_for(state="detached")


def test_a_burst_is_corrected_and_taken_back_at_once(
    site: Site, address: str, visit: Callable[..., Page]
) -> None:
    frames = burst_of(site)
    assert len(frames) >= 3
    page = visit(f"{address}/photo/{frames[0]}")
    page.locator("#strip button").nth(len(frames) - 1).wait_for()
    page.keyboard.press("s")
    page.get_by_text(f"{len(frames)} selected").wait_for(state="attached")
    page.keyboard.press("9")
    page.get_by_text(f"Saved: Panda, {len(frames)} photos.").wait_for()
    assert reviewed(site) == dict.fromkeys(frames, ("Panda", "Ada"))
    page.keyboard.press("z")
    page.get_by_text(f"Taken back, {len(frames)} photos.").wait_for()
    assert reviewed(site) == {}

    # The same by a range in the grid: shift and an arrow, twice.
    page.keyboard.press("Escape")
    focused(page).wait_for()
    first = focus_of(page)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("b")
    page.get_by_text("Saved: Blank, 3 photos.").wait_for()
    found = reviewed(site)
    assert first in found
    assert list(found.values()) == [("blank", "Ada")] * 3


def test_one_photo_large_with_its_heat_map_and_a_note(
    site: Site, address: str, visit: Callable[..., Page]
) -> None:
    page = visit(f"{address}/")
    focused(page).wait_for()
    first = focus_of(page)
    page.keyboard.press("Space")
    assert page.url == f"{address}/photo/{first}"
    image = page.locator("#canvas img:not(.heat)")
    page.wait_for_function(
        "() => document.querySelector('#canvas img:not(.heat)').naturalWidth > 256"
    )
    page.keyboard.press("]")
    page.keyboard.press("+")
    assert image.evaluate("each => [each.style.filter, each.style.transform]") == [
        "brightness(1.2)",
        "translate(0px, 0px) scale(1.25)",
    ]
    page.keyboard.press("0")
    assert image.evaluate("each => each.style.filter + each.style.transform") == ""
    page.keyboard.press("h")
    heat = page.locator("#heat")
    heat.wait_for()
    assert str(heat.get_attribute("src")).startswith("blob:")
    page.get_by_text("Warm colours: what spoke for").wait_for()
    page.keyboard.press("h")
    heat.wait_for(state="hidden")
    page.get_by_text("What each member said alone").wait_for()

    page.keyboard.press(",")
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    page.keyboard.type("b and 9 are only letters here")
    page.keyboard.press("Escape")
    page.keyboard.press("9")
    page.wait_for_url(lambda url: not url.endswith(f"/{first}"))
    with Store.open(site.url) as store:
        (found,) = [each for each in store.sightings() if each.reviewed]
    assert (found.photo_id, found.label, found.count) == (first, "Panda", 3)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"{address}/photo/{first}")
    page.locator(".history").get_by_text("b and 9 are only letters here").wait_for()
    assert page.locator(".headline").inner_text().split("\n")[0] == "Ada says"
    assert page.locator(".headline h2").inner_text() == "Panda"
    # What the model thought of is a press away.
    page.locator("#panel .link", has_text="Rhino").click()
    page.get_by_text("Saved: Rhino.").wait_for()
    assert reviewed(site)[first] == ("Rhino", "Ada")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"{address}/photo/{first}")
    page.keyboard.press("Escape")
    assert page.url == f"{address}/"
    assert focus_of(page) == first


def test_two_people_do_not_overwrite_each_other(
    site: Site, address: str, visit: Callable[..., Page]
) -> None:
    ada = visit(f"{address}/")
    ben = visit(f"{address}/", allowed=("409",))
    ben.get_by_label("You are").fill("Ben")
    ben.keyboard.press("Enter")
    for page in (ada, ben):
        page.locator(".tile").first.click()
        focused(page).wait_for()
    photo = focus_of(ada)
    assert focus_of(ben) == photo
    press(ada, "9")
    ben.keyboard.press("1")
    trouble = ben.locator("#grid-trouble")
    trouble.get_by_text("Not saved: Ada said Panda in the meantime.").wait_for()
    # It stands over the photo that it is about, and that shows what Ada said.
    tile = ben.locator(f".tile[data-id='{photo}']")
    place, over = tile.bounding_box(), trouble.bounding_box()
    assert place is not None
    assert over is not None
    assert abs(place["x"] - over["x"]) < 20
    assert 0 <= over["y"] - place["y"] < 40
    assert tile.locator("b").first.inner_text() == "Panda"
    assert reviewed(site) == {photo: ("Panda", "Ada")}
    press(ben, "1")
    assert reviewed(site) == {photo: ("African_Elephant", "Ben")}
    assert trouble.is_hidden()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_markup_in_names_and_exif_stays_text(
    site: Site, address: str, visit: Callable[..., Page]
) -> None:
    with Store.open(site.url) as store:
        (photo,) = [s.photo_id for s in store.sightings() if s.path == HOSTILE]
    page = visit(f"{address}/photo/{photo}?reviewed=any")
    page.get_by_text("What the camera wrote").click()
    page.locator("#panel dd").get_by_text(SCRIPT).first.wait_for()
    assert HOSTILE in page.locator("#where").inner_text()
    assert page.locator("#panel .places code").inner_text() == HOSTILE
    page.keyboard.press("/")
    page.keyboard.type(SCRIPT)
    press_in_dialog(page, "Enter")
    page.get_by_text(f"Saved: {SCRIPT}.").first.wait_for()
    for path in ("/?reviewed=any", "/look", "/cards"):
        page.goto(address + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("typeof hacked") == "undefined"
        assert page.locator("main :is(script, b b)").count() == 0


def test_one_photo_is_classified_and_quit_stops_the_server(
    site: Site, visit: Callable[..., Page], tmp_path: Path
) -> None:
    photo = tmp_path / "green.jpg"
    Image.new("RGB", (640, 480), (10, 250, 10)).save(photo)
    (tmp_path / "no photo.jpg").write_bytes(b"no photo")
    with serving(site) as address:
        before = labels_of(site)
        page = visit(f"{address}/classify", allowed=("422",))
        page.locator("#file").set_input_files(photo)
        page.get_by_role("heading", name="Panda").wait_for()
        assert "Ailuropoda melanoleuca" in page.locator("#result").inner_text()
        image = page.locator("#result figure img")
        shown = image.get_attribute("src")
        assert image.evaluate("each => each.decode().then(() => each.naturalWidth)") == 640
        page.keyboard.press("h")
        page.get_by_text("Warm colours: what spoke for Panda").wait_for()
        assert image.get_attribute("src") != shown
        # The same photo again, dropped beside the frame.
        page.evaluate(DROP, base64.b64encode(photo.read_bytes()).decode())
        page.locator("#result figure p", has_text="dropped.jpg").wait_for()
        page.get_by_role("heading", name="Panda").wait_for()
        page.locator("#file").set_input_files(tmp_path / "no photo.jpg")
        page.get_by_text("that is no photo that can be read").wait_for()
        assert labels_of(site) == before
        page.get_by_role("button", name="Quit").click()
        page.get_by_role("button", name="Stop it").click()
        page.get_by_text("The page has stopped.").wait_for()
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_whoever_comes_from_elsewhere_logs_in(site: Site, visit: Callable[..., Page]) -> None:
    with serving(site, token=TOKEN) as address:
        page = visit(f"{address}/photo/1")
        assert page.url == f"{address}/login"
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the token").wait_for()
        page.get_by_label("Token").fill(" ABCD-efgh")
        page.keyboard.press("Enter")
        focused(page).wait_for()
        assert page.url == f"{address}/"
        page.close()


def test_progress_while_a_card_is_taken_in(
    site: Site, address: str, visit: Callable[..., Page]
) -> None:
    page = visit(f"{address}/cards")
    page.get_by_text("0 of 22 reviewed").wait_for()
    page.get_by_text("The content is not that of a photo").wait_for()
    with Store.open(site.url) as store:
        run = store.begin_run(store.card(site.card), None)
        page.get_by_text("Being taken in now").wait_for()
        from trapsort.store import Account

        store.finish_run(run, Account(files=25, recorded=0, seen_before=25))
        page.get_by_text("Being taken in now").wait_for(state="hidden")
    page.get_by_text("25 files: 0 recorded, 25 seen before, 0 problems").wait_for()


VIEWS = ("/", "/photo/1?reviewed=any", "/look", "/cards", "/classify")


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)])
def test_accessible(
    scheme: str, size: dict[str, int], address: str, visit: Callable[..., Page]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core").Axe()
    page = visit(f"{address}/", viewport=size, color_scheme=scheme)
    found = []
    for path in VIEWS:
        page.goto(address + path)
        page.wait_for_load_state("networkidle")
        if path == "/":
            page.keyboard.press("/")
        result = axe.run(page).response
        found += [
            (path, each["id"], node["html"][:200], node["failureSummary"])
            for each in result["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{path} is {width} pixels wide"
    assert found == []
