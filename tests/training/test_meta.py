"""The meta-learner and its cascade, on votes whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn", reason="the training packages are not installed")

import onnx
import onnxruntime
from onnx import TensorProto, helper

from training.graph import MemberGraph, ask_everyone, fuse
from training.meta import Cascade, Stack, brier_score, fit_calibrated, fit_ensemble
from training.recipe import CascadeRecipe

LABELS, SPECIES = 4, 3
Floats = NDArray[np.float32]


def votes_and_labels(n: int = 900, *, third: float = 3.0) -> tuple[Floats, NDArray[np.int64]]:
    """Three members, right most of the time; how good the third is can be chosen."""
    rng = np.random.default_rng(4)
    label = rng.integers(0, LABELS, n)
    strength = np.array([3.0, 3.0, third])[None, :, None]
    logits = rng.normal(0, 1, (n, 3, LABELS)) + strength * np.eye(LABELS)[label][:, None]
    powers = np.exp(logits)
    return (powers / powers.sum(axis=2, keepdims=True)).astype(np.float32), label


def plain(first: int, members: int, probability: float) -> Stack:
    """A stack that adds up the votes, sharply, with a cascade after `first` of the members."""

    def adding(count: int) -> Stack:
        kernel = np.tile(np.eye(LABELS, dtype=np.float32), (count, 1)) * 6
        return Stack(kernel, np.zeros(LABELS, np.float32), 1.0, 1.0)

    whole, cheap = adding(members), adding(first)
    cascade = Cascade(first, SPECIES, cheap, probability)
    return Stack(whole.kernel, whole.bias, 1.0, 1.0, cascade)


def vote(*shares: float) -> list[float]:
    return list(shares)


def test_sure_are_those_that_agree_and_those_that_are_none_of_the_species() -> None:
    lion, leopard, unsure = vote(0.97, 0.01, 0.01, 0.01), vote(0, 1, 0, 0), vote(0.4, 0.3, 0.2, 0.1)
    blank = vote(0, 0, 0, 1)
    members = np.array(
        [
            [lion, lion, leopard],
            [lion, leopard, lion],
            [unsure, unsure, lion],
            [blank, blank, lion],
        ],
        np.float32,
    )
    stack = plain(2, 3, 0.9)
    asked = stack.asked(members)[:, 2].max(axis=1) > 0
    assert asked.tolist() == [False, True, True, False]
    said = stack.apply(members)
    np.testing.assert_allclose(said[[0, 3]], stack.cascade.stack.apply(members[[0, 3], :2]))
    np.testing.assert_allclose(
        said[[1, 2]], Stack(stack.kernel, stack.bias, 1.0, 1.0).apply(members[[1, 2]])
    )


def test_none_of_the_species_needs_no_agreement_on_what_else_it_is() -> None:
    cheap = Stack(np.zeros((4, 4), np.float32), np.array([-9, -9, 0, 0], np.float32), 1.0, 1.0)
    cascade = Cascade(1, 2, cheap, 0.9)
    members = np.full((1, 2, 4), 0.25, np.float32)
    assert cascade.sure(members, cheap.apply(members[:, :1])).all()  # 0.5 and 0.5, both rejections


def test_a_cascade_costs_no_more_than_the_recipe_allows() -> None:
    members, label = votes_and_labels(third=0.5)
    fold = np.arange(len(label)) % 3
    recipe = CascadeRecipe(2, 0.01)
    fitted = fit_ensemble(members, label, fold, labels=LABELS, species=SPECIES, recipe=recipe)
    assert fitted.stack.cascade is not None
    ended = fitted.votes[:, 2].max(axis=1) == 0
    assert 0.3 < ended.mean() < 1
    np.testing.assert_array_equal(fitted.votes[~ended], members[~ended])
    np.testing.assert_array_equal(fitted.probabilities[~ended], fitted.whole[~ended])
    whole = brier_score(fitted.whole, label)
    assert brier_score(fitted.probabilities, label) <= whole * 1.01
    _, alone = fit_calibrated(members, label, fold, LABELS)
    np.testing.assert_array_equal(fitted.whole, alone)


def test_there_is_no_cascade_where_the_last_member_knows_better() -> None:
    members, label = votes_and_labels(third=9.0)
    members[:, :2] = members[::-1, :2]  # the first two know nothing of the photo
    fold = np.arange(len(label)) % 3
    fitted = fit_ensemble(
        members, label, fold, labels=LABELS, species=SPECIES, recipe=CascadeRecipe(2, 0.0)
    )
    ended = fitted.votes[:, 2].max(axis=1) == 0
    assert fitted.stack.cascade is None or not ended.any()


def member(name: str, seed: int) -> MemberGraph:
    """A member whose features are the photo's mean colours, and a random head."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["photo"], ["colours"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [value("photo", TensorProto.UINT8, ["N", 8, 8, 3])],
        [value("colours", TensorProto.FLOAT, ["N", 8, 8, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    rng = np.random.default_rng(seed)
    kernel = rng.normal(0, 0.05, (3, LABELS)).astype(np.float32)
    return MemberGraph(name, model, ((kernel, np.zeros(LABELS, np.float32)),))


def test_the_graph_answers_what_the_stack_does_whatever_the_batch_is(tmp_path: Path) -> None:
    members = [member("one", 1), member("two", 1), member("three", 2)]
    stack = plain(2, 3, 0.9)
    model = fuse(members, stack=stack, whitening=None, labels=LABELS, size=(8, 8))
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)
    ask_everyone(model)
    everyone = onnxruntime.InferenceSession(model.SerializeToString())
    session = onnxruntime.InferenceSession(path)
    rng = np.random.default_rng(3)
    photos = rng.integers(0, 256, (40, 1, 1, 3)) + rng.integers(-9, 10, (40, 8, 8, 3))
    photos = np.clip(photos, 0, 255).astype(np.uint8)

    names = ["probabilities", "members", "maps"]
    votes = everyone.run(names, {"image": photos})[1]
    asked = stack.asked(votes)
    ended = asked[:, 2].max(axis=1) == 0
    assert 0 < ended.sum() < len(ended)
    said, members_said, maps = session.run(names, {"image": photos})
    np.testing.assert_allclose(said, stack.apply(votes), atol=1e-5)
    np.testing.assert_allclose(members_said, asked, atol=1e-5)
    assert (np.abs(maps[ended, 2]).max(axis=(1, 2, 3)) == 0).all()
    assert (np.abs(maps[~ended, 2]).max(axis=(1, 2, 3)) > 0).all()
    for index, photo in enumerate(photos):
        alone = session.run(names, {"image": photo[None]})
        for whole, own in zip((said, members_said, maps), alone, strict=True):
            np.testing.assert_allclose(own[0], whole[index], atol=1e-6)
