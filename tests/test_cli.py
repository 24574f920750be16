"""The command line: options before and after, every exit code, listings, nothing else on stdout."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from trapsort import __version__
from trapsort.cli import common_options, setting_option
from trapsort.cli import main as cli_main
from trapsort.cli.listing import FORMS, shown, write_listing, write_matrix
from trapsort.cli.main import COMMANDS, cli, main
from trapsort.errors import BundleError, BusyError, DatabaseError, InputError
from trapsort.settings import Settings, log_path

ROOT = Path(__file__).resolve().parent.parent


def trapsort(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "trapsort", *arguments],
        capture_output=True,
        cwd=ROOT,
        check=False,
        env={**os.environ, **(environment or {})},
    )


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Put a command `probe` beside the real ones; it notes its settings."""
    seen: list[Settings] = []

    @click.command()
    @setting_option("--workers", help="Threads.")
    @common_options
    def probe(settings: Settings, /) -> int:
        seen.append(settings)
        return 1 if settings.station == "broken" else 0

    monkeypatch.setattr(cli_main, "probe", probe, raising=False)
    monkeypatch.setitem(COMMANDS, "probe", ("trapsort.cli.main:probe", "Note the settings."))
    return seen


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command `fail` beside the real ones; it raises."""

    @click.command()
    @common_options
    def fail(_settings: Settings, /) -> None:
        raise error

    monkeypatch.setattr(cli_main, "fail", fail, raising=False)
    monkeypatch.setitem(COMMANDS, "fail", ("trapsort.cli.main:fail", "Fail."))


# Options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--db", "/a.sqlite3", "-v", "--bundle", "mine", "probe"],
        ["probe", "--db", "/a.sqlite3", "-v", "--bundle", "mine"],
        ["--db", "/b.sqlite3", "--bundle", "mine", "probe", "-v", "--db", "/a.sqlite3"],
        ["-vv", "probe", "-q", "--db", "/a.sqlite3", "--bundle", "mine"],
    ],
)
def test_common_options_stand_before_and_after(arguments: list[str], probe: list[Settings]) -> None:
    assert main(arguments) == 0
    assert (probe[0].db, probe[0].bundle, probe[0].verbosity) == ("sqlite:////a.sqlite3", "mine", 1)


def test_a_commands_own_setting_is_checked_like_the_others(
    probe: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", "--workers", "3"]) == 0
    assert probe[0].workers == 3
    assert main(["probe", "--workers", "none"]) == 2
    message = "trapsort: workers in the options must be a whole number from 1 to 1024, not 'none'\n"
    assert capsys.readouterr().err == message


def test_the_configuration_file_is_an_option(tmp_path: Path, probe: list[Settings]) -> None:
    config = tmp_path / "c.toml"
    config.write_text('station = "north"\n', encoding="utf-8")
    assert main(["--config", str(config), "probe"]) == 0
    assert main(["probe", "--config", str(config)]) == 0
    assert [settings.station for settings in probe] == ["north", "north"]


def test_log_lines_go_to_stderr_and_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    @common_options
    def probe(_settings: Settings, /) -> None:
        logging.getLogger("trapsort.room").info("for -v and the file")
        logging.getLogger("trapsort.room").warning("for everyone")

    monkeypatch.setattr(cli_main, "probe", probe, raising=False)
    monkeypatch.setitem(COMMANDS, "probe", ("trapsort.cli.main:probe", "Log."))
    log = tmp_path / "logs" / "trapsort.log"
    assert main(["probe", "--log-file", str(log)]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "trapsort: for everyone\n")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "INFO trapsort.room: for -v and the file",
        "WARNING trapsort.room: for everyone",
    ]
    assert main(["-v", "probe"]) == 0
    assert capsys.readouterr().err == "trapsort: for -v and the file\ntrapsort: for everyone\n"
    assert main(["-q", "probe"]) == 0
    assert capsys.readouterr().err == ""
    assert logging.getLogger("trapsort").handlers == []


# Help ------------------------------------------------------------------------------------------


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"trapsort {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_common_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "-h"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: trapsort {name} [OPTIONS]")
    for option in ("--db URL", "--config FILE", "--bundle NAME|DIR", "-v,", "-q,", "--log-file"):
        assert option in text


def test_help_lists_every_command_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert [line.split(maxsplit=1)[1] for line in listed] == [line for _, line in COMMANDS.values()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_completes(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    assert "_TRAPSORT_COMPLETE" in capsys.readouterr().out


def test_the_shell_is_told_the_commands() -> None:
    environment = {
        "_TRAPSORT_COMPLETE": "zsh_complete",
        "COMP_WORDS": "trapsort re",
        "COMP_CWORD": "1",
    }
    program = "from trapsort.cli.main import cli; cli(prog_name='trapsort')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.stdout.splitlines() == [
        "plain",
        "report",
        "Write reports: CSV, a nightly set, the survey.",
    ]


# Exit codes ------------------------------------------------------------------------------------


def test_a_command_returns_its_exit_code(
    probe: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAPSORT_STATION", "broken")
    assert main(["probe"]) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError, 2), (BundleError, 3), (DatabaseError, 4), (BusyError, 5)],
)
def test_an_error_is_a_sentence_a_hint_and_a_code(
    error: type[InputError],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(error("this is wrong", "do that instead"), monkeypatch)
    assert main(["fail"]) == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "trapsort: this is wrong\ndo that instead\n")


def test_a_name_in_an_error_does_not_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(InputError("no folder \x1b[2J", "look at \x07"), monkeypatch)
    assert main(["fail"]) == 2
    assert capsys.readouterr().err == "trapsort: no folder \\x1b[2J\nlook at \\x07\n"


def test_a_usage_error_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-command"]) == 2
    assert "No such command 'no-such-command'" in capsys.readouterr().err
    assert main(["report", "weekly"]) == 2


def test_a_bug_is_one_line_and_a_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    failing(ZeroDivisionError("oops"), monkeypatch)
    assert main(["fail"]) == 70
    assert capsys.readouterr().err == (
        "trapsort: unexpected ZeroDivisionError, which is a bug of trapsort; "
        f"the traceback is in {log_path()}\n"
    )
    log = log_path().read_text(encoding="utf-8")
    assert log.splitlines()[0].endswith(f"Python {sys.version.split()[0]}")
    assert "raise error" in log and "ZeroDivisionError: oops" in log
    assert main(["fail"]) == 70
    assert log_path().read_text(encoding="utf-8").count("ZeroDivisionError: oops") == 2


def test_a_bug_without_a_place_for_the_log_prints_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("HOME", str(blocked))
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    failing(ZeroDivisionError("oops"), monkeypatch)
    assert main(["fail"]) == 70
    printed = capsys.readouterr().err
    assert "ZeroDivisionError: oops" in printed
    assert printed.endswith("; the traceback is above\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_130(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(error, monkeypatch)
    assert main(["fail"]) == 130
    assert capsys.readouterr().err.strip() == "trapsort: interrupted"


@pytest.mark.skipif(os.name == "nt", reason="pipes break differently on Windows")
@pytest.mark.parametrize("form", ["csv", "jsonl", "table"])
def test_a_reader_that_has_enough_is_no_error(form: str) -> None:
    code = (
        "import sys; from trapsort.cli import main as m, common_options; import click\n"
        "from trapsort.cli.listing import write_listing\n"
        "rows = ((n, 'x' * 100) for n in range(20000))\n"
        f"def f(s, /): write_listing(('a', 'b'), rows, {form!r})\n"
        "m.long = click.command()(common_options(f))\n"
        "m.COMMANDS['long'] = ('trapsort.cli.main:long', '')\n"
        "sys.exit(m.main(['long']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_another_pipe_that_breaks_while_recording_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(BrokenPipeError(32, "Broken pipe"), monkeypatch)
    monkeypatch.setitem(COMMANDS, "ingest", COMMANDS["fail"])
    assert main(["ingest"]) == 70
    assert capsys.readouterr().err.startswith("trapsort: unexpected RuntimeError, ")


def test_python_m_trapsort() -> None:
    done = trapsort("--version")
    assert (done.returncode, done.stdout) == (0, f"trapsort {__version__}\n".encode())


# Listings --------------------------------------------------------------------------------------

COLUMNS = ("path", "latitude", "longitude", "reviewed")
ROWS = [("=a,\n.jpg", -12.5, 30.25, True), ("Grüße \udcff", None, None, False)]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            "csv",
            'path,latitude,longitude,reviewed\n"\'=a,\n.jpg",-12.5,30.25,true\n'
            "Grüße \\udcff,,,false\n",
        ),
        (
            "jsonl",
            '{"path": "=a,\\n.jpg", "latitude": -12.5, "longitude": 30.25, "reviewed": true}\n'
            '{"path": "Grüße \\udcff", "latitude": null, "longitude": null, "reviewed": false}\n',
        ),
        (
            "geojson",
            '{"type": "FeatureCollection", "features": [\n'
            '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [30.25, -12.5]}, '
            '"properties": {"path": "=a,\\n.jpg", "reviewed": true}},\n'
            '{"type": "Feature", "geometry": null, '
            '"properties": {"path": "Grüße \\udcff", "reviewed": false}}\n]}\n',
        ),
    ],
)
def test_forms_for_programs(
    form: str, expected: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    write_listing(COLUMNS, ROWS, form)
    assert capfdbinary.readouterr().out.decode("utf-8") == expected


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS])
def test_json_is_one_array(
    rows: list[tuple[object, ...]], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    write_listing(COLUMNS, rows, "json")  # type: ignore[arg-type]
    read = json.loads(capfdbinary.readouterr().out)
    assert read == [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def test_a_table_fits_the_terminal_and_obeys_no_name(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    write_listing(COLUMNS, [("\x1b[31m[bold]red" + "x" * 100, 1.0, 2.0, True)], "table")
    lines = capfdbinary.readouterr().out.decode("utf-8").splitlines()
    assert max(map(len, lines)) <= 70
    assert lines[0].split() == ["path", "latitude", "longitude", "reviewed"]
    assert lines[1].startswith("\\x1b[31m[bold]redxxx")


def test_a_narrow_terminal_cuts_no_name_and_no_time_off(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    row = ("waterhole in the north of the reserve", "2026-03-01T00:00:00", "2026-05-31T12:00:00")
    write_listing(("station", "start", "end"), [row], "table")
    assert capfdbinary.readouterr().out.decode().splitlines() == [
        "station                                start                end",
        "  ".join(row),
    ]


def test_a_matrix_comes_in_blocks_beside_its_first_column(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    days = [f"2026-03-{day:02}" for day in range(1, 8)]
    rows = [("Ridge", *[1.0] * 6, None), ("B", *[0.5] * 7)]
    write_matrix(("station", *days), rows)
    assert capfdbinary.readouterr().out.decode().splitlines() == [
        "station  2026-03-01  2026-03-02  2026-03-03  2026-03-04",
        "Ridge    1           1           1           1",
        "B        0.5         0.5         0.5         0.5",
        "",
        "station  2026-03-05  2026-03-06  2026-03-07",
        "Ridge    1           1",
        "B        0.5         0.5         0.5",
    ]
    write_matrix(("station", *days), [])
    out, err = capfdbinary.readouterr()
    assert (out, err) == (b"", b"nothing found\n")


def test_a_long_table_comes_in_pages(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_listing(("n",), ((n,) for n in range(1001)), "table")
    text = capfdbinary.readouterr().out.decode("utf-8")
    assert [int(word) for word in text.split() if word != "n"] == list(range(1001))
    assert text.split().count("n") == 3


def test_cells_for_people() -> None:
    assert [shown(v) for v in (12633.6, 9999.6, 1e9)] == ["12634", "10000", "1000000000"]
    assert [shown(v) for v in (None, True, False, 0.98765, 12, "a\tb")] == [
        "",
        "yes",
        "",
        "0.9877",
        "12",
        "a\\tb",
    ]
    assert list(FORMS) == ["table", "csv", "json", "jsonl", "geojson"]


# Commands on a database ------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["sightings"], ["problems"], ["report", "nightly"]])
def test_a_database_that_is_not_there_is_not_an_empty_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "no.sqlite3"
    assert main([*command, "--db", str(missing)]) == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"trapsort: there is no database at {missing} yet\n"
        "take in a card first (trapsort ingest DIR), or name another one with --db\n"
    )
    assert not missing.exists()


def test_counts_have_no_place_on_a_map(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sightings", "--count-by", "day", "--format", "geojson"]) == 2
    assert capsys.readouterr().err.startswith("trapsort: counts have no place on a map\n")


def test_a_day_is_not_also_a_span(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "nightly", "--date", "2026-11-20", "--since", "2026-11-01"]) == 2
    assert capsys.readouterr().err.startswith("trapsort: --date is one day, ")


def test_a_date_is_written_year_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sightings", "--since", "20.11.2026"]) == 2
    assert "'20.11.2026' does not match the format '%Y-%m-%d'" in capsys.readouterr().err


def test_cli_is_a_click_command() -> None:
    assert isinstance(cli, click.Group)
    assert cli.list_commands(click.Context(cli)) == list(COMMANDS)
