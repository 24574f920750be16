"""What leaves the machine: an event as JSON and as words, its place blurred, names harmless."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from trapsort.alert_rules import AlertRule, Smtp
from trapsort.alerts.events import PERSON, Event
from trapsort.blur import blurred, precision_for
from trapsort.errors import PhotoError
from trapsort.store.outbox import Find

LONGEST = 640
"""Pixels of the longer side of an attached photo."""

LISTED = 1000
"""Events that a digest lists at most; it says how many more there are."""

MOST_BYTES = 1 << 26  # of a photo that is attached


def plain(value: str) -> str:
    """Return text on one line without anything that a terminal, a mail or a chat would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)


def event_payload(
    rule: AlertRule, event: Event, *, precision: float, noticed: str
) -> dict[str, Any]:
    """Return an event as it leaves the machine, without the photo; coordinates on the grid."""
    best = event.best
    sighting = best.find.sighting
    identity = (rule.name, event.station, event.label, event.start, sighting.sha256)
    place: dict[str, float | None] = dict.fromkeys(("latitude", "longitude", "coordinatePrecision"))
    if sighting.latitude is not None and sighting.longitude is not None:
        north, east = blurred(sighting.latitude, sighting.longitude, precision)
        place = {"latitude": north, "longitude": east, "coordinatePrecision": precision or None}
    is_person = event.label == PERSON
    return {
        "id": identify(*identity),
        "kind": "alert",
        "rule": plain(rule.name),
        "label": plain(event.label),
        "scientific_name": "Homo sapiens" if is_person else plain(sighting.scientific_name),
        "iucn": None if is_person else sighting.iucn,
        "station": plain(event.station) or None,
        "deployment": plain(sighting.deployment or "") or None,
        "start": event.start or None,
        "end": event.end or None,
        "utc_offset": sighting.utc_offset,
        "photos": len(event.matches),
        "count": max(match.find.sighting.count or 1 for match in event.matches),
        "probability": None if sighting.reviewed else round(best.probability, 4),
        "reviewed": sighting.reviewed,
        **place,
        "photo": plain(sighting.path or ""),
        "noticed": noticed,
    }


def digest_payload(
    rule: AlertRule, listed: Sequence[Mapping[str, Any]], day: str, noticed: str
) -> dict[str, Any]:
    """Return one message in place of many events."""
    return {
        "id": identify(rule.name, "digest", day, *(str(event["id"]) for event in listed)),
        "kind": "digest",
        "rule": plain(rule.name),
        "day": day,
        "events": [dict(event) for event in listed[:LISTED]],
        "more": max(0, len(listed) - LISTED),
        "noticed": noticed,
    }


def identify(*parts: str) -> str:
    """Return the key by which a receiver knows a message that came twice, 32 hex digits."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def photo(find: Find) -> str | None:
    """Return the photo as JPEG in base64, `LONGEST` pixels and nothing but pixels.

    None where the file is not there any more, is another one by now, or cannot be decoded.
    """
    from trapsort.decode import view

    card, path = find.place
    try:
        with open(os.path.join(os.fsencode(card), path), "rb") as file:  # noqa: PTH118, PTH123
            data = file.read(MOST_BYTES)
        if hashlib.sha256(data).hexdigest() != find.sighting.sha256:
            return None
        picture = view(data, LONGEST)
    except (OSError, ValueError, PhotoError):
        return None
    from PIL import Image

    # Only the pixels: a comment of the original would come along with its picture.
    bare = Image.frombytes("RGB", picture.size, picture.tobytes())
    jpeg = io.BytesIO()
    bare.save(jpeg, "JPEG", quality=80)
    return base64.b64encode(jpeg.getvalue()).decode("ascii")


def body(leaving: Mapping[str, Any], jpeg: str | None) -> bytes:
    """Return what a command and a webhook get: JSON that is harmless inside HTML, too."""
    picture = {"type": "image/jpeg", "base64": jpeg} if jpeg else None
    text = json.dumps({**leaving, "attachment": picture})
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text.encode("ascii")


def title(leaving: Mapping[str, Any]) -> str:
    """'Rhino (NT-CR) at ridge, 2026-11-20 03:12:05'; of a digest how many events it lists."""
    if leaving["kind"] == "digest":
        events = len(leaving["events"]) + leaving["more"]
        return f"{events:,} more event{'s' * (events != 1)} of rule {leaving['rule']}"
    category = f" ({leaving['iucn']})" if leaving["iucn"] else ""
    station = f" at {leaving['station']}" if leaving["station"] else ""
    time = (leaving["start"] or "at an unknown time").replace("T", " ")
    return f"{leaving['label']}{category}{station}, {time}"


def words(leaving: Mapping[str, Any]) -> str:
    """Return a message as plain text, a line a fact."""
    if leaving["kind"] == "digest":
        more = [f"and {leaving['more']:,} more"] if leaving["more"] else []
        lines = [f"{title(leaving)}:", "", *map(title, leaving["events"]), *more]
        return "\n".join([*lines, "", f"message {leaving['id']}", ""])
    sure = (
        "named by a person"
        if leaving["reviewed"]
        else f"probability {leaving['probability'] or 0:.2f}"
    )
    photos = f"{leaving['photos']:,} photo{'s' * (leaving['photos'] != 1)}"
    lines = [title(leaving), f"{photos}, {sure}"]
    if leaving["scientific_name"]:
        lines.append(leaving["scientific_name"])
    if leaving["end"] != leaving["start"]:
        lines.append(f"until {leaving['end'].replace('T', ' ')}")
    if leaving["latitude"] is not None:
        precision = leaving["coordinatePrecision"]
        how = f"rounded to {precision:g} degrees" if precision else "exact"
        lines.append(f"{leaving['latitude']}, {leaving['longitude']} ({how})")
    return "\n".join(
        [*lines, f"{leaving['photo']}", "", f"rule {leaving['rule']}, message {leaving['id']}", ""]
    )


def mail(leaving: Mapping[str, Any], jpeg: str | None, smtp: Smtp, sent: datetime) -> EmailMessage:
    """Return a message as a plain-text mail, with the photo where there is one."""
    letter = EmailMessage()
    letter["Subject"] = f"trapsort: {title(leaving)}"
    letter["From"] = smtp.sender
    letter["To"] = ", ".join(smtp.to)
    letter["Date"] = format_datetime(sent)
    letter["Message-ID"] = f"<{leaving['id']}@trapsort.invalid>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(words(leaving))
    if jpeg:
        data = base64.b64decode(jpeg)
        letter.add_attachment(data, maintype="image", subtype="jpeg", filename="photo.jpg")
    return letter


def example(rule: AlertRule, now: datetime, *, precision: float | None = None) -> dict[str, Any]:
    """Return a made-up event that shows what messages of a rule look like."""
    chosen = precision if precision is not None else rule.precision
    degrees = precision_for("EN", chosen)
    north, east = blurred(-1.28712, 36.82194, degrees)
    time = now.astimezone().replace(microsecond=0, tzinfo=None).isoformat()
    return {
        "id": identify(rule.name, "test", now.isoformat()),
        "kind": "test",
        "rule": plain(rule.name),
        "label": "TEST of trapsort, no animal",
        "scientific_name": "",
        "iucn": None,
        "station": "TEST",
        "deployment": None,
        "start": time,
        "end": time,
        "utc_offset": None,
        "photos": 1,
        "count": 1,
        "probability": 1.0,
        "reviewed": False,
        "latitude": north,
        "longitude": east,
        "coordinatePrecision": degrees or None,
        "photo": "DCIM/TEST.JPG",
        "noticed": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
