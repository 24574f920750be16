"""The pages as they leave the server: texts, templates, and what a strict policy forbids."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.web.site import Browser, Site
from trapsort.abstentions import REASON_CODES
from trapsort.scan import REASONS
from trapsort.web.texts import KEYS, TEXTS

WEB = PROJECT / "trapsort" / "web"
SCRIPTS = sorted((WEB / "static").glob("*.js"))
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
PAGES = {
    "/": "Review",
    "/photo/1": "Review",
    "/look": "Look around",
    "/cards": "Cards",
    "/classify": "Classify a photo",
    "/login": "Log in",
}


@pytest.mark.parametrize(("path", "title"), PAGES.items())
def test_a_page_and_what_it_loads(browser: Browser, path: str, title: str) -> None:
    answer = browser.client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<title>{title} · trapsort</title>" in answer.text
    for address in re.findall(r'(?:src|href)="(/(?:static|texts)[^"]*)"', answer.text):
        assert browser.client.get(address).status_code == 200, address


def test_a_script_imports_only_what_is_there() -> None:
    for script in SCRIPTS:
        for named in re.findall(r'from "([^"]+)"', script.read_text(encoding="utf-8")):
            assert named == "/texts.js" or (script.parent / named).is_file(), f"{script}: {named}"


def test_markup_in_the_reviewers_name_is_text(site: Site) -> None:
    with site.browser(reviewer='"><script>alert(1)</script>') as browser:
        text = browser.client.get("/").text
    assert 'content="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in text


@pytest.mark.parametrize("path", ["/photo/x", "/photo/1/2", "/photos", "/static/../app.py"])
def test_no_other_page(browser: Browser, path: str) -> None:
    assert browser.client.get(path).status_code in (404, 422)


@pytest.mark.parametrize("path", ["/nope", "/photo/lion", "/<script>alert(1)</script>"])
def test_people_who_mistype_an_address_get_a_page(browser: Browser, path: str) -> None:
    answer = browser.client.get(path, headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "<title>There is no such page · trapsort</title>" in answer.text
    assert 'href="/look"' in answer.text
    assert "alert(1)" not in answer.text
    program = browser.client.get(f"/api/v1{path}", headers={"Accept": "text/html,*/*"})
    assert program.headers["content-type"] == "application/json"


def test_the_pictures_of_the_manual_are_there_and_small() -> None:
    images = PROJECT / "docs" / "images"
    manual = (PROJECT / "docs" / "howto" / "web.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\(\.\./images/(web-[^)]+)\)", manual))
    assert shown == {each.name for each in images.glob("web-*")}
    for name in shown:
        assert 5_000 < (images / name).stat().st_size < 150_000, name


def test_texts_for_the_scripts(browser: Browser) -> None:
    answer = browser.client.get("/texts.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    lines = [line.removesuffix(";").split(" = ", 1) for line in answer.text.splitlines()]
    assert {name.removeprefix("export const "): json.loads(what) for name, what in lines} == {
        "TEXTS": TEXTS,
        "REASONS": REASON_CODES,
        "ADVICE": REASONS,
    }


def test_nothing_that_the_policy_forbids() -> None:
    for template in TEMPLATES:
        text = template.read_text(encoding="utf-8")
        assert not re.search(
            r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\bsrc=)", text
        ), template
    for file in [*TEMPLATES, *SCRIPTS, *(WEB / "static").glob("*.css")]:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, f"{file} names another site"
    for script in SCRIPTS:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b",
            script.read_text(encoding="utf-8"),
        ), script


def used(path: Path) -> set[str]:
    """The names of texts in a template or script; counted ones with both endings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        return set(re.findall(r"\bt\.(\w+)", text))
    counted = re.findall(r'\bcounted\(\s*"(\w+)"', text)
    return set(re.findall(r'"(\w+)"', text)) | {
        f"{n}_{end}" for n in counted for end in ("one", "many")
    }


def test_every_text_exists_and_is_used() -> None:
    in_templates = set().union(*map(used, TEMPLATES))
    assert in_templates - set(TEXTS) - {"reasons"} == set()
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        said = set(re.findall(r'\bsay\(\s*"(\w+)"', text))
        said |= {
            f"{n}_{end}"
            for n in re.findall(r'\bcounted\(\s*"(\w+)"', text)
            for end in ("one", "many")
        }
        assert said - set(TEXTS) == set(), script
    # Pages and tools name their texts by what they are: "review", "zoom_in", "per_week".
    named = {"per_day", "per_week", "per_month"}
    named |= set(re.findall(r'"(\w+)"', "".join(t.read_text(encoding="utf-8") for t in TEMPLATES)))
    everywhere = in_templates.union(named, *map(used, SCRIPTS))
    # `person: "person"` and the like name a text without quotes of its own
    assert set(TEXTS) - everywhere == set()


def marked(keys: str) -> str:
    return " ".join("to" if key == "…" else f"`{key}`" for key in keys.split())


def test_the_manual_lists_every_key() -> None:
    table = "\n".join(f"| {marked(each.keys)} | {each.what} |" for each in KEYS)
    manual = (PROJECT / "docs" / "howto" / "web.md").read_text(encoding="utf-8")
    assert table in manual, f"docs/howto/web.md should hold\n\n{table}"
