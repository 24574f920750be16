"""Site profiles and taxa: read, refused, applied, and kept with each prediction."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.toy import TAXONOMY, graph, manifest, write_binary, write_bundle
from trapsort.bundle import Bundle, load_bundle
from trapsort.cli.main import main
from trapsort.errors import InputError
from trapsort.profile import Profile, apply_profile, profile_text, read_profile, with_taxon
from trapsort.settings import merged
from trapsort.store import Store


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return load_bundle(write_bundle(tmp_path / "toy", taxonomy=TAXONOMY))


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A clear lion, and a picture that is a panda before it is a lion."""
    folder = tmp_path / "card"
    folder.mkdir()
    Image.new("RGB", (640, 480), (220, 10, 10)).save(folder / "a.png")
    Image.new("RGB", (640, 480), (170, 200, 10)).save(folder / "b.png")
    return folder


def profile_of(of: Bundle, **changes: Any) -> Profile:
    return Profile(**{"name": "ridge", "bundle": of.model_name, "digest": of.digest, **changes})


def written(folder: Path, profile: Profile) -> Path:
    path = folder / "site.toml"
    path.write_text(profile_text(profile), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "Río Bravo 2.1", "temperature": 1.25, "min_probability": 0.8125},
        {"min_agreement": 3, "max_distance": 1.5},
        {"max_other": (0.25, 1.0, 0.0), "temperature": 5},
    ],
)
def test_what_is_written_is_read(bundle: Bundle, tmp_path: Path, changes: dict[str, Any]) -> None:
    profile = profile_of(bundle, **changes)
    assert read_profile(written(tmp_path, profile)) == profile


def test_a_file_looks_like_this(bundle: Bundle) -> None:
    text = profile_text(profile_of(bundle, min_probability=0.75), "Fitted on\n60 photos.")
    assert text == (
        "# Fitted on\n# 60 photos.\n"
        'name = "ridge"\ntemperature = 1.0\n\n'
        f'[bundle]\nname = "toy-1.0.0"\ndigest = "{bundle.digest}"\n\n'
        "[decision]\nmin_probability = 0.75\n"
    )


BASE = 'name = "a"\n[bundle]\nname = "toy-1.0.0"\ndigest = "0"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not valid TOML"),
        ('name = "a"\n', "bundle.name is missing."),
        (f"threshold = 1\n{BASE}", "unknown key threshold."),
        (f"{BASE}[decision]\ncentroids = 1\n", "unknown key decision.centroids."),
        (f"name = 3\n{BASE[11:]}", "name must be text, not 3."),
        (f"temperature = 9\n{BASE}", "temperature must be a number from 0.2 to 5, not 9."),
        (f"temperature = nan\n{BASE}", "temperature must be a number from 0.2 to 5, not nan."),
        (
            f"{BASE}[decision]\nmin_probability = true\n",
            "decision.min_probability must be a number from 0 to 1, not True.",
        ),
        (
            f"{BASE}[decision]\nmin_agreement = 1.5\n",
            "decision.min_agreement must be a whole number from 0, not 1.5.",
        ),
        (
            f"{BASE}[decision]\nmax_other = [0.5, 7]\n",
            "decision.max_other must be a list of numbers from 0 to 1, one a species, "
            "not [0.5, 7].",
        ),
        (f"{BASE}[decision.max_other]\nLion = 1\n", "decision.max_other must be a list of"),
        (f'name = "a+b"\n{BASE[11:]}', "'a+b' cannot name a profile."),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_profile(path)
    assert message in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.toml cannot be read: No such file or directory"):
        read_profile(tmp_path / "no.toml")


def test_a_profile_changes_what_it_sets_and_nothing_else(bundle: Bundle) -> None:
    profile = profile_of(bundle, temperature=2.0, min_probability=0.5)
    changed = apply_profile(profile, bundle)
    assert (changed.temperature, changed.decision.min_probability) == (2.0, 0.5)
    assert changed.decision.min_agreement == bundle.decision.min_agreement
    assert changed.decision.centroids is bundle.decision.centroids
    assert (changed.profile, changed.model_name) == ("ridge", "toy-1.0.0")
    again = apply_profile(profile, bundle)
    other = apply_profile(profile_of(bundle, temperature=2.0, min_probability=0.51), bundle)
    renamed = apply_profile(
        profile_of(bundle, temperature=2.0, min_probability=0.5, name="x"), bundle
    )
    digests = {each.digest for each in (bundle, changed, other, renamed)}
    assert (len(digests), again.digest) == (4, changed.digest)


