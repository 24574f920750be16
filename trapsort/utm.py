"""Universal Transverse Mercator coordinates as degrees, on the WGS 84 ellipsoid."""

from __future__ import annotations

import math
import re

from trapsort.errors import InputError

EQUATOR_METRES = 6_378_137.0
FLATTENING = 1 / 298.257223563
SCALE = 0.9996
FALSE_EASTING = 500_000.0
FALSE_NORTHING = 10_000_000.0  # of the southern hemisphere


def from_utm(easting: float, northing: float, zone: str) -> tuple[float, float]:
    """Return latitude and longitude in degrees of a point in metres; `zone` is like 50N or 23S.

    Krüger's series to the third power of n, right to a millimetre (Kawase 2011, "A general formula
    for calculating meridian arc length and its application to coordinate conversion in the
    Gauss-Krüger projection").

    Raises:
        InputError: there is no such zone.
    """
    found = re.fullmatch(r"(\d{1,2})\s*([NS])", zone.strip().upper())
    if found is None or not 1 <= int(found[1]) <= 60:
        raise InputError(
            f"there is no UTM zone {zone}", "write its number and hemisphere, as 50N or 23S"
        )
    n = FLATTENING / (2 - FLATTENING)
    radius = SCALE * EQUATOR_METRES / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    north = northing - (FALSE_NORTHING if found[2] == "S" else 0.0)
    xi, eta = north / radius, (easting - FALSE_EASTING) / radius
    beta = (
        n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96,
        n**2 / 48 + n**3 / 15,
        17 * n**3 / 480,
    )
    delta = (2 * n - 2 * n**2 / 3 - 2 * n**3, 7 * n**2 / 3 - 8 * n**3 / 5, 56 * n**3 / 15)
    xi_, eta_ = xi, eta
    for j, value in enumerate(beta, start=1):
        xi_ -= value * math.sin(2 * j * xi) * math.cosh(2 * j * eta)
        eta_ -= value * math.cos(2 * j * xi) * math.sinh(2 * j * eta)
    conformal = math.asin(math.sin(xi_) / math.cosh(eta_))
    latitude = conformal + sum(
        value * math.sin(2 * j * conformal) for j, value in enumerate(delta, start=1)
    )
    meridian = int(found[1]) * 6 - 183
    longitude = meridian + math.degrees(math.atan2(math.sinh(eta_), math.cos(xi_)))
    return math.degrees(latitude), longitude
