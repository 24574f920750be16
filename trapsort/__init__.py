"""trapsort: camera-trap cards in, sightings that a biologist can defend out."""

__version__ = "1.0.0"
