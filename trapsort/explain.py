"""Where in a photo the ensemble looked: Grad-CAM from the graph's own maps, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from trapsort.abstentions import REASON_CODES, UNCLASSIFIED
from trapsort.decode import decode, view
from trapsort.ensemble import Classifier, Prediction

LONGEST = 1280
"""Pixels of the longer side of the picture that is drawn on."""

# Matplotlib's "inferno" at even steps (van der Walt and Smith, CC0), from black to pale yellow.
_INFERNO = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51),
    (249, 140, 10), (249, 201, 50), (252, 255, 164),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """What the ensemble says of a photo, and where it looked.

    photo: upright RGB, its longer side at most `LONGEST`, size: of the upright original;
    prediction, explained, heat: as in `Explanation`.
    """

    photo: Image.Image
    size: tuple[int, int]
    prediction: Prediction
    explained: str
    heat: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A photo with its heat map, and what was said of it.

    picture: RGB, the photo with the map over it and a caption below; prediction: what the bundle
    says; explained: the label whose evidence the map shows, the most probable one; heat: float32
    (height, width) of the map in 0..1.
    """

    picture: Image.Image
    prediction: Prediction
    explained: str
    heat: NDArray[np.float32]


def heat_map(maps: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    """Mean over members of each member's evidence for a label, float32 (height, width), 0..1.

    maps: (members, labels, height, width) of one photo, pre-softmax. Negative evidence is cut off
    (the ReLU of Selvaraju et al. 2017) and each member scaled to its own maximum, so that a member
    with large logits does not drown the others.
    """
    evidence = np.maximum(maps[:, label], 0)
    strongest = evidence.max(axis=(1, 2), keepdims=True)
    heat = (evidence / np.where(strongest > 0, strongest, 1)).mean(axis=0)
    peak = heat.max()
    scaled: NDArray[np.float32] = heat / peak if peak > 0 else heat
    return scaled


def explain(data: bytes, classifier: Classifier) -> Explanation:
    """Classify a photo's bytes and draw what spoke for the most probable label.

    Raises `PhotoError` where the photo cannot be decoded.
    """
    seen = look(data, classifier)
    picture = overlaid(seen.photo, seen.heat)
    captioned = _captioned(picture, seen.prediction, seen.explained)
    return Explanation(captioned, seen.prediction, seen.explained, seen.heat)


def look(data: bytes, classifier: Classifier) -> Look:
    """Classify a photo's bytes, and find what spoke for the most probable label.

    Raises `PhotoError` where the photo cannot be decoded.
    """
    frame = decode(data, classifier.bundle.size)
    prediction = classifier.classify([frame])[0]
    explained = prediction.top[0][0] if prediction.top else classifier.bundle.labels[0]
    maps = classifier.session.maps(frame.model_input[None])[0]
    heat = heat_map(maps, classifier.bundle.labels.index(explained))
    size = frame.width, frame.height
    return Look(view(data, LONGEST), size, prediction, explained, heat)


def overlaid(photo: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """The photo, greyed where nothing spoke for the label and coloured where much did."""
    spread = Image.fromarray(heat).resize(photo.size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(spread), 0, 1)[..., None]
    steps = np.linspace(0, 1, len(_INFERNO))
    colours = np.array(_INFERNO, np.float32)
    colour = np.stack(
        [np.interp(strength[..., 0], steps, colours[:, c]) for c in range(3)], axis=-1
    )
    mixed = np.asarray(photo) * (1 - 0.6 * strength) + colour * 0.6 * strength
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def caption(prediction: Prediction, explained: str) -> str:
    """What is written below the picture."""
    if prediction.probability is None or prediction.reason == UNCLASSIFIED:
        return REASON_CODES[UNCLASSIFIED]
    sure = f"{prediction.probability:.1%}"
    if prediction.label is not None:
        return f"{prediction.label}, probability {sure}; warm colours: what spoke for it"
    reason = REASON_CODES[str(prediction.reason)]
    return f"unknown: {reason} (most probable: {explained}, {sure})"


def _captioned(picture: Image.Image, prediction: Prediction, explained: str) -> Image.Image:
    size = max(14, picture.width // 45)
    height = size * 2
    canvas = Image.new("RGB", (picture.width, picture.height + height), (20, 20, 20))
    canvas.paste(picture, (0, 0))
    draw = ImageDraw.Draw(canvas)
    text = caption(prediction, explained)
    while size > 9 and draw.textlength(text, font_size=size) > picture.width - size:
        size -= 1
    middle = picture.height + height // 2
    draw.text((size // 2, middle), text, fill=(240, 240, 240), anchor="lm", font_size=size)
    return canvas
