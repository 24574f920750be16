"""What leaves the machine lies on a grid as coarse as the most threatened category asks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapsort.blur import EXACT, blurred, parsed_precision, precision_for
from trapsort.errors import InputError


@pytest.mark.parametrize(
    ("category", "degrees"),
    [
        ("EX", 0.1),
        ("EW", 0.1),
        ("CR", 0.1),
        ("EN", 0.1),
        ("VU", 0.01),
        ("NT", 0.001),
        ("LC", 0.001),
        ("NT-CR", 0.1),
        ("NT-VU", 0.01),
        ("EN-CR", 0.1),
        ("LC-NT", 0.001),
        ("DD", 0.01),
        ("NE", 0.01),
        (None, 0.01),
        ("no category", 0.01),
    ],
)
def test_the_most_threatened_category_decides(category: str | None, degrees: float) -> None:
    assert precision_for(category, None) == degrees


@pytest.mark.parametrize("chosen", [EXACT, 0.25, 1.0])
def test_what_is_chosen_comes_first(chosen: float) -> None:
    assert precision_for("CR", chosen) == chosen


@pytest.mark.parametrize(
    ("place", "precision", "expected"),
    [
        ((-1.28712, 36.82194), 0.1, (-1.3, 36.8)),
        ((-1.28712, 36.82194), 0.01, (-1.29, 36.82)),
        ((-1.28712, 36.82194), 0.001, (-1.287, 36.822)),
        ((-1.28712, 36.82194), 0.25, (-1.25, 36.75)),
        ((-1.28712, 36.82194), EXACT, (-1.28712, 36.82194)),
        ((-0.04, 0.04), 0.1, (0.0, 0.0)),
        ((89.99, 179.99), 0.1, (90.0, 180.0)),
        ((-90.0, -180.0), 7.0, (-84.0, -175.0)),
        ((1e-7, -1e-7), 0.001, (0.0, 0.0)),
    ],
)
def test_places_are_rounded_to_the_grid(
    place: tuple[float, float], precision: float, expected: tuple[float, float]
) -> None:
    result = blurred(*place, precision)
    assert result == expected
    assert precision == EXACT or all(math.copysign(1, part) > 0 or part < 0 for part in result)


@given(
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.sampled_from([0.001, 0.01, 0.1, 0.25, 0.3, 1.0, 7.0]),
)
def test_a_blurred_place_is_near_on_the_globe_and_stays(
    latitude: float, longitude: float, precision: float
) -> None:
    north, east = blurred(latitude, longitude, precision)
    assert blurred(north, east, precision) == (north, east)
    assert abs(north) <= 90 and abs(east) <= 180
    step = precision if abs(latitude) > 80 else precision / 2  # the last line may miss the pole
    assert abs(north - latitude) <= step + 1e-9
    assert abs(east - longitude) <= precision + 1e-9
    decimals = len(repr(precision).partition(".")[2])
    assert round(north, decimals) == north and round(east, decimals) == east


@pytest.mark.parametrize("place", [(math.nan, 0.0), (0.0, math.inf)])
def test_what_is_no_place_is_said(place: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no place to blur"):
        blurred(*place, 0.1)


@pytest.mark.parametrize(("text", "degrees"), [("0.1", 0.1), ("NONE", 0.0), (" none ", 0.0)])
def test_the_option_takes_degrees_or_none(text: str, degrees: float) -> None:
    assert parsed_precision(text) == degrees


@pytest.mark.parametrize("text", ["0", "-0.1", "91", "nan", "inf", "1 km", ""])
def test_the_option_takes_nothing_else(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed_precision(text)
    assert str(caught.value) == (
        f"--precision must be degrees above 0, at most 90, or none, not {text!r}\n"
        "0.1 is about 10 km, 0.01 about 1 km; none gives the exact place away"
    )