def test_limits_of_the_witness_are_applied(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy")
    rule = {**manifest(folder)["decision"], "max_other": [0.5, 0.5, 0.5]}
    bundle = load_bundle(write_bundle(folder, decision=rule))
    changed = apply_profile(profile_of(bundle, max_other=(0.1, 0.2, 0.3)), bundle)
    assert changed.decision.max_other is not None
    np.testing.assert_allclose(changed.decision.max_other, [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="sets max_other that is not one limit a species"):
        apply_profile(profile_of(bundle, max_other=(0.1, 0.2)), bundle)


def test_a_profile_of_another_bundle_is_refused(bundle: Bundle) -> None:
    profile = profile_of(bundle, digest="f" * 64, bundle="iucn11-1.0.0")
    with pytest.raises(InputError) as caught:
        apply_profile(profile, bundle)
    assert caught.value.message == (
        "The profile 'ridge' was fitted on iucn11-1.0.0 (digest ffffffffffff), "
        f"not on toy-1.0.0 (digest {bundle.digest[:12]})."
    )
    assert caught.value.hint == "Choose --bundle iucn11-1.0.0, or fit a profile for this bundle."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_agreement": 2}, "sets min_agreement above the 1 members"),
        ({"max_distance": 2.0}, "sets max_distance, but the bundle has no test of novelty"),
        ({"max_other": (1.0, 1.0)}, "sets max_other, but the bundle has no witness"),
    ],
)
def test_what_the_bundle_does_not_have_cannot_be_set(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    bundle = load_bundle(write_binary(tmp_path / "binary"))
    with pytest.raises(InputError, match=message):
        apply_profile(profile_of(bundle, **changes), bundle)


@pytest.mark.parametrize("taxon", ["family=Felidae", " family = felidae "])
def test_a_taxon_masks_every_other_species_and_no_rejection(bundle: Bundle, taxon: str) -> None:
    cats = with_taxon(bundle, taxon)
    assert cats.masked == {"Panda", "Rhino"}
    mask = hashlib.sha256(b"family=Felidae").hexdigest()
    both = hashlib.sha256((bundle.digest + mask).encode()).hexdigest()
    assert (cats.profile, cats.digest) == ("family=Felidae", both)


def test_a_species_of_unknown_rank_lies_outside(tmp_path: Path) -> None:
    known = {label: TAXONOMY[label] for label in ("Lion", "Panda")}
    bundle = load_bundle(write_bundle(tmp_path / "toy", taxonomy=known))
    assert with_taxon(bundle, "phylum=Chordata").masked == {"Rhino"}


def test_profile_and_taxon_are_joined(bundle: Bundle) -> None:
    ridge = apply_profile(profile_of(bundle), bundle)
    both = with_taxon(ridge, "phylum=Chordata")
    assert both.profile == "ridge+phylum=Chordata"
    assert len({bundle.digest, ridge.digest, both.digest}) == 3


@pytest.mark.parametrize(
    ("taxon", "message", "hint"),
    [
        (
            "order=Carnivora",
            "knows no rank 'order'",
            "Choose RANK=NAME with one of: family, phylum.",
        ),
        (
            "family=Canidae",
            "knows no family 'Canidae'",
            "Choose one of: Felidae, Rhinocerotidae, Ursidae.",
        ),
    ],
)
def test_an_unknown_taxon_lists_what_there_is(
    bundle: Bundle, taxon: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        with_taxon(bundle, taxon)
    assert caught.value.message == f"toy-1.0.0 {message}."
    assert caught.value.hint == hint


def test_many_names_are_cut(tmp_path: Path) -> None:
    labels = [f"label{k:02}" for k in range(60)]
    folder = write_bundle(
        tmp_path / "toy",
        labels=labels,
        species=labels,
        taxonomy={label: {"family": f"F{label[5:]}"} for label in labels},
        decision={**manifest(write_bundle(tmp_path / "x"))["decision"], "centroids": [[0.0]] * 60},
    )
    with pytest.raises(InputError) as caught:
        with_taxon(load_bundle(folder), "family=nothing")
    assert caught.value.hint.endswith("F38, F39 and 20 more.")


def test_a_bundle_without_taxonomy_has_no_taxon(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "plain"))
    with pytest.raises(InputError, match=r"toy-1\.0\.0 has no taxonomy") as caught:
        with_taxon(bundle, "phylum=Chordata")
    assert caught.value.exit_code == 2


def test_settings_take_both_from_every_source(tmp_path: Path) -> None:
    config = tmp_path / "trapsort.toml"
    config.write_text('profile = "site.toml"\ntaxon = "family=Felidae"\n', encoding="utf-8")
    settings = merged({}, environment={}, config=config)
    assert (settings.profile, settings.taxon) == (tmp_path / "site.toml", "family=Felidae")
    settings = merged({"profile": "b"}, environment={"TRAPSORT_PROFILE": "a"}, config=config)
    assert settings.profile == Path("b")
    with pytest.raises(Exception, match="taxon in the options must be RANK=NAME, like phylum=Chor"):
        merged({"taxon": "Felidae"}, environment={})


def run(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]]]:
    code = main(arguments)
    return code, [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_classify_says_what_is_in_force(
    bundle: Bundle, card: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = ["classify", str(card), "--bundle", str(bundle.path), "--format", "jsonl"]
    _, rows = run(plain, capfd)
    assert [row["label"] for row in rows] == ["Lion", "Panda"]
    assert "profile" not in rows[0]
    strict = written(tmp_path, profile_of(bundle, min_probability=0.95))
    _, rows = run([*plain, "--profile", str(strict)], capfd)
    assert [row["reason"] for row in rows] == [None, "low_confidence"]
    assert {(row["model"], row["profile"]) for row in rows} == {("toy-1.0.0", "ridge")}
    _, rows = run([*plain, "--taxon", "family=Felidae"], capfd)
    assert [row["label"] for row in rows] == ["Lion", "Lion"]
    assert {row["profile"] for row in rows} == {"family=Felidae"}


def test_each_profile_predicts_for_itself(
    bundle: Bundle, card: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same card under the bundle, a profile and a taxon: three models, two photos."""
    database = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    common = ["ingest", str(card), "--bundle", str(bundle.path), "--db", database]
    strict = ["--profile", str(written(tmp_path, profile_of(bundle, min_probability=0.95)))]
    cats = ["--taxon", "family=felidae"]
    for more in ([], strict, cats, strict):
        assert main([*common, *more]) == 0
    with Store.open(database) as store:
        assert [(m.name, m.profile) for m in store.models()] == [
            ("toy", ""),
            ("toy", "ridge"),
            ("toy", "family=Felidae"),
        ]
        assert [s.label for s in store.sightings()] == ["Lion", None]
    capfd.readouterr()
    _, rows = run(["models", "--db", database, "--format", "jsonl"], capfd)
    digests = {row["profile"]: row["digest"] for row in rows if row["name"] == "toy"}
    assert digests[""] == bundle.digest
    assert set(digests) == {"", "ridge", "family=Felidae"}


def test_a_refused_profile_ends_the_command(
    bundle: Bundle, card: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = written(tmp_path, profile_of(bundle, digest="0" * 64))
    arguments = ["classify", str(card), "--bundle", str(bundle.path), "--profile", str(other)]
    assert main(arguments) == 2
    assert "trapsort: The profile 'ridge' was fitted on toy-1.0.0" in capfd.readouterr().err


def test_two_input_sizes_are_one_photo(card: Path, tmp_path: Path) -> None:
    """A photo that one bundle took in is known when another of another input size comes."""
    database = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    size = {"width": 500, "height": 375}
    small = write_bundle(tmp_path / "toy")
    large = write_bundle(tmp_path / "large", graph((500, 375)), name="large", input=size)
    for folder in (small, large):
        assert main(["ingest", str(card), "--bundle", str(folder), "--db", database]) == 0
    with Store.open(database) as store:
        assert [model.name for model in store.models()] == ["toy", "large"]
        assert [s.label for s in store.sightings()] == ["Lion", "Panda"]


def test_labels_without_taxa_have_no_category(
    card: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_binary(tmp_path / "binary")
    arguments = ["classify", str(card), "--bundle", str(folder), "--format", "jsonl"]
    _, rows = run(arguments, capfd)
    assert [(row["label"], row["iucn"]) for row in rows] == [("endangered", None)] * 2
    assert sum(each["probability"] for each in rows[1]["top"]) == pytest.approx(1, abs=1e-5)
