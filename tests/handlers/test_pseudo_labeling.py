"""The handler in a trainer that knows nothing of labelmine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.losses import DiceCELoss
from torch import Tensor, nn

from labelmine.errors import ConfigError, DataError
from labelmine.handlers import InMemory, PseudoLabeling, Schedule
from labelmine.labelers import Labeler, PromptedLabeler, PseudoLabel
from labelmine.teachers import CompactTeacher

SIZE = 32


class Threshold(Labeler):
    """A labeler that marks bright red pixels and keeps count of the images it was asked about."""

    def __init__(self, classes: int = 1) -> None:
        self.classes = classes
        self.asked: list[str] = []

    def __call__(self, batch: Mapping[str, Any], student: Callable[[Tensor], Tensor]) -> PseudoLabel:
        self.asked += batch["id"]
        count = len(batch["image"])
        return PseudoLabel(
            mask=bright(batch["image"]).expand(-1, self.classes, -1, -1),
            weight=torch.full((count, 1, SIZE, SIZE), 0.8),
            score=torch.full((count,), 0.8),
            accepted=torch.ones(count, dtype=torch.bool),
            refusal=[None] * count,
            source={},
            prompts=[[] for _ in range(count)],
        )


def bright(images: Tensor) -> Tensor:
    return (images[:, :1] > 0.5).float()


def samples(count: int = 6) -> list[dict[str, Any]]:
    """Every second image has gold, all ones, which no labeler here would answer."""
    torch.manual_seed(0)
    return [
        {
            "id": f"case_{index}",
            "image": torch.rand(3, SIZE, SIZE),
            "label": torch.full((1, SIZE, SIZE), float(index % 2)),
            "is_labeled": bool(index % 2),
        }
        for index in range(count)
    ]


def unlabeled_loader(data: list[dict[str, Any]]) -> DataLoader:
    return DataLoader(Dataset([sample for sample in data if not sample["is_labeled"]]), batch_size=2)


class SpyLoss(DiceCELoss):
    """A foreign loss of prediction and label that remembers the labels."""

    def __init__(self) -> None:
        super().__init__(sigmoid=True)
        self.labels: list[Tensor] = []

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self.labels.append(target.detach().clone())
        return super().forward(input, target)


def foreign_trainer(data: list[dict[str, Any]], epochs: int = 2, **kwargs: Any) -> tuple[SupervisedTrainer, SpyLoss]:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    loss = SpyLoss()
    trainer = SupervisedTrainer(
        torch.device("cpu"), epochs, DataLoader(Dataset(data), batch_size=3), network,
        torch.optim.SGD(network.parameters(), 0.1), loss, **kwargs,
    )  # fmt: skip
    return trainer, loss


@pytest.mark.parametrize("schedule", ["one_time", "continuous"])
@pytest.mark.parametrize("decollate", [True, False])
def test_a_foreign_loss_sees_gold_and_pseudo_labels(schedule: Any, decollate: bool) -> None:
    data, labeler = samples(), Threshold()
    trainer, loss = foreign_trainer(data, decollate=decollate)
    PseudoLabeling(labeler, trainer.network, unlabeled_loader(data), Schedule(schedule)).attach(trainer)
    trainer.run()

    expected = [s["label"] if s["is_labeled"] else bright(s["image"][None])[0] for s in data]
    assert torch.equal(torch.cat(loss.labels), torch.stack(expected * 2))
    visits = 1 if schedule == "one_time" else 2
    assert labeler.asked == ["case_0", "case_2", "case_4"] * visits, "gold must never be asked about"


@pytest.mark.parametrize("pseudo_weight", [0.5, 1.0])
@pytest.mark.parametrize("schedule", ["one_time", "continuous"])
def test_weights_are_made_and_scaled(schedule: Any, pseudo_weight: float) -> None:
    data = samples()
    trainer, _ = foreign_trainer(data, epochs=1, decollate=False)
    seen: list[Tensor] = []
    labeling = PseudoLabeling(Threshold(), trainer.network, unlabeled_loader(data), Schedule(schedule), pseudo_weight)
    labeling.attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.batch["weight"]))
    trainer.run()
    weight = torch.cat(seen)
    assert weight.shape == (6, 1, SIZE, SIZE)
    assert torch.equal(weight[1::2], torch.ones(3, 1, SIZE, SIZE))
    assert weight[::2].unique().tolist() == pytest.approx([0.8 * pseudo_weight], rel=1e-3)


def test_weights_rise_over_the_first_epochs() -> None:
    data = samples()
    trainer, _ = foreign_trainer(data, epochs=4, decollate=False)
    seen: list[float] = []
    PseudoLabeling(Threshold(), trainer.network, schedule=Schedule("continuous", ramp_up=3)).attach(trainer)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.batch["weight"].min().item())
    )
    trainer.run()
    # exp(-5 (1 - epoch / 3)^2) of the labeler's 0.8; two batches an epoch
    assert seen[::2] == pytest.approx([0.8 * 0.10837, 0.8 * 0.57375, 0.8, 0.8], rel=1e-3)


@pytest.mark.parametrize("soft", [True, False])
def test_soft_labels_are_the_probabilities(soft: bool) -> None:
    class Unsure(Threshold):
        def __call__(self, batch: Mapping[str, Any], student: Callable[[Tensor], Tensor]) -> PseudoLabel:
            return replace(super().__call__(batch, student), mask=batch["image"][:, :1])

    batch = next(iter(DataLoader(Dataset(samples(2)), batch_size=2)))
    label = fill(batch, PseudoLabeling(Unsure(), nn.Identity(), schedule=Schedule("continuous", soft=soft)))["label"]
    image = batch["image"][:1, :1]
    assert torch.equal(label[:1], image if soft else (image > 0.5).float())


def fill(batch: dict[str, Any], labeling: PseudoLabeling) -> dict[str, Any]:
    engine = Engine(lambda engine, batch: None)
    engine.state.batch = batch
    labeling.fill(engine)
    return engine.state.batch


def test_padding_stays_without_weight() -> None:
    batch = next(iter(DataLoader(Dataset(samples(4)), batch_size=4)))
    batch["weight"] = torch.ones(4, 1, SIZE, SIZE)
    batch["weight"][..., 16:] = 0
    weight = fill(batch, PseudoLabeling(Threshold(), nn.Identity(), schedule=Schedule("continuous")))["weight"]
    assert (weight[..., 16:] == 0).all()
    assert (weight[..., :16] > 0).all()


@pytest.mark.parametrize(("rows", "kept"), [([0, 1, 2, 3], ["case_1", "case_3"]), ([0, 2], ["case_0", "case_2"])])
def test_abstaining_rows_leave_unless_nothing_else_is_there(rows: list[int], kept: list[str]) -> None:
    data = samples(4)
    batch = next(iter(DataLoader(Dataset([data[i] for i in rows]), batch_size=4)))
    filled = fill(batch, PseudoLabeling(Threshold(), nn.Identity(), schedule=Schedule("continuous"), pseudo_weight=0.0))
    assert filled["id"] == kept
    assert {len(filled[key]) for key in ("image", "label", "weight", "is_labeled")} == {2}


def test_all_gold_batch_is_left_alone() -> None:
    batch = next(iter(DataLoader(Dataset(samples(6)[1::2]), batch_size=3)))
    before, labeler = batch["label"].clone(), Threshold()
    after = fill(batch, PseudoLabeling(labeler, nn.Identity(), schedule=Schedule("continuous")))
    assert torch.equal(after["label"], before)
    assert torch.equal(after["weight"], torch.ones(3, 1, SIZE, SIZE))
    assert labeler.asked == []


def test_only_what_has_no_label_yet_is_labelled() -> None:
    data, labeler, memory = samples(8), Threshold(), InMemory()
    first = next(iter(unlabeled_loader(data)))
    memory.add(first, labeler(first, nn.Identity()))
    labeler.asked.clear()
    labeling = PseudoLabeling(labeler, nn.Conv2d(3, 1, 1), unlabeled_loader(data), memory=memory)
    labeling.label_all()
    assert labeler.asked == ["case_4", "case_6"]
    labeling.label_all()
    assert labeler.asked == ["case_4", "case_6"]


@pytest.mark.parametrize(("every", "visits"), [(1, [1, 2, 3, 4, 5]), (2, [1, 3, 5]), (3, [1, 4]), (9, [1])])
def test_an_image_is_labelled_again_at_every_kth_visit(every: int, visits: list[int]) -> None:
    data, labeler = samples(), Threshold()
    trainer, loss = foreign_trainer(data, epochs=5, decollate=False)
    PseudoLabeling(labeler, trainer.network, schedule=Schedule("continuous", relabel_every=every)).attach(trainer)
    trainer.run()
    assert labeler.asked == ["case_0", "case_2", "case_4"] * len(visits)
    expected = [s["label"] if s["is_labeled"] else bright(s["image"][None])[0] for s in data]
    assert torch.equal(torch.cat(loss.labels), torch.stack(expected * 5)), "labels must outlive their visit"


def test_an_image_drawn_twice_into_a_batch_has_been_visited_twice() -> None:
    data, labeler = samples(2), Threshold()
    batch = next(iter(DataLoader(Dataset([data[0], data[0], data[1]]), batch_size=3)))
    labeling = PseudoLabeling(labeler, nn.Identity(), schedule=Schedule("continuous", relabel_every=2))
    label = fill(batch, labeling)["label"]
    assert labeler.asked == ["case_0"]
    assert torch.equal(label[0], label[1])
    assert torch.equal(label[0], bright(data[0]["image"][None])[0])


def test_gold_trains_alone_during_the_warm_up() -> None:
    data, labeler = samples(), Threshold()
    trainer, loss = foreign_trainer(data, epochs=3, decollate=False)
    PseudoLabeling(labeler, trainer.network, schedule=Schedule("continuous", warm_up=2)).attach(trainer)
    trainer.run()
    assert labeler.asked == ["case_0", "case_2", "case_4"]
    assert [len(label) for label in loss.labels] == [1, 2, 1, 2, 3, 3], "unlabelled rows must leave the batch"


@pytest.mark.parametrize("after", [1, 2])
def test_visits_and_labels_survive_a_checkpoint(after: int) -> None:
    data, labeler = samples(2), Threshold()
    batch = next(iter(DataLoader(Dataset(data), batch_size=2)))
    first, second = (
        PseudoLabeling(labeler, nn.Identity(), schedule=Schedule("continuous", relabel_every=3)) for _ in range(2)
    )
    for _ in range(after):
        fill(dict(batch), first)
    second.load_state_dict(first.state_dict())
    labeler.asked.clear()
    labels = [fill(dict(batch), second)["label"] for _ in range(3 - after)]
    assert labeler.asked == []
    assert all(torch.equal(label[0], bright(data[0]["image"][None])[0]) for label in labels)
    fill(dict(batch), second)
    assert labeler.asked == ["case_0"]


@pytest.mark.parametrize(("schedule", "times"), [("one_time", 1), ("continuous", 3)])
def test_a_labeler_takes_the_student_up_before_it_labels(schedule: Any, times: int) -> None:
    events: list[Any] = []

    class Prepared(Threshold):
        def prepare(self, student: Any) -> None:
            events.append(student)

        def __call__(self, batch: Mapping[str, Any], student: Callable[[Tensor], Tensor]) -> PseudoLabel:
            events.append("asked")
            return super().__call__(batch, student)

    data = samples()
    trainer, _ = foreign_trainer(data, epochs=3)
    PseudoLabeling(Prepared(), trainer.network, unlabeled_loader(data), schedule=Schedule(schedule)).attach(trainer)
    trainer.run()
    assert events[0] is trainer.network
    assert sum(event is trainer.network for event in events) == times


def test_observers_see_every_answer() -> None:
    seen: list[tuple[str, int]] = []
    data = samples(4)
    labeling = PseudoLabeling(
        Threshold(), nn.Identity(), unlabeled_loader(data), observers=[lambda b, a: seen.append((b["id"], len(a.mask)))]
    )
    labeling.label_all()
    assert seen == [(["case_0", "case_2"], 2)]


@pytest.mark.parametrize("schedule", ["one_time", "continuous"])
def test_with_the_real_labeler_and_a_teacher(schedule: Any) -> None:
    torch.manual_seed(0)
    data = samples(4)
    trainer, loss = foreign_trainer(data, epochs=1)
    labeler = PromptedLabeler(CompactTeacher(64).eval(), min_score=0.0)
    modes: list[bool] = []
    PseudoLabeling(labeler, trainer.network, unlabeled_loader(data), Schedule(schedule)).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda engine: modes.append(trainer.network.training))
    trainer.run()
    labels = torch.cat(loss.labels)
    gold = (labels == 1).flatten(1).all(1)
    assert gold.sum() == 2, "gold must stay; images without a prompt leave the batch"
    assert set(labels.unique().tolist()) <= {0.0, 1.0}
    assert all(modes), "the network must train on after it was asked"


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"schedule": Schedule("continuous"), "pseudo_weight": 1.5}, r"pseudo_weight: expected a number in \[0, 1\]"),
        ({"schedule": Schedule("one_time")}, r"give it the loader of unlabelled images"),
        (
            {"schedule": Schedule("continuous", relabel_every=2), "memory": object()},
            r"relabel_every > 1 keeps labels in the checkpoint: give it an InMemory, or no memory",
        ),
    ],
)
def test_wrong_knobs(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PseudoLabeling(Threshold(), nn.Identity(), **knobs)


def test_missing_keys_are_named() -> None:
    labeling = PseudoLabeling(Threshold(), nn.Identity(), schedule=Schedule("continuous"))
    with pytest.raises(ConfigError, match=r"expected the keys image, label, is_labeled, id. Missing: is_labeled, id"):
        fill({"image": torch.zeros(1, 3, SIZE, SIZE), "label": torch.zeros(1, 1, SIZE, SIZE)}, labeling)


def test_labels_of_other_classes_are_refused() -> None:
    batch = next(iter(DataLoader(Dataset(samples(2)), batch_size=2)))
    labeling = PseudoLabeling(Threshold(classes=2), nn.Identity(), schedule=Schedule("continuous"))
    with pytest.raises(ConfigError, match=r"pseudo label of case_0: expected .*\(1, 32, 32\). Got: \(2, 32, 32\)"):
        fill(batch, labeling)


def test_an_image_that_the_loader_lacks_is_named() -> None:
    batch = next(iter(DataLoader(Dataset(samples(2)), batch_size=2)))
    with pytest.raises(DataError, match=r"case_0: no pseudo label"):
        fill(batch, PseudoLabeling(Threshold(), nn.Identity(), loader=[]))
