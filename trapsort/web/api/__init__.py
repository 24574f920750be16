"""`/api/v1`: one module for each kind of thing that can be asked."""

from __future__ import annotations

from fastapi import APIRouter

from trapsort.web.api import overview, photos, reviews, sightings
from trapsort.web.errors import REFUSALS

router = APIRouter(prefix="/api/v1", responses=REFUSALS)
for part in (sightings, photos, reviews, overview):
    router.include_router(part.router)
