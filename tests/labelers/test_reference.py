"""Votes of reference pixels, against a slow loop, on two kinds of classes, and in a trainer that knows no labelmine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.losses import DiceCELoss
from torch import Tensor, nn

from labelmine.errors import ConfigError, DataError
from labelmine.handlers import PseudoLabeling, Schedule
from labelmine.labelers import FeatureMap, Labeler, Reason, ReferenceLabeler, Refusal, Vote
from labelmine.labelers.prediction import predict
from labelmine.networks import Student

SIDE = 16


def network(classes: int = 1, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, classes, 1))


def gold(count: int = 3, classes: int = 1, seed: int = 0, exclusive: bool = False) -> list[dict[str, Any]]:
    """Squares that are red (first class) or green (second) on grey, a batch for each image."""
    rng = np.random.default_rng(seed)
    batches = []
    for _ in range(count):
        image, label = torch.full((1, 3, SIDE, SIDE), 0.4), torch.zeros(1, classes, SIDE, SIDE)
        for k in range(classes):
            x, y = rng.integers(0, SIDE - 6, 2)
            if exclusive:
                label[:, :k, y : y + 6, x : x + 6] = 0
            label[:, k, y : y + 6, x : x + 6] = 1
            image[:, k, y : y + 6, x : x + 6] = 1
        batches.append({"image": image + 0.02 * torch.rand(image.shape), "label": label})
    return batches


@settings(max_examples=10, deadline=None)
@given(st.booleans(), st.integers(1, 7), st.integers(0, 99))
def test_votes_equal_a_slow_loop(exclusive: bool, k: int, seed: int) -> None:
    student, references = network(2, seed), gold(2, 2, seed, exclusive)
    query = gold(1, 2, seed + 1, exclusive)[0]
    labeler = ReferenceLabeler(references, exclusive, FeatureMap("1", 1), Vote(k, 10**6), min_score=0.0)
    answer = labeler({"image": query["image"]}, student)
    layers = student[:2]
    pool = torch.cat([F.normalize(layers(r["image"]), dim=1)[0].flatten(1).t() for r in references])
    known = torch.cat([r["label"][0].flatten(1).t() for r in references])
    pixels = F.normalize(layers(query["image"]), dim=1)[0].flatten(1).t()
    wrong = 0
    for position, pixel in enumerate(pixels):
        similarity = [float((pixel @ other).detach()) for other in pool]
        order = sorted(range(len(pool)), key=lambda n: -similarity[n])
        if len(order) > k and similarity[order[k - 1]] - similarity[order[k]] < 1e-5:
            continue  # a tie: either may vote
        votes = [known[n] for n in order[:k]]
        share = torch.stack(votes).mean(0)
        y, x = divmod(position, SIDE)
        wrong += not torch.allclose(answer.mask[0, :, y, x], share, atol=1e-5)
        winner = max([1 - float(share.sum()), *share.tolist()] if exclusive else [min(max(v, 1 - v) for v in share)])
        wrong += (winner >= 0.6 + 1e-5) and not bool(answer.weight[0, 0, y, x])
        wrong += (winner < 0.6 - 1e-5) and bool(answer.weight[0, 0, y, x])
    assert wrong == 0


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize(
    ("stride", "knobs"), [(1, {}), (1, {"near_images": 2}), (2, {"pool_size": 60}), (1, {"memory_mb": 0.01})]
)
def test_it_finds_what_looks_alike(exclusive: bool, stride: int, knobs: dict[str, Any]) -> None:
    labeler = ReferenceLabeler(gold(4, 2, 0, exclusive), exclusive, FeatureMap("1", stride), Vote(**knobs))
    assert isinstance(labeler, Labeler)
    query = gold(1, 2, 7, exclusive)[0]
    answer = labeler(query, network(2))
    overlap = (
        2 * ((answer.mask > 0.5) & (query["label"] > 0.5)).sum() / ((answer.mask > 0.5).sum() + query["label"].sum())
    )
    assert overlap > 0.75
    assert answer.accepted.tolist() == [True]
    assert answer.signals["vote_share"].item() == pytest.approx(answer.score.item())
    if exclusive:
        assert (answer.mask > 0.5).sum(1).max() == 1


def test_classes_and_background_have_equal_numbers_of_reference_pixels() -> None:
    labeler = ReferenceLabeler(gold(3, 1), features=FeatureMap("1", 1), vote=Vote(pool_size=100))
    labeler.prepare(network())
    pool = labeler._pool
    assert pool is not None
    assert pool.labels.sum() == 50
    assert len(pool.labels) == 100
    assert torch.allclose(pool.features.norm(dim=1), torch.ones(100), atol=1e-5)


def test_the_pool_follows_the_student_only_when_it_is_prepared() -> None:
    student, labeler = network(), ReferenceLabeler(gold(), features=FeatureMap("1", 1))
    labeler.prepare(student)
    before = labeler._pool
    nn.init.normal_(student[0].weight)  # type: ignore[index, arg-type]
    labeler(gold(1, seed=5)[0], student)
    assert labeler._pool is before
    labeler.prepare(student)
    assert before is not None
    assert labeler._pool is not None
    assert not torch.allclose(labeler._pool.features, before.features)


def test_padding_neither_votes_nor_counts() -> None:
    references = gold(2)
    for batch in references:
        batch["weight"] = torch.ones(1, 1, SIDE, SIDE)
        batch["weight"][..., 8:] = 0
    labeler = ReferenceLabeler(references, features=FeatureMap("1", 1), vote=Vote(pool_size=10**6))
    labeler.prepare(network())
    assert labeler._pool is not None
    assert len(labeler._pool.features) <= 2 * SIDE * 8
    answer = labeler(references[0], network())
    assert answer.weight[..., 8:].max() == 0
    assert answer.mask[..., 8:].max() == 0


def test_unsure_pixels_abstain_and_empty_answers_are_refused() -> None:
    labeler = ReferenceLabeler(gold(3), features=FeatureMap("1", 1), vote=Vote(confidence=1.0))
    query = gold(1, seed=9)[0]
    answer = labeler(query, network())
    share = answer.mask
    assert torch.equal(answer.weight[0, 0] > 0, (torch.maximum(share, 1 - share)[0, 0] == 1))
    noise = {"image": torch.rand(1, 3, SIDE, SIDE)}
    strict = ReferenceLabeler(gold(3), features=FeatureMap("1", 1), min_score=1.0)(noise, network())
    assert strict.refusal == [Refusal.low_score(strict.score.item(), 1)]
    assert strict.weight.max() == 0


def test_an_image_without_the_object_gets_no_label() -> None:
    plain = nn.Conv2d(3, 3, 1)
    nn.init.dirac_(plain.weight)
    student = nn.Sequential(plain, nn.Conv2d(3, 1, 1))
    labeler = ReferenceLabeler(gold(3), features=FeatureMap("0", 1))
    answer = labeler({"image": torch.full((1, 3, SIDE, SIDE), 0.4)}, student)
    assert answer.accepted.tolist() == [False]
    assert answer.refusal == [Refusal(Reason.NO_LIKENESS)]


def test_labels_do_not_depend_on_the_batch() -> None:
    student = Student(["a"], "mobilenet_v2").eval()
    images = torch.rand(3, 3, 64, 64)
    references = [{"image": torch.rand(2, 3, 64, 64), "label": (torch.rand(2, 1, 64, 64) > 0.5).float()}]
    labeler = ReferenceLabeler(references)
    together = labeler({"image": images}, student).mask
    alone = torch.cat([labeler({"image": image[None]}, student).mask for image in images])
    assert torch.equal(together, alone)


def test_a_frozen_encoder_may_look_instead_of_the_student() -> None:
    seen = []

    def encoder(image: Tensor) -> Tensor:
        seen.append(image.shape)
        return image

    labeler = ReferenceLabeler(gold(3), features=FeatureMap(encoder=encoder, stride=1))
    answer = labeler(gold(1, seed=4)[0], lambda image: image[:, :1])
    assert answer.accepted.all()
    assert set(seen) == {(1, 3, SIDE, SIDE)}


@pytest.mark.parametrize("schedule", ["one_time", "continuous"])
def test_in_a_foreign_trainer(schedule: Any) -> None:
    """MONAI's own trainer and loss, a network of its own: the handler and this labeler are all that is labelmine's."""
    student = network()
    data = [
        {**{key: value[0] for key, value in batch.items()}, "is_labeled": n < 3, "id": str(n)}
        for n, batch in enumerate(gold(6))
    ]
    loader = DataLoader(Dataset(data), batch_size=3, shuffle=True)
    unlabeled = DataLoader(Dataset([{**d, "label": torch.zeros(1, SIDE, SIDE)} for d in data[3:]]), batch_size=2)
    labeler = ReferenceLabeler(gold(3), features=FeatureMap("1", 1))
    seen: list[Tensor] = []
    trainer = SupervisedTrainer(
        torch.device("cpu"), 2, loader, student, torch.optim.SGD(student.parameters(), 0.01), DiceCELoss(sigmoid=True)
    )
    mining = PseudoLabeling(
        labeler, student, unlabeled, schedule=Schedule(schedule), observers=[lambda _, answer: seen.append(answer.mask)]
    )
    mining.attach(trainer)
    trainer.run()
    assert trainer.state.iteration == 4
    assert sum(map(len, seen)) >= 3
    assert all((mask > 0.5).any() for mask in seen)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vote(k=0), "k: expected a whole number of 1 or more. Got: 0"),
        (lambda: Vote(pool_size=2), "pool_size: expected a whole number of 5 or more, as k neighbours vote. Got: 2"),
        (lambda: Vote(confidence=2), r"vote_confidence: expected a number in \[0, 1\]. Got: 2"),
        (lambda: Vote(memory_mb=0), "memory_mb: expected a number above 0. Got: 0"),
        (lambda: Vote(near_images=0), "near_images: expected a whole number of 1 or more, or null for all. Got: 0"),
        (lambda: FeatureMap(stride=0), "stride: expected a whole number of 1 or more. Got: 0"),
        (lambda: ReferenceLabeler([], min_score=1.5), r"min_score: expected a number in \[0, 1\]. Got: 1.5"),
    ],
)
def test_wrong_knobs(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_a_user_can_get_wrong_is_said() -> None:
    with pytest.raises(ConfigError, match=r"layer: the network has no module 'decoder'. Among others it has: 0, 1, 2"):
        ReferenceLabeler(gold(), features=FeatureMap("decoder")).prepare(network())
    with pytest.raises(ConfigError, match=r"student: expected a torch\.nn\.Module, .* Got: function"):
        ReferenceLabeler(gold(), features=FeatureMap("1")).prepare(lambda image: image)
    with pytest.raises(DataError, match="references: expected gold views with at least k = 5 pixels"):
        ReferenceLabeler([], features=FeatureMap("1")).prepare(network())
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, SIDE * SIDE), nn.Unflatten(1, (1, SIDE, SIDE)))
    with pytest.raises(ConfigError, match=r"layer: expected an output \(B, D, h, w\)\. Got: \(1, 256\) from '1'"):
        ReferenceLabeler(gold(), features=FeatureMap("1")).prepare(flat)


def test_the_hook_is_gone_and_the_mode_is_put_back() -> None:
    student = network().train()
    ReferenceLabeler(gold(), features=FeatureMap("1", 1))(gold(1)[0], student)
    assert student.training
    assert not student[1]._forward_hooks  # type: ignore[index]
    assert predict(student, gold(1)[0], False).shape == (1, 1, SIDE, SIDE)
