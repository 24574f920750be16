"""Species accumulation: how many species so many sampling units hold on average."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trapsort.errors import InputError

UNITS = ("station-day", "station", "day")
NOISE = 1e-14  # a variance below this is what sums of some ten species round to, not one


def incidence(records: pd.DataFrame, *, unit: str = "station-day") -> pd.DataFrame:
    """Sampling unit (index) by species: whether it was recorded there; units with records only.

    Raises:
        InputError: there is no such unit.
    """
    if unit not in UNITS:
        raise InputError(f"{unit} is no sampling unit", f"choose from {', '.join(UNITS)}")
    day = records["time"].dt.strftime("%Y-%m-%d")
    units = {"station": records["station"], "day": day}
    named = units.get(unit, records["station"] + " " + day)
    return pd.crosstab(named.rename("unit"), records["species"]) > 0


def exact(found: pd.DataFrame, *, units: int | None = None) -> pd.DataFrame:
    """Expected number of species in 1, 2, ... units: columns `sites`, `richness` and `sd`.

    The mean over all orders of the units (Mao Tau; Colwell et al. 2004) with the standard deviation
    that the units at hand condition, as vegan's specaccum(method = "exact") has them. `found` is
    unit by species, anything above 0 counting as found. `units` adds empty units up to that number.
    """
    there = found.to_numpy() > 0
    if units is not None:
        there = np.pad(there, ((0, max(0, units - len(there))), (0, 0)))
    there = there[:, there.any(axis=0)]
    total, frequency = len(there), there.sum(axis=0)
    sites = np.arange(1, total + 1)
    missed = _missed(total, frequency)
    spread = np.sqrt(missed * (1 - missed))
    with np.errstate(invalid="ignore", divide="ignore"):
        together = np.atleast_2d(np.corrcoef(there.T.astype(float))) if there.size else np.eye(0)
    together = np.nan_to_num(together)
    np.fill_diagonal(together, 1.0)
    variance = np.einsum("is,st,it->i", spread, together, spread, optimize=True)
    variance[variance < NOISE] = 0
    return pd.DataFrame(
        {
            "sites": sites,
            "richness": (1 - missed).sum(axis=1),
            "sd": np.sqrt(variance),
        }
    )


def _missed(total: int, frequency: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability, units drawn by species, that a species with that frequency is in none of them.

    The next unit drawn misses it with the share that units without it have in those left.
    """
    drawn = np.arange(total)[:, None]
    left = np.maximum(total - frequency - drawn, 0) / (total - drawn)
    return np.cumprod(left, axis=0)
