"""What `[[alerts]]` may say, and what of the record it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trapsort.alert_rules import IUCN_LEVELS, AlertRule, Smtp, parsed_rules
from trapsort.alerts.events import is_near, labels_of, reaches
from trapsort.errors import SettingsError
from trapsort.redlist import CATEGORIES, red_list
from trapsort.settings import merged


def rule(**values: Any) -> AlertRule:
    return AlertRule(**({"name": "cats", "species": ("Lion",)} | values))


# What a configuration file may say


def config_file(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_rules_come_from_the_configuration_file(tmp_path: Path) -> None:
    text = """
        [[alerts]]
        name = "threatened"
        iucn_at_least = "en"
        min_probability = 0.9
        station = "ridge"
        command = ["./notify.sh", "--loud; rm -rf /", "%s"]

        [[alerts]]
        name = "people"
        people = true
        species = ["Lion", "Panthera onca"]
        minutes = 5
        per_day = 0
        precision = "none"
        attach = true
        [alerts.smtp]
        host = "mail.example.org"
        user = "trap"
        password_env = "MAIL_PASSWORD"
        from = "trap@example.org"
        to = ["a@example.org", "b@example.org"]
    """
    first, second = merged({}, environment={}, config=config_file(tmp_path, text)).alerts
    assert first == AlertRule(
        name="threatened",
        iucn_at_least="EN",
        min_probability=0.9,
        station=("ridge",),
        minutes=30,
        per_day=20,
        command=(str(tmp_path / "notify.sh"), "--loud; rm -rf /", "%s"),
    )
    assert second == AlertRule(
        name="people",
        people=True,
        species=("Lion", "Panthera onca"),
        minutes=5,
        per_day=0,
        precision=0.0,
        attach=True,
        smtp=Smtp(
            host="mail.example.org",
            port=587,
            starttls=True,
            user="trap",
            password_env="MAIL_PASSWORD",  # noqa: S106  # a name, no password
            sender="trap@example.org",
            to=("a@example.org", "b@example.org"),
        ),
    )
    assert second.where_to == "smtp mail.example.org:587"


GOOD = 'name = "x"\npeople = true\ncommand = ["notify"]\n'


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (GOOD + "minute = 3", "without 'minute'; did you mean 'minutes'? (see 'x')"),
        (GOOD + "minutes = -1", "whose minutes is a number from 0 to 10080 (see 'x')"),
        (GOOD + "minutes = nan", "whose minutes is a number from 0 to 10080 (see 'x')"),
        (GOOD + "per_day = true", "whose per_day is a whole number from 0 to 10000 (see 'x')"),
        (GOOD + "attach = 1", "whose attach is true or false (see 'x')"),
        (
            GOOD + "precision = 0",
            "whose precision is degrees above 0, at most 90, or \"none\" (see 'x')",
        ),
        (
            GOOD + 'iucn_at_least = "DD"',
            "whose iucn_at_least is one of LC, NT, VU, EN, CR, EW, EX (see 'x')",
        ),
        (GOOD + 'species = ""', "whose species is some text without line breaks (see 'x')"),
        (GOOD + "species = []", "whose species is some text or a list of it (see 'x')"),
        (
            'name = "x"\npeople = true\ncommand = "notify --now"',
            'whose command is a list of the program and its arguments, like ["notify", "--urgent"]'
            " (see 'x')",
        ),
        ("people = true\ncommand = ['a']", "with a name (see table 1)"),
        (
            "name = 'a\\u000ab'\ncommand = ['a']".replace("'a\\u000ab'", '"a\\u000ab"'),
            "whose name is some text without line breaks (see 'a\\nb')",
        ),
        (
            'name = "x"\npeople = false\ncommand = ["a"]',
            "that say what for: species, iucn_at_least or people (see 'x')",
        ),
        ('name = "x"\npeople = true', "with one of command, webhook and smtp (see 'x')"),
        (
            GOOD + 'webhook = "https://example.org/"',
            "with one of command, webhook and smtp (see 'x')",
        ),
        (
            'name = "x"\npeople = true\nwebhook = "file:///etc/passwd?token=SECRET"',
            "whose webhook is an address like https://example.org/alerts (see 'x')",
        ),
        (
            'name = "x"\npeople = true\nsmtp = {host = "h", from = "a@b"}',
            "whose smtp is a table with to (see 'x')",
        ),
        (
            'name = "x"\npeople = true\nsmtp = {host = "h", from = "a@b", to = "c@d", tls = true}',
            "whose smtp is a table without 'tls'; did you mean one of host, port, "
            "starttls, user, password_env, from, to? (see 'x')",
        ),
        (
            'name = "x"\npeople = true\nsmtp = {host = "h", to = "c@d", from = "a@b\\nBcc: e@f"}',
            "whose smtp is a table whose from is some text without line breaks (see 'x')",
        ),
        (
            'name = "x"\npeople = true\nsmtp = {host = "h", from = "a@b", to = "c@d, e@f"}',
            "whose smtp is a table whose to is an address like ranger@example.org (see 'x')",
        ),
        (
            'name = "x"\npeople = true\nsmtp = {host = "h", from = "a@b", to = "c@d", user = "u"}',
            "whose smtp is a table with both user and password_env, or neither (see 'x')",
        ),
        (GOOD + "[[alerts]]\n" + GOOD, "with a name each (there are two of 'x')"),
    ],
)
def test_a_wrong_rule_is_named_and_no_secret_shown(tmp_path: Path, text: str, wrong: str) -> None:
    path = config_file(tmp_path, f"[[alerts]]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        merged({}, environment={}, config=path)
    assert caught.value.message == f"alerts in {path} must be tables {wrong}"
    assert "SECRET" not in str(caught.value)


def test_rules_are_tables_of_the_file_only(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        merged({}, environment={"TRAPSORT_ALERTS": "people"})
    assert caught.value.message == (
        "alerts in the environment (TRAPSORT_...) must be [[alerts]] tables in the configuration "
        "file"
    )
    with pytest.raises(SettingsError, match=r"must be .* tables"):
        merged({}, environment={}, config=config_file(tmp_path, "alerts = 3"))
    with pytest.raises(ValueError, match="with a name"):
        parsed_rules([{}], tmp_path)


def test_levels_are_the_red_lists() -> None:
    assert IUCN_LEVELS == CATEGORIES


# Which sightings, and which events


@pytest.mark.parametrize(
    ("asked", "some", "none"),
    [
        ({"species": ("lion",)}, "lion", "panda"),
        ({"species": ("PANTHERA ONCA",)}, "jaguars", "lion"),
        ({"species": ("aardwolf",)}, "aardwolf", "lion"),
        ({"species": (), "iucn_at_least": "EN"}, "rhino", "lion"),
        ({"species": (), "iucn_at_least": "CR"}, "rhino", "panda"),
        ({"species": ("Lion", "Rhino"), "iucn_at_least": "EN"}, "rhino", "lion"),
        ({"species": (), "people": True}, None, "lion"),
    ],
)
def test_the_labels_of_a_rule(asked: dict[str, Any], some: str | None, none: str) -> None:
    labels = labels_of(rule(**asked), red_list())
    assert some is None or some in labels
    assert none not in labels


@pytest.mark.parametrize(
    ("category", "level", "does"),
    [
        ("EN", "EN", True),
        ("NT-CR", "EN", True),
        ("VU", "EN", False),
        ("DD", "LC", False),
        ("EX", "CR", True),
    ],
)
def test_a_range_counts_by_its_most_threatened_end(category: str, level: str, does: bool) -> None:
    assert reaches(category, level) is does


@pytest.mark.parametrize(
    ("one", "other", "minutes", "near"),
    [
        ("10:00-10:00", "10:29-10:40", 30, True),
        ("10:00-10:00", "10:30-10:40", 30, False),
        ("10:30-11:00", "10:00-10:01", 30, True),
        ("10:30-11:00", "10:00-10:00", 30, False),
        ("10:00-11:00", "10:20-10:20", 0, True),
        ("10:00-10:00", "10:00-10:00", 0, True),
        ("10:00-10:00", "10:01-10:01", 0, False),
        ("", "", 30, True),
        ("", "10:00-10:00", 30, False),
    ],
)
def test_spans_that_are_near(one: str, other: str, minutes: float, near: bool) -> None:
    def span(text: str) -> list[str]:
        return [f"2026-11-20T{part}:00" for part in text.split("-")] if text else ["", ""]

    assert is_near(span(one), span(other), minutes) is near
    assert is_near(span(other), span(one), minutes) is near
