"""Files for other programs: one module a format, which offers `export`."""

from __future__ import annotations

from types import ModuleType

from trapsort.interchange import (
    camtrap_dp,
    camtrapr,
    darwin_core,
    geojson,
    keywords,
    megadetector,
    timelapse,
    xlsx,
)
from trapsort.interchange.exported import Exported

__all__ = ["FORMATS", "Exported"]

FORMATS: dict[str, ModuleType] = {
    "camtrap-dp": camtrap_dp,
    "megadetector": megadetector,
    "timelapse": timelapse,
    "darwin-core": darwin_core,
    "camtrapr": camtrapr,
    "geojson": geojson,
    "keywords": keywords,
    "xlsx": xlsx,
}
