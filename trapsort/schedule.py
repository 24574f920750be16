"""What starts trapsort by itself: units of systemd, lines of cron, tasks of Windows; text only."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from xml.sax.saxutils import escape

from trapsort.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to run: `watch` for good, unless there is nothing to watch, and a report a day.

    `program` is what starts trapsort, `options` what every command gets, `cards` the folders to
    watch (`cards_in_them`: places where cards appear), `at` local time.
    """

    program: tuple[str, ...]
    options: tuple[str, ...]
    cards: tuple[Path, ...]
    cards_in_them: bool
    report_dir: Path
    at: time

    @property
    def watch(self) -> tuple[str, ...]:
        """The command that takes in the cards, () where no card was named."""
        if not self.cards:
            return ()
        way = ("--cards",) if self.cards_in_them else ()
        return (*self.program, "watch", *self.options, *way, "--", *map(str, self.cards))

    @property
    def report(self) -> tuple[str, ...]:
        """The command that writes the reports of today and of the day before."""
        out = ("--out", str(self.report_dir))
        return (*self.program, "report", "nightly-set", *self.options, *out)


# systemd ----------------------------------------------------------------------------------------

WATCH_SERVICE = """\
# trapsort takes in camera-trap cards, from the start of the machine on. As your own user:
#   cp trapsort-* ~/.config/systemd/user/ && systemctl --user daemon-reload
#   systemctl --user enable --now trapsort-watch.service trapsort-report.timer
#   loginctl enable-linger        (it then also runs when nobody is logged in)
[Unit]
Description=trapsort takes in camera-trap cards

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=30
# Bad settings, a bad bundle and a second daemon do not get better by trying again.
RestartPreventExitStatus=2 3 5
# It finishes the photos in hand.
TimeoutStopSec=120
# For passwords that alerts need, a line NAME=VALUE each.
EnvironmentFile=-%h/.config/trapsort/environment

[Install]
WantedBy=default.target
"""
REPORT_SERVICE = """\
# Writes the nightly reports once; trapsort-report.timer starts it.
[Unit]
Description=trapsort writes the nightly reports

[Service]
Type=oneshot
ExecStart={command}
"""
REPORT_TIMER = """\
# Every day, or as soon after that as the machine runs.
[Unit]
Description=trapsort writes the nightly reports

[Timer]
OnCalendar=*-*-* {at}:00
Persistent=true

[Install]
WantedBy=timers.target
"""


def systemd(plan: Plan) -> dict[str, str]:
    """Return a service for `watch`, and a service with its timer for the report."""
    units = {
        "trapsort-report.service": REPORT_SERVICE.format(command=systemd_line(plan.report)),
        "trapsort-report.timer": REPORT_TIMER.format(at=f"{plan.at:%H:%M}"),
    }
    if plan.watch:
        watch = WATCH_SERVICE.format(command=systemd_line(plan.watch))
        units = {"trapsort-watch.service": watch, **units}
    return units


def systemd_line(command: Sequence[str]) -> str:
    """Quote a command for ExecStart= (systemd.service(5), "Command lines")."""
    program, *arguments = (_checked(word).replace("%", "%%") for word in command)
    # Variables are replaced in the arguments, not in the program.
    words = [program, *(word.replace("$", "$$") for word in arguments)]
    return " ".join(map(_systemd_word, words))


def _systemd_word(word: str) -> str:
    if re.fullmatch(r"[\w@%+=:,./$-]+", word, re.ASCII):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


# cron -------------------------------------------------------------------------------------------

CRON_HEAD = """\
# Lines for `crontab -e`. A crontab has no log: see log_file in the settings.
"""


def cron(plan: Plan) -> dict[str, str]:
    """Return the lines of a crontab: `watch` at the start of the machine, the report by time."""
    lines = [CRON_HEAD]
    if plan.watch:
        lines.append(f"@reboot {cron_line(plan.watch)}\n")
    lines.append(f"{plan.at.minute} {plan.at.hour} * * * {cron_line(plan.report)}\n")
    return {"trapsort.crontab": "".join(lines)}


def cron_line(command: Sequence[str]) -> str:
    """Quote a command for the shell, and for cron, which ends a line at a bare percent sign.

    Raises:
        InputError: a backslash, which every cron reads differently.
    """
    for word in map(_checked, command):
        if "\\" in word:
            raise InputError(f"cron cannot hold the backslash in {word!r}", "rename the folder")
    return shlex.join(command).replace("%", "\\%")


# Windows ----------------------------------------------------------------------------------------

# Without an encoding: the file is UTF-16 with a byte order mark, as the Task Scheduler writes it.
TASK = """\
<?xml version="1.0"?>
<!-- schtasks /create /tn {name} /xml {name}.xml -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{description}</Description>
  </RegistrationInfo>
  <Triggers>
    {trigger}
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>{limit}</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>10</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{command}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""
LOGON = "<LogonTrigger><Enabled>true</Enabled></LogonTrigger>"
DAILY = (
    "<CalendarTrigger><StartBoundary>2026-01-01T{at}:00</StartBoundary>"
    "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay></CalendarTrigger>"
)


def windows(plan: Plan) -> dict[str, str]:
    """Return a task that watches from the log-on on, and one that writes the report by time."""
    daily = DAILY.format(at=f"{plan.at:%H:%M}")
    report = _task("trapsort-report", "writes the nightly reports", daily, "PT1H", plan.report)
    if not plan.watch:
        return report
    return {
        **_task("trapsort-watch", "takes in camera-trap cards", LOGON, "PT0S", plan.watch),
        **report,
    }


def _task(name: str, what: str, trigger: str, limit: str, command: Sequence[str]) -> dict[str, str]:
    for word in map(_checked, command):
        if re.search(r"%[^%]+%|\$\(", word):
            raise InputError(
                f"the Task Scheduler would replace a part of {word!r}", "rename the folder"
            )
    program, *arguments = command
    text = TASK.format(
        name=name,
        description=f"trapsort {what}",
        trigger=trigger,
        limit=limit,
        command=escape(program),
        arguments=escape(subprocess.list2cmdline(arguments)),
    )
    return {f"{name}.xml": text}


def _checked(word: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in word):
        raise InputError(f"no schedule can hold the control character in {word!r}", "rename it")
    return word


KINDS: dict[str, Callable[[Plan], dict[str, str]]] = {
    "systemd": systemd,
    "cron": cron,
    "windows": windows,
}
ENCODINGS = {".xml": "utf-16"}  # of files; all others are UTF-8


def write_schedule(files: dict[str, str], folder: Path) -> list[Path]:
    """Write the files, in place of those of these names; return their paths.

    Raises:
        InputError: the folder or a file cannot be written.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = folder / name
            path.write_bytes(text.encode(ENCODINGS.get(path.suffix, "utf-8")))
            paths.append(path)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}", "name another") from error
    return paths
