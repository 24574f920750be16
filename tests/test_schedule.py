"""What starts trapsort by itself: every path arrives whole, whatever is in its name."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import time
from pathlib import Path

import pytest

from trapsort.cli.main import main
from trapsort.errors import InputError
from trapsort.schedule import KINDS, Plan, cron_line, systemd_line, windows, write_schedule

TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
HOSTILE = [
    "/media/plain",
    "/media/two words",
    "/media/100%",
    "/media/%h %n",
    "/media/$HOME ${USER}",
    '/media/it\'s "so"',
    "/media/a;b&c|d>e`f`(g)#h*i?",
    "/media/<b>&amp;</b>",
    "/media/ü-ñ-象",
    "-media",
    "",
    ";",
]


def plan(*cards: str, in_them: bool = False) -> Plan:
    return Plan(
        program=("/opt/trap sort/bin/trapsort",),
        options=("--config", "/etc/50% $x.toml"),
        cards=tuple(map(Path, cards)),
        cards_in_them=in_them,
        report_dir=Path("/srv/re ports"),
        at=time(5, 7),
    )


def systemd_words(line: str) -> list[str]:
    """Read ExecStart= as systemd.service(5) says: quotes, escapes, specifiers, variables."""
    words, rest = [], line
    while rest:
        match = re.match(r'"((?:[^"\\]|\\.)*)"(?: |$)|([^" \\]+)(?: |$)', rest)
        assert match, rest
        quoted, bare = match.groups()
        word = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        assert not re.search(r"%(?!%)", word.replace("%%", "")), word
        word = word.replace("%%", "%")
        if words:
            assert "$" not in word.replace("$$", ""), word
            word = word.replace("$$", "$")
        words.append(word)
        rest = rest[match.end() :]
    return words


@pytest.mark.parametrize("path", [*HOSTILE, "/media/back\\slash"])
def test_systemd_gets_every_path_whole(path: str) -> None:
    command = ["/opt/trap sort/50%/trapsort", "watch", "--", path]
    line = systemd_line(command)
    assert systemd_words(line) == command
    assert path != ";" or line.endswith('";"'), "a bare one would begin another command"


@pytest.mark.parametrize("path", HOSTILE)
def test_a_shell_that_cron_starts_gets_every_path_whole(path: str) -> None:
    show = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", path]
    line = cron_line(show)
    assert not re.search(r"(?<!\\)%", line), "cron ends the command there"
    given = line.replace("\\%", "%")
    assert shlex.split(given) == show
    done = subprocess.run(["/bin/sh", "-c", given], capture_output=True, text=True, check=True)
    assert done.stdout == ascii([path]) + "\n"


def windows_words(line: str) -> list[str]:
    """Read a command line as Microsoft's C runtime does."""
    words: list[str] = []
    word: str | None = None
    is_quoted, slashes = False, 0
    for character in f"{line} ":
        if character == "\\":
            slashes += 1
            continue
        if character == '"':
            word = (word or "") + "\\" * (slashes // 2)
            if slashes % 2:
                word += character
            else:
                is_quoted = not is_quoted
        else:
            if slashes:
                word = (word or "") + "\\" * slashes
            if character != " " or is_quoted:
                word = (word or "") + character
            elif word is not None:
                words.append(word)
                word = None
        slashes = 0
    return words


@pytest.mark.parametrize(
    "path", ["C:\\Trap data\\", 'D:\\a "b\\" c', "D:\\a&b<c>'d", "E:\\50%", "E:\\ü 象"]
)
def test_windows_gets_every_path_whole(path: str) -> None:
    files = windows(plan(path))
    assert list(files) == ["trapsort-watch.xml", "trapsort-report.xml"]
    root = ET.fromstring(files["trapsort-watch.xml"])  # noqa: S314  # our own
    action = root.find(f"{TASK}Actions/{TASK}Exec")
    assert action is not None
    assert action.findtext(f"{TASK}Command") == "/opt/trap sort/bin/trapsort"
    line = action.findtext(f"{TASK}Arguments") or ""
    card = str(Path(path))
    assert windows_words(line) == ["watch", "--config", "/etc/50% $x.toml", "--", card]
    settings = root.find(f"{TASK}Settings")
    assert settings is not None
    assert settings.findtext(f"{TASK}DisallowStartIfOnBatteries") == "false"
    assert settings.findtext(f"{TASK}ExecutionTimeLimit") == "PT0S"
    report = ET.fromstring(files["trapsort-report.xml"])  # noqa: S314  # our own
    start = report.findtext(f"{TASK}Triggers/{TASK}CalendarTrigger/{TASK}StartBoundary") or ""
    assert start.endswith("T05:07:00")


# Microsoft's schema of tasks ([MS-TSCH] 2.5.1): what each element may hold; a tuple is a sequence,
# whose order counts, a set an xs:all, whose order does not.
HELD: dict[str, tuple[str, ...] | set[str]] = {
    "Task": {"RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"},
    "RegistrationInfo": {"Description"},
    "Triggers": {"LogonTrigger", "CalendarTrigger"},
    "LogonTrigger": ("Enabled", "StartBoundary", "EndBoundary", "Repetition", "UserId", "Delay"),
    "CalendarTrigger": ("Enabled", "StartBoundary", "EndBoundary", "RandomDelay", "ScheduleByDay"),
    "ScheduleByDay": ("DaysInterval",),
    "Principals": ("Principal",),
    "Principal": {"LogonType", "RunLevel"},
    "Settings": {
        *("MultipleInstancesPolicy", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries"),
        *("StartWhenAvailable", "ExecutionTimeLimit", "RestartOnFailure"),
    },
    "RestartOnFailure": {"Interval", "Count"},
    "Actions": {"Exec"},
    "Exec": {"Command", "Arguments"},
}
VALUES = {
    "Enabled": "true|false",
    "StartBoundary": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
    "DaysInterval": r"[1-9]\d{0,2}",
    "LogonType": "InteractiveToken|Password|S4U",
    "RunLevel": "LeastPrivilege|HighestAvailable",
    "MultipleInstancesPolicy": "Parallel|Queue|IgnoreNew|StopExisting",
    "DisallowStartIfOnBatteries": "true|false",
    "StopIfGoingOnBatteries": "true|false",
    "StartWhenAvailable": "true|false",
    "ExecutionTimeLimit": r"PT\d+[SMH]",
    "Interval": r"PT\d+M",
    "Count": r"[1-9]\d?",
}


@pytest.mark.parametrize("name", ["trapsort-watch.xml", "trapsort-report.xml"])
def test_a_task_of_windows_keeps_to_its_schema(name: str) -> None:
    root = ET.fromstring(windows(plan("C:\\Trap"))[name])  # noqa: S314  # our own
    assert root.get("version") == "1.2"
    assert {each.tag.removeprefix(TASK) for each in root} == HELD["Task"]
    principal = root.find(f"{TASK}Principals/{TASK}Principal")
    actions = root.find(f"{TASK}Actions")
    assert principal is not None and actions is not None
    assert principal.get("id") == actions.get("Context")
    for element in root.iter():
        tag, children = element.tag.removeprefix(TASK), [each.tag for each in element]
        names = [each.removeprefix(TASK) for each in children]
        held = HELD.get(tag, ())
        assert len(names) == len(set(names)) and set(names) <= set(held), tag
        if isinstance(held, tuple):
            assert names == [each for each in held if each in names], f"{tag} is a sequence"
        if not children and tag in VALUES:
            assert re.fullmatch(VALUES[tag], element.text or ""), tag


@pytest.mark.parametrize(
    ("kind", "path", "message"),
    [
        ("systemd", "/a\nb", "no schedule can hold the control character in '/a\\nb'"),
        ("cron", "/a\x00b", "no schedule can hold the control character in '/a\\x00b'"),
        ("windows", "/a\x1bb", "no schedule can hold the control character in '/a\\x1bb'"),
        ("cron", "/a\\%b", "cron cannot hold the backslash in '/a\\\\%b'"),
        ("windows", "C:/%TEMP%", "the Task Scheduler would replace a part of 'C:/%TEMP%'"),
        ("windows", "C:/$(Arg0)", "the Task Scheduler would replace a part of 'C:/$(Arg0)'"),
    ],
)
def test_what_cannot_be_written_is_said(kind: str, path: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        KINDS[kind](plan(path))
    assert caught.value.message == message


def fields(text: str) -> list[tuple[str, str]]:
    """Return the keys and values of a unit, in order."""
    lines = [line for line in text.splitlines() if line and line[0] not in "#["]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def test_the_units_of_systemd_say_what_runs_when() -> None:
    units = KINDS["systemd"](plan("/media", in_them=True))
    watch = dict(fields(units["trapsort-watch.service"]))
    assert systemd_words(watch["ExecStart"]) == [
        *("/opt/trap sort/bin/trapsort", "watch", "--config", "/etc/50% $x.toml"),
        *("--cards", "--", "/media"),
    ]
    assert (watch["Restart"], watch["RestartPreventExitStatus"]) == ("on-failure", "2 3 5")
    timer = dict(fields(units["trapsort-report.timer"]))
    assert (timer["OnCalendar"], timer["Persistent"]) == ("*-*-* 05:07:00", "true")
    report = dict(fields(units["trapsort-report.service"]))
    assert systemd_words(report["ExecStart"])[1:] == [
        *("report", "nightly-set", "--config", "/etc/50% $x.toml", "--out", "/srv/re ports")
    ]


def verify(units: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze on this machine")
    command = [program, "verify", "--man=no", *map(str, units)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_itself_takes_the_units(tmp_path: Path) -> None:
    program = tmp_path / "trap sort" / "trapsort"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    cards = [path for path in HOSTILE if path]
    files = KINDS["systemd"](plan(*cards))
    files = {n: t.replace("/opt/trap sort/bin/trapsort", str(program)) for n, t in files.items()}
    units = write_schedule(files, tmp_path / "units")
    done = verify(units)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    broken = tmp_path / "broken.service"
    broken.write_text('[Service]\nExecStart=/bin/true "open\n')
    assert verify([broken]).stderr != "", "a fault would be seen"


def test_the_lines_of_cron() -> None:
    (text,) = KINDS["cron"](plan("/media")).values()
    boot, nightly = [line for line in text.splitlines() if not line.startswith("#")]
    assert boot == (
        "@reboot '/opt/trap sort/bin/trapsort' watch --config '/etc/50\\% $x.toml' -- /media"
    )
    minute, hour, *rest = nightly.split(" ", 5)
    assert (minute, hour, rest[:3]) == ("7", "5", ["*", "*", "*"])
    assert rest[3].endswith(
        " report nightly-set --config '/etc/50\\% $x.toml' --out '/srv/re ports'"
    )
    (alone,) = KINDS["cron"](plan()).values()
    assert "@reboot" not in alone


# The command


def test_schedule_prints_what_it_would_write(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('db = "s.db"\nreport_at = 04:05:00\n', encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["-c"])
    base = ["schedule", "cron", "--config", str(config)]
    assert main([*base, "--card", "/media/a b", "--cards"]) == 0
    out, err = capfd.readouterr()
    head = f"{shlex.quote(sys.executable)} -m trapsort"
    assert out.splitlines()[1:] == [
        f"@reboot {head} watch --config {config} --cards -- '/media/a b'",
        f"5 4 * * * {head} report nightly-set --config {config} --out {tmp_path / 'reports'}",
    ]
    assert err == ""
    assert main([*base, "--at", "23:59", "--db", str(tmp_path / "t.db")]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[1].startswith(f"59 23 * * * {head} report nightly-set --config ")
    assert f" --db sqlite:///{tmp_path}/t.db " in out
    assert err == "without --card nothing watches; this is the nightly report alone\n"


def test_schedule_writes_files_in_the_encoding_of_each(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "units"
    assert main(["schedule", "windows", "--card", str(tmp_path / "ü"), "--out", str(out)]) == 0
    names = ["trapsort-watch.xml", "trapsort-report.xml"]
    assert capfd.readouterr() == ("".join(f"{out / name}\n" for name in names), "")
    data = (out / names[0]).read_bytes()
    assert data.startswith((b"\xff\xfe", b"\xfe\xff"))
    assert str(tmp_path / "ü") in (ET.parse(out / names[0]).getroot()[-1][0][1].text or "")  # noqa: S314
    assert main(["schedule", "systemd", "--card", "/media", "--out", str(out)]) == 0
    unit = (out / "trapsort-watch.service").read_text(encoding="utf-8")
    assert unit.startswith("# trapsort takes in")
    blocked = tmp_path / "file"
    blocked.touch()
    capfd.readouterr()
    assert main(["schedule", "cron", "--out", str(blocked)]) == 2
    assert "cannot write to " in capfd.readouterr().err


def test_schedule_writes_no_servers_address(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql://me:SECRET@example.org/traps"
    assert main(["schedule", "cron", "--db", url, "--card", "/media"]) == 2
    assert capfd.readouterr() == (
        "",
        "trapsort: the address of a database server is not written into a schedule\n"
        "put db = ... into the configuration file: it may hold a password\n",
    )
    config = tmp_path / "config.toml"
    config.write_text(f'db = "{url}"\nreport_dir = "r"\n', encoding="utf-8")
    assert main(["schedule", "cron", "--config", str(config), "--card", "/media"]) == 0
    assert "SECRET" not in capfd.readouterr().out
