"""`/reviews`: what people decide, and take back; `/labels`: what they may say."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from trapsort.errors import BundleError
from trapsort.interchange.read_reviews import PERSON, UNDECIDED, Labels
from trapsort.store.reviewing import ConflictError
from trapsort.web import shown
from trapsort.web.answers import Conflict, Decided, Decision, Kind, Label, Made, Undo, Undone
from trapsort.web.errors import RejectedError
from trapsort.web.shared import Held, Shared

router = APIRouter()

OTHERS = {"blank": "b", PERSON: "p", "vehicle": None, "other_animal": None}
"""Labels that are no species, and the key of each."""

NUMBERS = "123456789"


@router.post(
    "/reviews",
    response_model=Decided,
    responses={409: {"model": Conflict, "description": "Somebody was faster"}},
)
def review(shared: Held, said: Decision) -> Decided | JSONResponse:
    """Say what photos show: all of it is written, or, where somebody was faster, nothing."""
    if set(said.seen) != set(said.photos):
        raise RejectedError(
            "`seen` does not name the same photos as `photos`",
            "send the `review_id` of each photo as it was shown, null for none",
        )
    label = None if said.label is None else _label(shared, said.label, any_other=said.new_label)
    seen = {photo: said.seen[photo] for photo in said.photos}
    reviewer = said.reviewer.strip() or shared.config.reviewer
    try:
        made = shared.store.desk.decide(
            seen, label, count=said.count, reviewer=reviewer, note=said.note
        )
    except ConflictError as error:
        now = shared.store.desk.some(error.photo_ids, shared.red_list.name)
        conflict = Conflict(
            error=error.message,
            hint=error.hint,
            sightings=shown.sightings(now, shared.red_list),
        )
        return JSONResponse(conflict.model_dump(mode="json"), 409)
    return Decided(reviews=[Made(photo=photo, review_id=n) for photo, n in made.items()])


@router.post("/reviews/undo")
def undo(shared: Held, wanted: Undo) -> Undone:
    """Take reviews back; what was in force before them is in force again."""
    reviewer = wanted.reviewer.strip() or shared.config.reviewer
    photos = shared.store.desk.undo(wanted.reviews, reviewer=reviewer)
    now = shared.store.desk.some(photos, shared.red_list.name)
    return Undone(sightings=shown.sightings(now, shared.red_list))


@router.get("/labels")
def labels(shared: Held) -> list[Label]:
    """List what a reviewer may say: species, what is no species, and that nobody can tell.

    The keys 1 to 9 are those of the species that people gave most often when the server started.
    """
    used = shared.store.desk.uses()
    species = sorted({*_species(shared), *used} - {*OTHERS, *UNDECIDED}, key=str.casefold)

    def choose() -> dict[str, str]:
        often = sorted(species, key=lambda name: -used.get(name, 0))[: len(NUMBERS)]
        return dict(zip(sorted(often, key=str.casefold), NUMBERS, strict=False))

    keys = shared.keys(choose)
    every: tuple[tuple[str, Kind, str | None], ...] = (
        *((name, "species", keys.get(name)) for name in species),
        *((name, "other", key) for name, key in OTHERS.items()),
        ("unknown", "unknown", "u"),
    )
    return [
        Label(
            label=None if kind == "unknown" else name,
            name=name,
            kind=kind,
            key=key,
            species=shared.red_list.scientific_name(name),
            iucn=shown.iucn(name, shared.red_list),
            used=used.get(name, 0),
        )
        for name, kind, key in every
    ]


def _species(shared: Shared) -> tuple[str, ...]:
    """Return the species of the model and of the Red List; a page works without a model, too."""
    try:
        model = shared.bundle().species
    except BundleError:
        model = ()
    return (*model, *shared.red_list.entries)


def _label(shared: Shared, text: str, *, any_other: bool) -> str | None:
    known = Labels((*_species(shared), *shared.store.desk.uses()), any_other=any_other)
    try:
        return known.label(text)
    except ValueError as error:
        raise RejectedError(
            str(error), "send `new_label`: true to use a label for the first time"
        ) from error
