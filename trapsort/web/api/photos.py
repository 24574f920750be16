"""`/photos`: one photo, its pictures, where the model looked; and `/classify`, which keeps none."""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, UploadFile
from fastapi.responses import Response

from trapsort.errors import PhotoError
from trapsort.web import shown
from trapsort.web.answers import BIGGEST, Classified, PhotoDetail, Refusal
from trapsort.web.errors import NotFoundError, RejectedError
from trapsort.web.originals import find_original, heatmap, picture, png
from trapsort.web.shared import Held
from trapsort.web.thumbnails import jpeg

router = APIRouter()

PhotoId = Annotated[int, Path(ge=1, le=BIGGEST)]
Known = Annotated[str, Header(alias="If-None-Match")]


def _kind(kind: str) -> dict[int | str, dict[str, object]]:
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {
        200: {"content": {kind: schema}, "description": "The picture"},
        304: {"description": "The picture that you have is still the same"},
        404: {"model": Refusal, "description": "Neither the photo nor a picture of it is at hand"},
    }


@router.get("/photos/{photo_id}")
def photo(shared: Held, photo_id: PhotoId) -> PhotoDetail:
    """Say all that is known of a photo."""
    found = shared.store.desk.detail(photo_id, shared.red_list.name)
    if found is None:
        raise NotFoundError(f"there is no photo {photo_id}", "take an id that `sightings` shows")
    return shown.photo(found, shared.red_list)


@router.get("/photos/{photo_id}/image", response_class=Response, responses=_kind("image/jpeg"))
def image(
    shared: Held, photo_id: PhotoId, size: Literal["256", "1280"] = "1280", known: Known = ""
) -> Response:
    """Return the photo upright, its longer side at most `size` pixels."""
    original = find_original(shared, photo_id)
    tag = f'"{original.sha256}-{size}"'
    if known == tag:
        return Response(status_code=304, headers=_kept(tag))
    made, is_whole = picture(shared, original, int(size))
    # What stands in for the photo while its card is gone has no tag: it is asked for again.
    headers = _kept(tag) if is_whole else {"Cache-Control": "no-store"}
    return Response(made, 200, headers, "image/jpeg")


@router.get("/photos/{photo_id}/heatmap", response_class=Response, responses=_kind("image/png"))
def heat(shared: Held, photo_id: PhotoId) -> Response:
    """Return the photo with what spoke for its most probable label over it, as large as 1280."""
    return Response(heatmap(shared, find_original(shared, photo_id)), media_type="image/png")


@router.post("/classify")
def classify(shared: Held, photo: UploadFile) -> Classified:
    """Say what one photo shows. Nothing of it is stored."""
    from trapsort.explain import look, overlaid

    data = photo.file.read()
    classifier = shared.classifier()
    try:
        with shared.one_at_a_time:
            seen = look(data, classifier)
    except PhotoError as error:
        raise RejectedError("that is no photo that can be read", error.detail) from error
    said, listed = seen.prediction, shared.red_list
    return Classified(
        name=photo.filename or "",
        label=said.label,
        probability=said.probability,
        reason=said.reason,
        reason_text=shown.reason_text(said.reason),
        explained=seen.explained,
        top=shown.shares(said.top),
        members=shown.votes(said.members),
        species=listed.scientific_name(said.label),
        iucn=shown.iucn(said.label, listed),
        look_alike=shown.look_alike(said.top, said.label, listed),
        width=seen.size[0],
        height=seen.size[1],
        model=classifier.bundle.model_name,
        preview=base64.b64encode(jpeg(seen.photo)).decode(),
        heatmap=base64.b64encode(png(overlaid(seen.photo, seen.heat))).decode(),
    )


def _kept(tag: str) -> dict[str, str]:
    """A browser keeps a picture and asks whether it is still the same: ids are of one record."""
    return {"ETag": tag, "Cache-Control": "private, no-cache"}
