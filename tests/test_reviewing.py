"""Decisions at the page: all or nothing, never over another's; taken back, they count nowhere."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.records import LION, NOVEL, ask, keys, record
from trapsort.errors import InputError
from trapsort.reports import REPORTS, report_lines
from trapsort.scan import Problem
from trapsort.store import Account, Store
from trapsort.store.imported import ReviewRow
from trapsort.store.paging import Asked, Page
from trapsort.store.reviewing import ConflictError
from trapsort.store.rows import SightingQuery

ROWS = "SELECT photo_id, label, count, reviewer, note, retracts FROM reviews ORDER BY id"


@pytest.fixture
def three(store: Store) -> Store:
    """Three photos: two lions, the second less probable, and one that the model does not know."""
    likely = replace(LION, probability=0.97)
    taken = [
        record(f"{n}.jpg", prediction=said, camera_time=f"2026-03-01T05:06:0{n}")
        for n, said in enumerate((likely, LION, NOVEL), start=1)
    ]
    card, model = keys(store)
    store.record(card, model, records=taken)
    return store


def said(store: Store) -> dict[int, tuple[str | None, bool]]:
    return {each.photo_id: (each.label, each.reviewed) for each in store.sightings()}


def test_one_answer_for_many_photos_is_one_row_each(three: Store, url: str) -> None:
    made = three.desk.decide({1: None, 3: None}, "Panda", count=2, reviewer="Ada", note="two")
    assert made == {1: 1, 3: 2}
    assert said(three) == {1: ("Panda", True), 2: ("Lion", False), 3: ("Panda", True)}
    assert ask(url, ROWS) == [
        (1, "Panda", 2, "Ada", "two", None),
        (3, "Panda", 2, "Ada", "two", None),
    ]
    shown = three.desk.some([3, 1, 77], "iucn")
    assert [(each.sighting.photo_id, each.review_id, each.note) for each in shown] == [
        (3, 2, "two"),
        (1, 1, "two"),
    ]


def test_who_did_not_see_the_newest_review_writes_nothing(three: Store, url: str) -> None:
    three.desk.decide({1: None}, "Panda", reviewer="Ada")
    with pytest.raises(ConflictError) as caught:
        three.desk.decide({2: None, 1: None}, "Rhino", reviewer="Ben")
    assert str(caught.value) == (
        "somebody else has reviewed this photo meanwhile\nlook at what was said, then decide again"
    )
    assert caught.value.photo_ids == [1]
    assert ask(url, ROWS) == [(1, "Panda", 1, "Ada", "", None)]
    assert three.desk.decide({2: None, 1: 1}, "Rhino", reviewer="Ben") == {2: 2, 1: 3}


def test_two_at_once_do_not_overwrite_each_other(three: Store, url: str) -> None:
    together, conflicts = threading.Barrier(8), []

    def decide(name: str) -> None:
        together.wait(30)
        try:
            three.desk.decide({1: None, 2: None}, name, reviewer=name)
        except ConflictError as error:
            conflicts.append(error.photo_ids)

    people = [threading.Thread(target=decide, args=(f"label {n}",)) for n in range(8)]
    for each in people:
        each.start()
    for each in people:
        each.join(60)
    assert conflicts == [[1, 2]] * 7
    assert ask(url, "SELECT count(*), count(DISTINCT label) FROM reviews") == [(2, 1)]


def test_what_is_taken_back_leaves_what_was_before(three: Store, url: str) -> None:
    (first,) = three.desk.decide({1: None}, "Panda", reviewer="Ada").values()
    (second,) = three.desk.decide({1: first}, None, reviewer="Ben").values()
    assert said(three)[1] == (None, True)
    assert three.desk.undo([second], reviewer="Cem") == [1]
    assert said(three)[1] == ("Panda", True)
    assert three.desk.undo([second, first], reviewer="Cem") == [1]  # once is enough
    assert said(three)[1] == ("Lion", False)
    assert ask(url, ROWS)[2:] == [(1, None, 0, "Cem", "", second), (1, None, 0, "Cem", "", first)]
    (again,) = three.desk.decide({1: None}, "Rhino", reviewer="Ada").values()
    found = three.desk.detail(1, "iucn")
    assert found is not None
    assert [each.retracts for each in found.reviews] == [None, None, second, first, None]
    assert found.shown.review_id == again


@pytest.mark.parametrize("wanted", [[99], [2], [1, 99]])
def test_only_reviews_can_be_taken_back(three: Store, url: str, wanted: list[int]) -> None:
    three.desk.decide({1: None}, "Panda", reviewer="Ada")
    three.desk.undo([1], reviewer="Ada")  # review 2 is the row that takes back
    before = ask(url, ROWS)
    with pytest.raises(InputError, match=f"there is no review {wanted[-1]}"):
        three.desk.undo(wanted, reviewer="Ada")
    assert ask(url, ROWS) == before


def test_only_live_photos_can_be_reviewed(three: Store, url: str) -> None:
    with pytest.raises(InputError, match="there is no photo 99"):
        three.desk.decide({1: None, 99: None}, "Panda", reviewer="Ada")
    whole = record("3.jpg", content="whole", camera_time="2026-03-01T05:06:03")
    three.record(*keys(three), records=[whole])
    with pytest.raises(InputError, match="there is no photo 3"):
        three.desk.decide({3: None}, "Panda", reviewer="Ada")
    assert ask(url, ROWS) == []


def test_what_is_taken_back_is_in_no_report_export_or_alert(three: Store, tmp_path: Path) -> None:
    """A person who was seen by mistake must not hide a photo, nor name what is judged."""
    made = three.desk.decide({1: None, 3: None}, "person", reviewer="Ada", note="by mistake")
    assert three.showing_people([1, 2, 3]) == {1, 3}
    assert [(each.photo_id, each.said) for each in three.judged()] == [(1, "person"), (3, "person")]
    three.desk.undo(made.values(), reviewer="Ada")
    assert three.showing_people([1, 2, 3]) == set()
    assert three.judged() == []
    captures = list(three.captures())
    assert [(each.label, each.reviewed, each.note) for each in captures] == [
        ("Lion", False, ""),
        ("Lion", False, ""),
        (None, False, ""),
    ]
    assert captures[0].reviewed_at is None
    lines = [*report_lines(REPORTS["species"], three, None, None)]
    assert not any("person" in line for line in lines)
    assert list(three.sightings(SightingQuery(species=("person",)))) == []
    assert three.desk.uses() == {"Lion": 0}


def test_an_older_review_is_in_force_again_in_exports(three: Store) -> None:
    (first,) = three.desk.decide({1: None}, "Panda", reviewer="Ada", note="sure").values()
    (second,) = three.desk.decide({1: first}, "Rhino", reviewer="Ben", note="no").values()
    three.desk.undo([second], reviewer="Ben")
    (capture,) = [each for each in three.captures() if each.photo_id == 1]
    assert (capture.label, capture.reviewer, capture.note) == ("Panda", "Ada", "sure")
    assert capture.reviewed_at is not None
    assert [(each.photo_id, each.said) for each in three.judged()] == [(1, "Panda")]


def test_a_file_of_reviews_does_not_bring_back_what_was_taken_back(three: Store) -> None:
    row = ReviewRow(1, "Panda", 1, "Ada", "2026-03-02T00:00:00Z", "")
    assert three.import_reviews([row]) == 1
    three.desk.undo([1], reviewer="Ada")
    assert three.import_reviews([row]) == 0
    assert said(three)[1] == ("Lion", False)


# Pages -------------------------------------------------------------------------------------------


def ids(page: Page) -> list[int]:
    return [each.sighting.photo_id for each in page.items]


def walked(store: Store, order: str, limit: int, asked: Asked | None = None) -> list[int]:
    """Return the ids of all pages, one after the other."""
    found: list[int] = []
    after: str | None = None
    while True:
        page = store.desk.page(asked or Asked(), order, after, limit)
        found += ids(page)
        if page.next is None:
            return found
        after = page.next


@pytest.fixture
def visits(store: Store) -> Store:
    """Two cards, of four and three photos; the first came again with two more."""
    model = store.model("iucn11", "1.0.0", "d1")
    said_of = {n: replace(LION, probability=(n * 7 % 10) / 10) for n in range(1, 10)}
    number = 0
    for root, count in ((Path("/a"), 4), (Path("/b"), 3), (Path("/a"), 2)):
        card = store.card(root)
        store.begin_run(card, model)
        names = range(number + 1, number + count + 1)
        taken = [record(f"{n}.jpg", prediction=said_of[n]) for n in names]
        store.record(card, model, records=taken)
        number += count
    return store


@pytest.fixture
def timed(visits: Store, url: str) -> Store:
    """The same, each visit on a day of its own."""
    for day, (low, high) in enumerate(((1, 4), (5, 7), (8, 9)), start=1):
        ask(url, "UPDATE runs SET started = ? WHERE id = ?", f"2026-01-0{day}T00:00:00Z", day)
        seen = f"2026-01-0{day}T00:00:01Z"
        ask(url, "UPDATE photos SET first_seen = ? WHERE id BETWEEN ? AND ?", seen, low, high)
    return visits


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_the_newest_card_comes_first_in_its_own_order(timed: Store, limit: int) -> None:
    assert walked(timed, "newest", limit) == [8, 9, 5, 6, 7, 1, 2, 3, 4]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_least_certain_comes_first(timed: Store, url: str, limit: int) -> None:
    ask(url, "UPDATE predictions SET probability = NULL WHERE id = 5")
    ask(url, "UPDATE predictions SET probability = 0.1 WHERE id IN (6, 7)")
    timed.rebuild()
    timed.desk.decide({4: None}, "Panda", reviewer="Ada")  # nothing uncertain is left of it
    assert walked(timed, "uncertain", limit) == [3, 6, 7, 9, 2, 8, 1, 5]


def test_a_page_is_not_moved_by_what_comes_in_meanwhile(timed: Store) -> None:
    page = timed.desk.page(Asked(), "newest", None, 3)
    card, model = timed.card(Path("/c")), 1
    timed.begin_run(card, model)
    timed.record(card, model, records=[record("new.jpg")])
    assert ids(timed.desk.page(Asked(), "newest", page.next, 100)) == [6, 7, 1, 2, 3, 4]
    assert walked(timed, "newest", 100)[0] == 10


def test_what_only_pages_ask(timed: Store, url: str) -> None:
    assert walked(timed, "newest", 2, Asked(max_probability=0.3)) == [9, 6, 3]
    assert walked(timed, "newest", 2, Asked(card_id=2)) == [5, 6, 7]
    assert walked(timed, "uncertain", 2, Asked(card_id=2, max_probability=0.5)) == [6, 5]
    wanted = Asked(query=SightingQuery(reviewed=True))
    assert walked(timed, "newest", 5, wanted) == []
    assert timed.desk.count_some(Asked()) == 9
    assert timed.desk.count_some(Asked(card_id=2)) == 3
    assert timed.desk.count(Asked(card_id=2), "species") == [("Lion", 3)]
    assert [each.photo_id for each in timed.desk.sightings(Asked(card_id=2))] == [5, 6, 7]


@pytest.mark.parametrize("key", ["", "x", "n", "nx", "n1:2", "u1", "n-1", "n99999999999999999999"])
def test_a_key_that_is_none_is_said(visits: Store, key: str) -> None:
    with pytest.raises(InputError) as caught:
        visits.desk.page(Asked(), "newest", key, 10)
    assert str(caught.value) == (f"{key!r} is no key of a page\ntake `next` of the page before")


@pytest.mark.parametrize("key", ["n5", "u1", "u--:1", "unan:1", "v", "u1e999999:x"])
def test_a_key_of_another_order_is_said(visits: Store, key: str) -> None:
    with pytest.raises(InputError):
        visits.desk.page(Asked(), "uncertain", key, 10)


# All of it ---------------------------------------------------------------------------------------


def test_a_card_says_what_became_of_it(timed: Store, url: str) -> None:
    timed.finish_run(2, Account(5, 3, 1, 1))
    timed.record(2, 1, problems=[Problem(Path("/b"), b"x.jpg", "empty", "0 bytes")])
    timed.desk.decide({5: None}, "Panda", reviewer="Ada")
    found = {each.root: each for each in timed.desk.cards()}
    assert [(c.photos, c.reviewed, c.open_problems) for c in found.values()] == [
        (6, 0, 0) if root == "/a" else (3, 1, 1) for root in found
    ]
    account = found["/b"].account
    assert account is not None
    assert (account.files, account.recorded, account.seen_before, account.problems) == (5, 3, 1, 1)
    assert account.finished is not None
    assert [(p.card, p.path, p.reason) for p in timed.desk.problems(None, 9)] == [
        ("/b", "x.jpg", "empty")
    ]
    assert timed.desk.problems(1, 9) == []


def test_a_card_that_is_being_taken_in_is_counted_as_it_goes(visits: Store, url: str) -> None:
    visits.finish_run(2, Account(3, 3))
    # However slow the machine: all of this card came since the run began.
    ask(url, "UPDATE runs SET started = (SELECT min(first_seen) FROM photos)")
    run = visits.desk.under_way()
    assert [(each.card, each.files, each.recorded, each.problems) for each in run] == [
        ("/a", 6, 6, 0)
    ]
    ask(url, "UPDATE runs SET started = '2020-01-01T00:00:00Z'")
    ask(url, "UPDATE places_seen SET last_seen = '2020-01-01T00:00:00Z'")
    assert visits.desk.under_way() == []  # it was killed long ago
