"""Pictures of a recorded photo: from its file where that is still there, else from the cache.

Which file that is says the record alone; nothing that a request holds becomes a path.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.errors import InputError, PhotoError
from trapsort.fingerprint import read_content
from trapsort.scan import Photo
from trapsort.store.details import Original
from trapsort.urls import is_url, status_of, url_of
from trapsort.web.errors import NotFoundError
from trapsort.web.shared import Shared
from trapsort.web.thumbnails import LARGE, PREVIEW

if TYPE_CHECKING:
    from PIL.Image import Image


def read_original(original: Original) -> bytes | None:
    """Return a photo's bytes from one of its places; None where no file there holds them."""
    for root, relative in original.places:
        with suppress(OSError, ValueError, PhotoError, InputError):
            content = read_content(_photo(root, relative))
            if content.sha256.hex() == original.sha256:
                return content.data
    return None


def _photo(root: str, relative: bytes) -> Photo:
    """Return a file of a card as a scan would find it now; a card may be a folder that has a URL.

    Raises `OSError`, and `InputError` for a URL that cannot be opened here.
    """
    if is_url(root):
        card = url_of(root)
        url = card / os.fsdecode(relative)
        found = status_of(url)
        return Photo(card, url, relative, found.size, found.mtime_ns, found.version)
    path = Path(root, os.fsdecode(relative))
    status = path.lstat()
    return Photo(Path(root), path, relative, status.st_size, status.st_mtime_ns)


def find_original(shared: Shared, photo_id: int) -> Original:
    """Return content and places of a photo; raises `NotFoundError` where there is none."""
    found = shared.store.desk.original(photo_id)
    if found is None:
        raise NotFoundError(f"there is no photo {photo_id}", "take an id that `sightings` shows")
    return found


def picture(shared: Shared, original: Original, size: int) -> tuple[bytes, bool]:
    """Return a photo as JPEG, and whether that is as good as it gets.

    It is not where the card is gone and only a preview was kept. Raises `NotFoundError` where
    neither file nor cache has a picture.
    """
    shared.note_request()
    try:
        made = shared.thumbnails.make(original.sha256, size, partial(read_original, original))
    except PhotoError as error:
        raise NotFoundError("the photo cannot be shown", error.detail) from error
    if made is not None:
        return made, True
    kept = shared.thumbnails.get(original.sha256, PREVIEW)
    if kept is None:
        raise _gone(original)
    return kept, False


def heatmap(shared: Shared, original: Original) -> bytes:
    """Return a photo with what spoke for its most probable label over it, as PNG.

    Without the card the map is that of the picture in the cache, which is nearly the same.

    Raises:
        NotFoundError: there is neither.
        BundleError: there is no model to ask.
    """
    from trapsort.explain import look, overlaid

    kind = f"{shared.bundle().digest[:16]}-heat.png"
    kept = shared.thumbnails.get(original.sha256, kind)
    if kept is not None:
        return kept
    data = read_original(original)
    for kept_kind in (LARGE, PREVIEW):
        data = data or shared.thumbnails.get(original.sha256, kept_kind)
    if data is None:
        raise _gone(original)
    try:
        with shared.one_at_a_time:
            seen = look(data, shared.classifier())
            made = png(overlaid(seen.photo, seen.heat))
    except PhotoError as error:
        raise NotFoundError("the photo cannot be shown", error.detail) from error
    shared.thumbnails.put(original.sha256, kind, made)
    return made


def png(picture: Image) -> bytes:
    """Return a picture as PNG, made quickly."""
    made = io.BytesIO()
    picture.save(made, format="PNG", compress_level=1)
    return made.getvalue()


def _gone(original: Original) -> NotFoundError:
    where = original.places[0][0] if original.places else "a card"
    return NotFoundError(
        "the photo is not at hand, and no picture of it was kept",
        f"put the card back that was at {where}",
    )
