"""A bundle made to fit a place: a site profile's thresholds and temperature, and a known taxon.

A profile is a small TOML file that `trapsort evaluate --fit-thresholds` writes. Either makes
another model of the bundle: its predictions are kept beside those of the bundle as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trapsort.bundle import Bundle
from trapsort.errors import InputError

TEMPERATURES = (0.2, 5.0)
"""Least and greatest temperature: what is beyond is no calibration but a broken bundle."""

_NAME = re.compile(r"\w[\w .-]{0,79}")
_SHOWN = 40  # names of a taxon that an error lists
_AGAIN = "Write it anew with trapsort evaluate --fit-thresholds."


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a site changes of a bundle; None leaves the bundle's own.

    name: as predictions carry it; bundle, digest: name-version and digest of the bundle that it was
    fitted on; temperature: what the logits are divided by; the others as in `Decision`.
    """

    name: str
    bundle: str
    digest: str
    temperature: float = 1.0
    min_probability: float | None = None
    min_agreement: int | None = None
    max_distance: float | None = None
    max_other: tuple[float, ...] | None = None


def check_name(name: str) -> None:
    """Raise `InputError` for what cannot name a profile; `+` and `=` join it with a taxon."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a profile.",
            "Use 1 to 80 letters, digits, spaces, dots, hyphens and underscores.",
        )


def _number(low: float, high: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return parse


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number from 0")
    return value


def _numbers(value: object) -> tuple[float, ...]:
    try:
        return tuple(map(_number(0, 1), value if isinstance(value, list) else [value]))
    except ValueError as error:
        raise ValueError("a list of numbers from 0 to 1, one a species") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text")
    return value


# Place in the file -> field of `Profile` and what reads it; what stands in no table comes first.
_KEYS: dict[tuple[str, str], tuple[str, Callable[[object], object]]] = {
    ("", "name"): ("name", _text),
    ("", "temperature"): ("temperature", _number(*TEMPERATURES)),
    ("bundle", "name"): ("bundle", _text),
    ("bundle", "digest"): ("digest", _text),
    ("decision", "min_probability"): ("min_probability", _number(0, 1)),
    ("decision", "min_agreement"): ("min_agreement", _whole),
    ("decision", "max_distance"): ("max_distance", _number(1e-9, 1e9)),
    ("decision", "max_other"): ("max_other", _numbers),
}
_REQUIRED = (("", "name"), ("bundle", "name"), ("bundle", "digest"))


def read_profile(path: Path) -> Profile:
    """Read a profile's file; raises `InputError` naming the key that cannot be used."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"The profile {path} cannot be read: {error.strerror}.", "Check --profile."
        ) from error
    except ValueError as error:  # also bytes that are not UTF-8
        raise InputError(f"The profile {path} is not valid TOML: {error}.", _AGAIN) from error
    values = _flat(table)
    for place in values:
        if place not in _KEYS:
            known = ", ".join(map(_dotted, _KEYS))
            raise InputError(f"{path}: unknown key {_dotted(place)}.", f"It may hold: {known}.")
    for place in _REQUIRED:
        if place not in values:
            raise InputError(f"{path}: {_dotted(place)} is missing.", _AGAIN)
    fields: dict[str, Any] = {}
    for place, value in values.items():
        field, parse = _KEYS[place]
        try:
            fields[field] = parse(value)
        except ValueError as error:
            message = f"{path}: {_dotted(place)} must be {error}, not {value!r}."
            raise InputError(message, "Correct it there.") from None
    check_name(fields["name"])
    return Profile(**fields)


def _flat(table: Mapping[str, Any]) -> dict[tuple[str, str], object]:
    flat: dict[tuple[str, str], object] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= {(key, inner): each for inner, each in value.items()}
        else:
            flat["", key] = value
    return flat


def _dotted(place: tuple[str, str]) -> str:
    return ".".join(filter(None, place))


