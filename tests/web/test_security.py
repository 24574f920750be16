"""Who may ask: hosts, origins, tokens, logins, and what leaves with every answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.web.site import HOST, Browser, Site
from trapsort.web.app import create_app
from trapsort.web.security import HEADERS, login_token
from trapsort.web.serve import is_loopback, names_of

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tested
UNDO = "/api/v1/reviews/undo"
TOKEN = "abcd-efgh-jkmn-pqrs-tuvw"  # noqa: S105 - of this test


@pytest.fixture
def stranger(site: Site) -> Iterator[TestClient]:
    """Somebody who has not been here."""
    with TestClient(create_app(site.config()), base_url=f"http://{HOST}") as client:
        yield client


@pytest.fixture
def locked(site: Site) -> Iterator[TestClient]:
    """A server that asks for a login."""
    with TestClient(create_app(site.config(token=TOKEN)), base_url=f"http://{HOST}") as client:
        yield client


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:80", "evil.example",
     f"evil.example:{8765}", "localhost:8765.evil.example",
     f"{HOST}.", f" {HOST}", "", f"user@{HOST}"],
)  # fmt: skip
def test_only_its_own_names_are_answered(stranger: TestClient, host: str) -> None:
    for path in ("/api/v1/sightings", "/", "/static/app.css", "/api/v1/openapi.json"):
        answer = stranger.get(path, headers={"Host": host})
        assert answer.status_code == 421, path
        assert answer.json()["error"] == "this server does not go by that name"
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/api/v1/sightings", "/api/v1/photos/9", "/nothing", UNDO])
def test_every_answer_leaves_with_the_headers(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Trapsort-Token": ""},
        {"X-Trapsort-Token": "x" * 43},
        {"X-Trapsort-Token": "é"},
        {"Cookie": "trapsort-visit-8765=x"},
        {"Cookie": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": f"http://{HOST}.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_write_needs_token_cookie_and_origin(browser: Browser, changes: dict[str, str]) -> None:
    browser.review([1], "Panda")
    headers = browser.headers | {k: v.encode() for k, v in changes.items()}  # type: ignore[operator]
    for path in (UNDO, "/api/v1/reviews", "/api/v1/quit", "/api/v1/classify", "/api/v1/nothing"):
        answer = browser.client.post(path, json={"reviews": [1]}, headers=headers)
        assert answer.status_code == 403, path
    assert len(browser.get("/sightings", reviewed=True)["items"]) == 1
    browser.post("/reviews/undo", {"reviews": [1]})  # and with all three it is written


def test_the_token_of_another_run_does_not_do(site: Site) -> None:
    with site.browser() as before, site.browser() as now:
        old = before.headers["X-Trapsort-Token"]
        answer = now.client.post(UNDO, json={"reviews": [1]}, headers={"X-Trapsort-Token": old})
        assert answer.status_code == 403
        assert answer.json()["hint"] == (
            "load the page again; programs get it from /api/v1/session, with its cookie"
        )


def test_another_site_may_not_even_look(stranger: TestClient) -> None:
    """`<img src>` of another page would show a photo; `same-site` is another port."""
    for site in ("cross-site", "same-site"):
        asked = {"Sec-Fetch-Site": site}
        assert stranger.get("/api/v1/photos/1/image", headers=asked).status_code == 403
    assert stranger.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link


def test_cookies_are_kept_from_scripts_and_other_sites(stranger: TestClient) -> None:
    given = stranger.get("/api/v1/session").headers["set-cookie"]
    assert given.startswith("trapsort-visit-8765=")
    assert given.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert "set-cookie" not in stranger.get("/api/v1/session").headers  # it has one


# Login -------------------------------------------------------------------------------------------


def test_without_a_login_nothing_is_said(locked: TestClient) -> None:
    answer = locked.get("/api/v1/sightings")
    assert (answer.status_code, answer.json()["error"]) == (401, "nobody is logged in")
    for path in ("/api/v1/session", "/api/v1/openapi.json", "/api/v1/photos/1/image"):
        assert locked.get(path).status_code == 401
    for path in ("/", "/photo/1", "/look"):
        sent = locked.get(path, follow_redirects=False)
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
    assert locked.get("/login").status_code == 200


@pytest.mark.parametrize("given", ["", "x", TOKEN[:-1], TOKEN + "x", "é"])
def test_a_wrong_token_does_not_open(locked: TestClient, given: str) -> None:
    sent = locked.post("/login", data={"token": given}, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/login?wrong=1")
    assert locked.get("/api/v1/sightings").status_code == 401


def test_the_token_of_the_terminal_opens(locked: TestClient) -> None:
    sent = locked.post("/login", data={"token": f" {TOKEN.upper()} "}, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/")
    assert locked.get("/api/v1/sightings").status_code == 200
    assert TOKEN not in str(dict(locked.cookies))
    answer = locked.post("/api/v1/quit")
    assert answer.status_code == 403  # a login alone is no token of writes


def test_a_login_is_not_taken_from_another_site(locked: TestClient) -> None:
    headers = {"Origin": "http://evil.example"}
    assert locked.post("/login", data={"token": TOKEN}, headers=headers).status_code == 403


def test_a_program_may_send_the_token_itself(locked: TestClient, site: Site) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert locked.get("/api/v1/sightings", headers=headers).status_code == 200
    assert locked.post("/api/v1/quit", headers=headers).json() == {"stopped": True}
    for wrong in ("Bearer x", f"Basic {TOKEN}", "Bearer", TOKEN):
        headers = {"Authorization": wrong}
        assert TestClient(locked.app, base_url=f"http://{HOST}").get(
            "/api/v1/sightings", headers=headers
        ).status_code == 401  # fmt: skip
    assert site.stopped == [True]


def test_where_nobody_logs_in_a_token_is_nothing(stranger: TestClient) -> None:
    headers = {"Authorization": "Bearer "}
    assert stranger.post("/api/v1/quit", headers=headers).status_code == 403


def test_tokens_can_be_typed_and_are_never_the_same() -> None:
    made = {login_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == 24 and not set(each) & set("lo01") for each in made)


# Names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     (EVERYWHERE, False), ("::", False), ("192.168.1.5", False), ("trap.local", False)],
)  # fmt: skip
def test_what_this_machine_alone_can_reach(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_the_names_of_an_address() -> None:
    assert names_of("127.0.0.1") == ["127.0.0.1", "localhost", "[::1]"]
    assert names_of("::1")[0] == "[::1]"
    assert names_of("192.168.1.5") == ["192.168.1.5"]
    everywhere = names_of(EVERYWHERE)
    assert {"127.0.0.1", "localhost"} < set(everywhere)
    assert EVERYWHERE not in everywhere
