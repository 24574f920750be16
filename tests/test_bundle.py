"""A bundle is whole or refused, with its file named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.toy import (
    LABELS,
    MEMBERS,
    SPECIES,
    TAXONOMY,
    graph,
    manifest,
    write_binary,
    write_bundle,
    write_precisions,
)
from trapsort.bundle import available, load_bundle, read_bundle
from trapsort.errors import BundleError
from trapsort.session import open_session


def test_a_whole_bundle_is_read(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "toy"))
    assert bundle.model_name == "toy-1.0.0"
    assert (bundle.labels, bundle.species, bundle.members) == (LABELS, SPECIES, MEMBERS)
    assert bundle.taxa["Lion"] == ("Panthera leo",)
    assert bundle.decision.centroids is not None
    assert bundle.decision.centroids.shape == (3, 3)
    assert len(bundle.digest) == 64
    assert (bundle.size, bundle.taxonomy) == ((224, 224), {})
    assert (bundle.profile, bundle.temperature, bundle.masked) == ("", 1.0, frozenset())


def test_the_default_bundle_is_found_by_name_and_version() -> None:
    default = load_bundle(None)
    assert default.name == "iucn11"
    assert load_bundle("iucn11").digest == load_bundle(default.model_name).digest == default.digest
    assert default.digest in {bundle.digest for bundle in available()}


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(BundleError, match="There is no bundle 'lynx'") as caught:
        load_bundle("lynx")
    assert "iucn11" in caught.value.hint
    assert caught.value.exit_code == 3


def test_one_flipped_bit_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy")
    data = bytearray((folder / "ensemble.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "ensemble.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"ensemble\.onnx is not the file"):
        load_bundle(folder)
    with pytest.raises(BundleError, match=r"ensemble\.onnx is not the file"):
        open_session(read_bundle(folder))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy")
    (folder / "ensemble.onnx").unlink()
    with pytest.raises(BundleError, match=r"ensemble\.onnx cannot be read: No such file"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "has schema 2, this trapsort reads 1"),
        ({"labels": ["Lion", "Lion", "Panda", "Rhino", "blank"]}, "labels are not unique"),
        ({"species": ["Lion", "Panda", "Okapi"]}, "species are not all labels"),
        ({"species": ["Lion", "Panda"]}, "neither a species nor a known rejection"),
        ({"species": []}, "neither a species nor|there is no species"),
        ({"members": []}, "there is no member"),
        ({"graph": "other.onnx"}, "its graph is not among its files"),
        ({"files": {"../x": {"sha256": "0"}, "ensemble.onnx": {"sha256": "0"}}}, "leads out"),
        ({"taxa": None}, "is not complete"),
        ({"input": {"width": 224}}, "is not complete: KeyError.'height'"),
        ({"input": {"width": 224.0, "height": 224}}, "input is not 32 to 2048 pixels wide and"),
        ({"input": {"width": 224, "height": 4000}}, "input is not 32 to 2048 pixels wide and"),
        ({"taxonomy": {"Okapi": {"phylum": "Chordata"}}}, "taxonomy names what is no label"),
        ({"taxonomy": {"Lion": "Chordata"}}, "is not complete: AttributeError"),
        ({"decision": {}}, "is not complete: KeyError"),
    ],
)
def test_what_does_not_add_up_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        load_bundle(write_bundle(tmp_path / "toy", **changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_probability": 1.5}, "min_probability is not in"),
        ({"min_agreement": 4}, "min_agreement is more"),
        ({"max_other": [0.5]}, "max_other is not one limit a species"),
        ({"max_other": [0.5, 0.5, 1.1]}, "max_other is not in 0..1"),
        ({"max_distance": -1}, "max_distance is not a positive number"),
        ({"max_distance": None}, "max_distance and centroids are not both there or both null"),
        ({"centroids": None}, "max_distance and centroids are not both there or both null"),
        ({"centroids": [[0.0]]}, "centroids are not one row a species"),
    ],
)
def test_an_impossible_rule_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = write_bundle(tmp_path / "toy")
    decision = {**manifest(folder)["decision"], **change}
    with pytest.raises(BundleError, match=message):
        load_bundle(write_bundle(folder, decision=decision))


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy")
    (folder / "bundle.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        load_bundle(folder)


def test_a_graph_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    labels = [*LABELS[:2], *LABELS[3:]]
    folder = write_bundle(tmp_path / "toy")
    decision = {**manifest(folder)["decision"], "centroids": [[0.0] * 3] * 2}
    write_bundle(folder, labels=labels, species=labels[:2], decision=decision)
    with pytest.raises(BundleError, match=r"answers probabilities of shape \(2, 6\)"):
        open_session(load_bundle(folder))


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy")
    (folder / "ensemble.onnx").write_bytes(b"not a graph")
    table = manifest(folder)
    (folder / "bundle.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(BundleError, match="cannot be run"):
        open_session(load_bundle(folder))


def test_a_session_answers_every_photo_alike_alone_and_in_a_batch(tmp_path: Path) -> None:
    session = open_session(load_bundle(write_bundle(tmp_path / "toy")))
    photos = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), dtype=np.uint8)
    together = session.run(photos)
    for place in range(5):
        alone = session.run(photos[place : place + 1])
        np.testing.assert_allclose(alone.probabilities[0], together.probabilities[place], rtol=1e-4)
    assert session.provider == "CPUExecutionProvider"
    assert session.maps(photos).shape == (5, 3, 6, 7, 7)


def test_a_graph_may_take_photos_of_another_size(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy", graph((500, 375)), input={"width": 500, "height": 375})
    bundle = load_bundle(folder)
    session = open_session(bundle)
    assert bundle.size == (500, 375)
    assert session.run(np.zeros((1, 375, 500, 3), np.uint8)).probabilities.shape == (1, 6)


def test_a_graph_of_another_size_than_the_bundle_says_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy", graph((375, 500)), input={"width": 500, "height": 375})
    with pytest.raises(BundleError) as caught:
        open_session(load_bundle(folder))
    assert caught.value.message == (
        f"{folder / 'ensemble.onnx'} takes image: tensor(uint8) ['N', 500, 375, 3], "
        "but bundle.json means image: tensor(uint8) ['N', 375, 500, 3]."
    )


def test_without_novelty_and_witness_the_graph_needs_no_such_outputs(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy", graph(novelty=False))
    rule = {"max_distance": None, "centroids": None, "max_other": None}
    bare = {**manifest(folder)["decision"], **rule}
    write_bundle(folder, graph(novelty=False), decision=bare)
    bundle = load_bundle(folder)
    scores = open_session(bundle).run(np.zeros((3, 224, 224, 3), np.uint8))
    assert (scores.features.shape, scores.other) == ((3, 0), None)
    assert (bundle.decision.max_distance, bundle.decision.centroids) == (None, None)
    # the same graph in a bundle with a test of novelty lacks an output
    write_bundle(folder, graph(novelty=False))
    with pytest.raises(BundleError, match=r"cannot be run: .*features"):
        open_session(load_bundle(folder))


def test_two_labels_without_taxa_are_a_bundle(tmp_path: Path) -> None:
    bundle = load_bundle(write_binary(tmp_path / "binary"))
    scores = open_session(bundle).run(np.zeros((2, 224, 224, 3), np.uint8))
    assert bundle.taxa == {}
    np.testing.assert_allclose(scores.probabilities, [[1, 0]] * 2, atol=1e-3)


def test_a_taxonomy_is_read(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "toy", taxonomy=TAXONOMY))
    assert bundle.taxonomy == TAXONOMY


def test_a_bundle_may_hold_two_precisions(tmp_path: Path) -> None:
    bundle = load_bundle(write_precisions(tmp_path / "toy"))
    assert bundle.graphs == {"single": "ensemble.onnx", "int8": "ensemble-int8.onnx"}
    assert (bundle.graph, bundle.precision) == ("ensemble.onnx", "auto")
    assert bundle.margins == {}
    assert bundle.graph_file() == bundle.path / "ensemble.onnx"
    assert bundle.graph_file("int8") == bundle.path / "ensemble-int8.onnx"
    damaged = bytearray(bundle.graph_file("int8").read_bytes())
    damaged[9] ^= 1
    (bundle.path / "ensemble-int8.onnx").write_bytes(damaged)
    with pytest.raises(BundleError, match=r"ensemble-int8\.onnx is not the file"):
        load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graphs": {"int8": "none.onnx"}}, "of another precision is not among its files"),
        ({"graphs": {"int4": "ensemble-int8.onnx"}, "parity": {"int4": {"development": {
            "agreement": 1}}}}, "graphs names a precision that is none of single, int8"),
        ({"graphs": {"single": "ensemble-int8.onnx"}}, "graph is not the graph in single"),
        ({"graphs": {"int8": "ensemble.onnx"}}, "two precisions have the same graph"),
        ({"parity": {}}, "is not complete: KeyError"),
        ({"margins": {"single": 0.1}}, "margins names a precision that has no graph of its own"),
        ({"margins": {"int4": 0.1}}, "margins names a precision that has no graph of its own"),
        ({"margins": {"int8": 1.1}}, "a margin is not in 0..1"),
        ({"margins": {"int8": float("nan")}}, "a margin is not in 0..1"),
        ({"margins": {"int8": None}}, "is not complete: TypeError"),
    ],
)  # fmt: skip
def test_precisions_that_do_not_add_up_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = write_precisions(tmp_path / "toy")
    table = json.loads((folder / "bundle.json").read_text("utf-8")) | changes
    (folder / "bundle.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(BundleError, match=message):
        read_bundle(folder)
