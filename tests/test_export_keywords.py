"""Keywords: XMP that others read, and copies whose pixels stay."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.export_record import Sample, export, jpeg, sample_in
from trapsort.errors import InputError
from trapsort.interchange.keywords import MOST_BYTES, RDF, SPACES, packet, with_xmp

SPECIES = {
    "dc:subject": ["Lion", "Panthera leo"],
    "lr:hierarchicalSubject": ["Species|Lion"],
    "digiKam:TagsList": ["Species/Lion"],
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A record that no test changes."""
    return sample_in(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def own(tmp_path: Path) -> Sample:
    """A record for a test that changes it."""
    return sample_in(tmp_path)


def read(xmp: bytes) -> dict[str, list[str | None]]:
    """Keywords of a packet, by element."""
    about = ElementTree.fromstring(xmp).find(f"{{{RDF}}}RDF/{{{RDF}}}Description")  # noqa: S314
    assert about is not None
    short = {f"{{{uri}}}": f"{prefix}:" for prefix, uri in SPACES.items()}
    found = {}
    for element in about:
        space, name = element.tag.split("}")
        found[short[space + "}"] + name] = [item.text for item in element.iter(f"{{{RDF}}}li")]
    return found


def embedded(path: Path) -> bytes:
    with Image.open(path) as image:
        data = image.info["xmp"]
    assert isinstance(data, bytes)
    return data


def test_sidecars_stand_where_the_photos_do(sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "keywords"
    assert export(sample, "keywords", "--out", out) == 0
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "north/=a__b _[1].JPG.xmp",
        "north/DCIM/IMG_0001.JPG.xmp",
        "north/DCIM/IMG_0002.JPG.xmp",
        "north/DCIM/IMG_0003.JPG.xmp",
        "north/DCIM/IMG_0005.JPG.xmp",
        "south/IMG_0001.JPG.xmp",
        "south/IMG_0002.JPG.xmp",
        "south/IMG_0003.JPG.xmp",
    ]
    assert read((out / "north/DCIM/IMG_0001.JPG.xmp").read_bytes()) == SPECIES
    fox = read((out / "south/IMG_0001.JPG.xmp").read_bytes())
    assert fox["lr:hierarchicalSubject"] == ["Species|Arctic Fox"]
    blank = read((out / "north/DCIM/IMG_0003.JPG.xmp").read_bytes())
    assert blank["dc:subject"] == ["blank"]
    assert blank["lr:hierarchicalSubject"] == ["Kind|blank"]  # camtrapR counts what is a Species


def test_copies_hold_keywords_and_the_same_pixels(sample: Sample, tmp_path: Path) -> None:
    originals = {
        path: hashlib.sha256(path.read_bytes()).digest()
        for path in sample.north.parent.rglob("*.JPG")
    }
    out = tmp_path / "copies"
    assert export(sample, "keywords", "--embed-into", out, "--card", sample.north) == 0
    copy, original = out / "DCIM/IMG_0001.JPG", sample.north / "DCIM/IMG_0001.JPG"
    assert read(embedded(copy)) == SPECIES
    with Image.open(copy) as one, Image.open(original) as other:
        assert one.tobytes() == other.tobytes()
    data, before = copy.read_bytes(), original.read_bytes()
    assert data.endswith(before[before.index(b"\xff\xdb") :])  # all from the first table on
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in originals} == originals


def test_neither_or_both_places_are_refused(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("--out", tmp_path / "a", "--embed-into", tmp_path / "b")
    for options in ((), both):
        assert export(sample, "keywords", *options) == 2
        assert capsys.readouterr().err == (
            "trapsort: keywords go into sidecars or into copies of the photos\n"
            "give --out DIR or --embed-into DIR\n"
        )


def test_other_formats_get_no_copy(
    own: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.export_record import photo_record, said
    from trapsort.store import Store

    with Store.open(own.url) as store:
        record = photo_record(own.south, "a.PNG", said("Lion", 0.9), None, 55)
        card = store.card(own.south)
        store.record(card, store.model("iucn11", "1.0.0", "d1"), records=[record])
    out = tmp_path / "copies"
    assert export(own, "keywords", "--embed-into", out, "--card", own.south) == 0
    assert "not copied: 1 photo in another format than JPEG; use sidecars" in (
        capsys.readouterr().err
    )
    assert len(list(out.iterdir())) == 3


def test_an_earlier_packet_is_replaced_and_exif_stays() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "RECONYX"
    Image.new("RGB", (16, 16), (9, 9, 9)).save(file, "JPEG", exif=exif, xmp=packet("Panda"))
    made = with_xmp(file.getvalue(), packet("Lion"))
    assert made.count(b"http://ns.adobe.com/xap/1.0/\0") == 1
    with Image.open(io.BytesIO(made)) as image:
        assert read(image.info["xmp"])["dc:subject"] == ["Lion"]
        assert image.getexif()[0x010F] == "RECONYX"
    assert with_xmp(made, packet("Lion")) == made


def test_words_that_part_levels_or_are_no_xml() -> None:
    found = read(packet("a|b/c\x00<&>\n"))
    assert found["lr:hierarchicalSubject"] == ["Species|a-b-c_<&>_"]
    assert found["dc:subject"] == ["a|b/c_<&>_"]


@pytest.mark.parametrize(
    ("data", "xmp", "message"),
    [
        (b"no photo", b"", "a photo is no JPEG file inside"),
        (jpeg(1), b"x" * (MOST_BYTES + 1), "65,505 bytes of keywords do not fit into a JPEG file"),
    ],
)
def test_what_cannot_hold_keywords(data: bytes, xmp: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        with_xmp(data, xmp)
    assert (caught.value.message, caught.value.hint) == (message, "write sidecars: --out")
