"""Settings: which source wins, and what is refused with which words."""

from __future__ import annotations

from dataclasses import fields
from datetime import time
from pathlib import Path

import pytest

from trapsort.errors import SettingsError
from trapsort.settings import (
    Settings,
    config_path,
    cores,
    default_database,
    log_path,
    merged,
    sqlite_file,
)


def config_file(folder: Path, text: str) -> Path:
    path = folder / "trapsort.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_no_file(tmp_path: Path) -> None:
    assert merged({}, environment={}) == Settings(
        db=f"sqlite:///{(tmp_path / 'home/data/trapsort/trapsort.sqlite3').as_posix()}",
        bundle=None,
        red_list="iucn",
        verbosity=0,
        log_file=None,
        workers=cores(),
        report_at=None,
        report_dir=None,
        station=None,
    )
    assert not (tmp_path / "home").exists(), "building settings writes nothing"


def test_a_later_source_wins(tmp_path: Path) -> None:
    config = config_file(tmp_path, 'bundle = "file"\nstation = "file"\nred_list = "file"\n')
    environment = {"TRAPSORT_BUNDLE": "environment", "TRAPSORT_STATION": "environment"}
    settings = merged({"bundle": "option"}, environment=environment, config=config)
    assert (settings.bundle, settings.station, settings.red_list) == (
        "option",
        "environment",
        "file",
    )


def test_the_users_own_file_is_read_where_there_is_one() -> None:
    config_path().parent.mkdir(parents=True)
    config_path().write_text("workers = 3\n", encoding="utf-8")
    assert merged({}, environment={}).workers == 3


def test_the_environment_names_another_file(tmp_path: Path) -> None:
    config = config_file(tmp_path, "workers = 7\n")
    assert merged({}, environment={"TRAPSORT_CONFIG": str(config)}).workers == 7


def test_every_kind_of_value_comes_from_text_and_from_toml(tmp_path: Path) -> None:
    config = config_file(
        tmp_path,
        'db = "cards.sqlite3"\nverbosity = -1\nworkers = 2\nreport_at = 06:30:00\n'
        'report_dir = "reports"\nlog_file = "/var/log/trapsort.log"\nbundle = "bundles/mine"\n',
    )
    from_file = merged({}, environment={}, config=config)
    assert from_file.db == f"sqlite:///{(tmp_path / 'cards.sqlite3').as_posix()}"
    assert from_file.report_dir == tmp_path / "reports"
    assert from_file.log_file == Path("/var/log/trapsort.log")
    assert from_file.bundle == str(tmp_path / "bundles/mine")
    environment = {
        "TRAPSORT_DB": str(tmp_path / "cards.sqlite3"),
        "TRAPSORT_VERBOSITY": "-1",
        "TRAPSORT_WORKERS": "2",
        "TRAPSORT_REPORT_AT": "06:30",
        "TRAPSORT_REPORT_DIR": str(tmp_path / "reports"),
        "TRAPSORT_LOG_FILE": "/var/log/trapsort.log",
        "TRAPSORT_BUNDLE": str(tmp_path / "bundles/mine"),
    }
    assert merged({}, environment=environment) == from_file
    assert from_file.report_at == time(6, 30)


def test_a_database_is_a_url_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = "postgresql+psycopg://survey@example.org/sightings"
    assert merged({"db": url}, environment={}).db == url
    here = f"sqlite:///{(tmp_path / 'a b.sqlite3').as_posix()}"
    assert merged({"db": "a b.sqlite3"}, environment={}).db == here
    assert merged({"db": Path("a b.sqlite3")}, environment={}).db == here


@pytest.mark.parametrize("name", ["a.db", "a b#c.db", "100%.db", "a%20b.db", "what?.db", "ü@:+.db"])
def test_a_url_names_the_same_file_everywhere(name: str, tmp_path: Path) -> None:
    from sqlalchemy import make_url

    url = merged({"db": str(tmp_path / name)}, environment={}).db
    assert make_url(url).database == str(tmp_path / name)
    assert sqlite_file(url) == tmp_path / name


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///a.db", Path("a.db")),
        ("sqlite+pysqlite:////a/b.db?timeout=5", Path("/a/b.db")),
        ("sqlite:///file:a.db?mode=rw&uri=true", Path("a.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql+psycopg://me@db/traps", None),
    ],
)
def test_the_file_of_a_url(url: str, file: Path | None) -> None:
    assert sqlite_file(url) == file


def test_an_empty_variable_is_not_set() -> None:
    assert merged({}, environment={"TRAPSORT_DB": ""}).db == default_database()


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    config = config_file(tmp_path, 'databse = "x"\n')
    with pytest.raises(SettingsError) as caught:
        merged({}, environment={}, config=config)
    assert caught.value.message == f"unknown setting 'databse' in {config}"
    names = ", ".join(each.name for each in fields(Settings))
    assert caught.value.hint == f"known settings: {names}"
    with pytest.raises(SettingsError) as caught:
        merged({}, environment={"TRAPSORT_WORKER": "2"})
    assert caught.value.message == "unknown setting 'worker' in the environment (TRAPSORT_...)"
    assert caught.value.hint.startswith("did you mean 'workers'? known settings: db, ")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('workers = "many"', "must be a whole number from 1 to 1024, not 'many'"),
        ("workers = 0", "must be a whole number from 1 to 1024, not 0"),
        ("workers = true", "must be a whole number from 1 to 1024, not True"),
        ("workers = 2.5", "must be a whole number from 1 to 1024, not 2.5"),
        ("verbosity = 3", "must be a whole number from -1 to 2, not 3"),
        ('report_at = "noon"', "must be a time of day like 06:30, not 'noon'"),
        ('report_at = "06:30+02:00"', "must be a time of day like 06:30, not '06:30+02:00'"),
        ('station = ""', "must be some text, not ''"),
        ("report_dir = 5", "must be a path, not 5"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(tmp_path: Path, line: str, complaint: str) -> None:
    config = config_file(tmp_path, line + "\n")
    with pytest.raises(SettingsError) as caught:
        merged({}, environment={}, config=config)
    key = line.split(" ")[0]
    assert caught.value.message.startswith(f"{key} in {config} {complaint}")


def test_a_damaged_or_missing_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "no.toml"
    with pytest.raises(SettingsError, match=r"cannot read .*no\.toml: No such file"):
        merged({}, environment={}, config=missing)
    damaged = config_file(tmp_path, "workers =\n")
    with pytest.raises(SettingsError, match=r"trapsort\.toml is not valid TOML: Invalid value"):
        merged({}, environment={}, config=damaged)
    damaged.write_bytes(b"station = '\xff'\n")
    with pytest.raises(SettingsError, match="is not valid TOML"):
        merged({}, environment={}, config=damaged)


def test_the_log_is_in_a_folder_of_the_user() -> None:
    assert log_path().name == "trapsort.log"
    assert log_path().parent != Path.cwd()
