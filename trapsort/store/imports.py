"""`Imports`: the part of `Store` about what other programs and people said of recorded photos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from trapsort.store import imported
from trapsort.store.engine import reading, writing
from trapsort.store.imported import ReviewRow, Told, Unnamed

if TYPE_CHECKING:
    from trapsort.ensemble import Prediction


class Imports:
    """What was said elsewhere, on the engine of a `Store`."""

    _engine: Engine

    def imported_model(self, name: str, source: str, profile: str = "") -> int:
        """Return the id of another program's model; `profile` is how its answers were read."""
        with writing(self._engine) as connection:
            return imported.add_imported_model(connection, name, source, profile)

    def tell(self, told: Sequence[Told]) -> int:
        """Record what imported models said of regions; return how much of it was new."""
        with writing(self._engine) as connection:
            return imported.add_told(connection, told)

    def answer(self, model_id: int, answers: Mapping[int, Prediction]) -> None:
        """Record what a bundle says of boxes (region ids)."""
        with writing(self._engine) as connection:
            imported.add_answers(connection, model_id, answers)

    def import_reviews(self, rows: Sequence[ReviewRow]) -> int:
        """Append what people said, unless it is there already; return how much was new."""
        with writing(self._engine) as connection:
            return imported.add_reviews(connection, rows)

    def photos_at(self, wanted: Mapping[int, Iterable[bytes]]) -> dict[tuple[int, bytes], set[int]]:
        """Return the photos at these paths of these cards (ids), superseded ones left out."""
        with reading(self._engine) as connection:
            return imported.find_photos_at(connection, wanted)

    def photo_ids(self, sha256s: Iterable[bytes]) -> dict[bytes, int]:
        """Return the ids of those contents that are recorded and not superseded."""
        with reading(self._engine) as connection:
            return imported.find_photo_ids(connection, sha256s)

    def whereabouts(self, photo_ids: Iterable[int]) -> dict[int, tuple[str, str, str | None]]:
        """Return card, path on it and the camera's serial number of photos, as first seen."""
        with reading(self._engine) as connection:
            return imported.find_whereabouts(connection, photo_ids)

    def unnamed(
        self, photo_ids: Iterable[int], model_id: int, detector_id: int, least: float
    ) -> list[Unnamed]:
        """Return the boxes in which a detector saw an animal that a model has said nothing of."""
        with reading(self._engine) as connection:
            return imported.find_unnamed(connection, photo_ids, model_id, detector_id, least)

    def labels(self) -> set[str]:
        """Return every label that a person or a model has given in this record."""
        with reading(self._engine) as connection:
            return imported.find_labels(connection)