def profile_text(profile: Profile, comment: str = "") -> str:
    """Return a profile's file, the comment's lines first; `read_profile` reads the same from it."""
    lines = [f"# {line}" for line in comment.splitlines()]
    table = ""
    values = asdict(profile)
    for (home, key), (field, _) in _KEYS.items():
        if values[field] is not None:
            if home != table:
                lines += ["", f"[{home}]"]
                table = home
            lines.append(f"{key} = {json.dumps(values[field], ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def apply_profile(profile: Profile, bundle: Bundle) -> Bundle:
    """Return a bundle with a profile in force.

    Raises:
        InputError: it was fitted on another bundle, or sets what this one does not have.
    """
    if profile.digest != bundle.digest:
        was = f"{profile.bundle} (digest {profile.digest[:12]})"
        now = f"{bundle.model_name} (digest {bundle.digest[:12]})"
        raise InputError(
            f"The profile {profile.name!r} was fitted on {was}, not on {now}.",
            f"Choose --bundle {profile.bundle}, or fit a profile for this bundle.",
        )
    rule = bundle.decision
    for fault, found in {
        f"min_agreement above the {len(bundle.members)} members": (profile.min_agreement or 0)
        > len(bundle.members),
        "max_distance, but the bundle has no test of novelty": profile.max_distance is not None
        and rule.centroids is None,
        "max_other, but the bundle has no witness": profile.max_other is not None
        and rule.max_other is None,
        "max_other that is not one limit a species": profile.max_other is not None
        and len(profile.max_other) != len(bundle.species),
    }.items():
        if found:
            raise InputError(
                f"The profile {profile.name!r} sets {fault}.", "Correct or remove it there."
            )

    changes: dict[str, Any] = {
        field: getattr(profile, field)
        for field in ("min_probability", "min_agreement", "max_distance")
        if getattr(profile, field) is not None
    }
    if profile.max_other is not None:
        changes["max_other"] = np.array(profile.max_other, np.float32)
    decision = replace(rule, **changes)
    settings = {k: v for k, v in asdict(profile).items() if k not in ("bundle", "digest")}
    content = json.dumps(settings, sort_keys=True)
    changed = replace(bundle, decision=decision, temperature=profile.temperature)
    return _changed(changed, profile.name, content)


def with_taxon(bundle: Bundle, taxon: str) -> Bundle:
    """Return a bundle that finds species outside a taxon, like `phylum=Chordata`, impossible.

    Labels that are no species are left alone. A species of which the bundle does not know the rank
    counts as outside.

    Raises:
        InputError: the bundle knows no such rank or name; it lists what there is.
    """
    rank, _, name = (part.strip() for part in taxon.partition("="))
    if not bundle.taxonomy:
        raise InputError(f"{bundle.model_name} has no taxonomy.", "Leave out --taxon.")
    ranks = {label: bundle.taxonomy.get(label, {}) for label in bundle.species}
    names = sorted({each[rank] for each in ranks.values() if rank in each})
    if not names:
        known = ", ".join(sorted({key for each in ranks.values() for key in each}))
        raise InputError(
            f"{bundle.model_name} knows no rank {rank!r}.",
            f"Choose RANK=NAME with one of: {known}.",
        )
    spelt = next((each for each in names if each.casefold() == name.casefold()), None)
    if spelt is None:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise InputError(
            f"{bundle.model_name} knows no {rank} {name!r}.",
            f"Choose one of: {', '.join(names[:_SHOWN])}{more}.",
        )
    outside = frozenset(label for label, each in ranks.items() if each.get(rank) != spelt)
    taxon = f"{rank}={spelt}"
    return _changed(replace(bundle, masked=outside), taxon, taxon)


def _changed(bundle: Bundle, name: str, content: str) -> Bundle:
    """Name what changed a bundle, and give it the digest of both together."""
    own = hashlib.sha256(content.encode()).hexdigest()
    both = hashlib.sha256((bundle.digest + own).encode()).hexdigest()
    return replace(bundle, profile="+".join(filter(None, (bundle.profile, name))), digest=both)
