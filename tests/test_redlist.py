"""Labels, taxa and categories: exact answers, and facts that are either cited or in doubt."""

from __future__ import annotations

import csv
import re
from importlib.resources import files
from pathlib import Path

import pytest

from trapsort.errors import InputError
from trapsort.redlist import CATEGORIES, COLOURS, LISTS, UNRANKED, matches, red_list

NAME = "scientific_name"
EXPECTED = {  # label: assessed category or range, published category
    "African_Elephant": ("EN-CR", "EN"),
    "Amur_Leopard": ("CR", "CR"),
    "Arctic_Fox": ("LC", "LC"),
    "Chimpanzee": ("EN", "EN"),
    "Jaguars": ("NT", "NT"),
    "Lion": ("VU", "VU"),
    "Orangutan": ("CR", "CR"),
    "Panda": ("VU", "VU"),
    "Panthers": ("NT-VU", "LC"),
    "Rhino": ("NT-CR", "CR"),
    "cheetahs": ("VU", "VU"),
}


def test_every_label_has_its_category_in_both_lists() -> None:
    lists = [red_list("iucn"), red_list("published")]
    assert [each.name for each in lists] == ["iucn", "published"]
    assert all(list(each.entries) == list(EXPECTED) for each in lists)
    found = {label: tuple(each.category(label) for each in lists) for label in EXPECTED}
    assert found == EXPECTED


def test_a_range_is_ambiguous_and_one_category_is_not() -> None:
    entries = red_list().entries.values()
    assert {e.label for e in entries if e.ambiguous} == {"African_Elephant", "Panthers", "Rhino"}
    assert not any(e.ambiguous for e in red_list("published").entries.values())


def test_names_and_labels_that_no_list_knows() -> None:
    assert red_list().scientific_name("Panthers") == "Panthera pardus; Panthera onca"
    assert red_list().scientific_name("zebra") == red_list().scientific_name(None) == ""
    assert red_list().category("zebra") is red_list().category(None) is None


def test_a_citation_names_each_taxon_its_source_and_its_doubts() -> None:
    assert red_list().entries["Panthers"].citation == (
        "Panthera pardus VU: IUCN Red List 2020: e.T15954A163991139 (amended version of 2019)"
        " [a black panther of Africa or Asia is a melanistic leopard; a later version may exist];"
        " Panthera onca NT: IUCN Red List 2017: e.T15953A123791436 (errata 2018)"
        " [a black panther of the Americas is a melanistic jaguar]"
    )
    assert red_list("published").entries["Panthers"].citation == (
        "Panthera pardus LC: the mapping published with the label, not an assessment;"
        " Panthera onca LC: the mapping published with the label, not an assessment"
    )


@pytest.mark.parametrize("label", EXPECTED)
def test_a_fact_is_cited_and_a_missing_year_is_said(label: str) -> None:
    for taxon in red_list().entries[label].taxa:
        assert taxon.category in (*CATEGORIES, *UNRANKED)
        assert taxon.citation
        assert re.fullmatch(r"\d{4}", taxon.year) or "year of the assessment not" in taxon.note


def test_the_table_says_nothing_that_the_collected_facts_know_from_memory_only(
    shared: Path,
) -> None:
    collected = shared.parent / "facts" / "iucn_seed_taxa.csv"
    if not collected.is_file():
        pytest.skip(f"no collected facts at {collected}")
    facts = {}
    for row in csv.DictReader(collected.read_text(encoding="utf-8").splitlines()):
        name = row[NAME].replace("ssp. ", "").partition(" (")[0]
        facts[row["class_label"], name] = row
    text = files("trapsort").joinpath("data", "redlist.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        fact = facts[row["label"], row[NAME]]
        assert row["published"] == fact["seed_category"]
        assert row["category"] == fact["category"]
        assert "MEMORY" not in fact["category"]
        assert f"{row['year']} (MEMORY)" not in fact["year_published"] or not row["year"]
        for reference in re.findall(r"e\.T\w+", row["citation"]):
            seen = fact["assessment_ref"] if "above" not in fact["year_published"] else reference
            assert reference in seen
            assert f"{reference} (MEMORY)" not in fact["assessment_ref"]


def test_an_unknown_list_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        red_list("mine")
    assert str(caught.value) == ("no Red List mapping is named 'mine'\nchoose iucn or published")
    assert set(LISTS) == {"iucn", "published"}


@pytest.mark.parametrize(
    ("category", "matching"),
    [
        ("VU", ["VU"]),
        ("NT-CR", ["NT", "VU", "EN", "CR"]),
        ("EN-CR", ["EN", "CR"]),
        ("NT-VU", ["NT", "VU"]),
        ("EX", ["EX"]),
        ("DD", ["DD"]),
    ],
)
def test_a_wanted_category_matches_inside_a_range(category: str, matching: list[str]) -> None:
    assert [w for w in (*CATEGORIES, *UNRANKED) if matches(category, w)] == matching
    assert matches(category, matching[0].lower())


def test_what_is_no_category_matches_nothing() -> None:
    assert not matches("NT-CR", "threatened")


def test_every_category_has_its_colour() -> None:
    assert {*CATEGORIES, *UNRANKED} <= set(COLOURS)
    assert COLOURS["CR"] == "#D81E05"


def test_a_name_means_its_labels_whatever_its_case() -> None:
    listed = red_list("iucn")
    assert listed.labels("rhino") == listed.labels("DICEROS bicornis") == ("Rhino",)
    assert listed.labels("Panthera onca") == ("Jaguars", "Panthers")
    assert listed.labels("Rhinos") == ()
