"""One training on two ranks, against what a slow computation and one rank say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pandas as pd
import pytest
import torch
from torch import nn

from labelmine.networks import Student
from labelmine.workflows.parallel import MeanStatistics, agree_on_metrics, data_parallel


def test_one_rank_is_left_alone() -> None:
    network = nn.BatchNorm1d(2)
    assert data_parallel(network, torch.device("cpu")) is network
    engine = type("Engine", (), {"state": type("State", (), {"metrics": {"val_dice": 0.5}})})
    agree_on_metrics(engine)
    assert engine.state.metrics == {"val_dice": 0.5}
    attached: list[Any] = []
    trainer = type("Engine", (), {"add_event_handler": lambda *arguments: attached.append(arguments)})
    MeanStatistics(network).attach(trainer)
    assert not attached


def test_frozen_batch_normalisation_is_not_synchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.free = nn.BatchNorm2d(2), nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))

        def train(self, mode: bool = True) -> Half:
            super().train(mode)
            self.frozen.eval()
            return self

    network = Half()
    weight = network.free[1].weight
    monkeypatch.setattr(idist, "get_world_size", lambda: 2)
    monkeypatch.setattr("labelmine.workflows.parallel.DistributedDataParallel", lambda network, **_: network)
    assert data_parallel(network, torch.device("cuda", 0)) is network
    assert isinstance(network.free[1], nn.SyncBatchNorm)
    assert network.free[1].weight is weight, "the optimizer knows the old one"
    assert type(network.frozen) is nn.BatchNorm2d


PROGRAM = """
import json, sys
from functools import partial
from pathlib import Path
import ignite.distributed as idist, monai.bundle, numpy as np, torch
from ignite.engine import Events
from monai.data import Dataset
from torch import nn
from labelmine.bundle import bundle_root
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.ranks import join_ranks
from labelmine.workflows import TrainingPlan, student_loader, student_trainer
from labelmine.workflows.parallel import MeanStatistics, agree_on_metrics, data_parallel

device = torch.device(join_ranks("gloo"))
rank, folder, said = idist.get_rank(), Path(sys.argv[1]), {}
torch.manual_seed(0)
data = torch.randn(4, 3)
toy = nn.Linear(3, 1)
said["before"] = toy.weight.tolist()
parallel = data_parallel(toy, device)
(parallel(data[2 * rank : 2 * rank + 2]) ** 2).mean().backward()
said["gradient"], said["data"] = toy.weight.grad.tolist(), data.tolist()

normalised = nn.BatchNorm1d(2)
normalised.running_mean.fill_(rank)
MeanStatistics(normalised)(None)
said["running_mean"] = normalised.running_mean.tolist()
engine = type("Engine", (), {"state": type("State", (), {"metrics": {"val_dice": rank / 10}})})
agree_on_metrics(engine)
said["agreed"] = engine.state.metrics

for encoder in ("efficientnet-b0", "mobilenet_v2"):  # the first has layers without a use
    student, loss = Student(["a"], encoder), WeightedBCEDiceLoss()
    network = data_parallel(student, device)
    for step in range(3):  # a batch that abstains, on one rank only: it steps too
        weight = torch.full((2, 1, 64, 64), float(rank == 0 or step == 1))
        network.zero_grad()
        loss(network(torch.rand(2, 3, 64, 64)), torch.cat([torch.ones_like(weight), weight], 1)).backward()
    said[encoder] = float(sum(p.grad.abs().sum() for p in student.parameters() if p.grad is not None))


def train(name, epochs):
    generator = torch.Generator().manual_seed(1)
    views = [
        {"id": str(n), "image": torch.rand(3, 64, 64, generator=generator), "label": torch.ones(1, 64, 64) * (n % 2),
         "weight": torch.ones(1, 64, 64), "is_labeled": True}
        for n in range(12)
    ]
    torch.manual_seed(rank)  # the start of the first rank must count
    student = Student(["a"], "mobilenet_v2")
    plan = TrainingPlan(
        loss=WeightedBCEDiceLoss(), optimizer=partial(torch.optim.Adam, lr=1e-3), image_size=64,
        scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau,
    )
    loader, val_loader = student_loader(Dataset(views), 3), student_loader(Dataset(views[:4]), 4, shuffle=False)
    trainer = student_trainer(plan, student, loader, val_loader, epochs, str(folder / name))
    seen = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(list(engine.state.batch["id"])))
    trainer.run()
    torch.save(student.state_dict(), folder / f"{name}-{rank}.pt")
    return seen


said["seen"] = train("unbroken", 2)
train("resumed", 1)
train("resumed", 2)
(folder / f"{rank}.json").write_text(json.dumps(said))

files = [str(bundle_root() / "configs" / f"{name}.yaml") for name in ("mine", "multi_gpu")]
monai.bundle.run(
    config_file=files, logging_file=False, output_dir=str(folder / "continuous"), dataset_dir=sys.argv[2],
    backend="gloo", labeled_fraction=0.5, schedule="continuous", warm_up=1, ema_decay=0.5, encoder="mobilenet_v2",
    image_size=64, batch_size=2, max_epochs=2, steps_per_epoch=3, learning_rate=1e-3, min_score=0.0,
    embedding_cache=None,
)
"""


def weights(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return found


@pytest.mark.slow
def test_two_ranks_train_one_student(torchrun: Any, tmp_path: Path, phantom_folder: Any) -> None:
    torchrun(PROGRAM, tmp_path, phantom_folder(16, size=64))
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))

    weight, data = torch.tensor(first["before"]), torch.tensor(first["data"])
    toy = nn.Linear(3, 1)
    torch.manual_seed(0)
    torch.randn(4, 3)
    toy.reset_parameters()
    torch.testing.assert_close(toy.weight.detach(), weight)
    (toy(data) ** 2).mean().backward()  # halves of equal size: the mean over ranks is the mean over all
    for said in (first, second):
        torch.testing.assert_close(torch.tensor(said["gradient"]), toy.weight.grad)
        assert said["running_mean"] == [0.5, 0.5]
        assert said["agreed"] == {"val_dice": 0.0}
    for encoder in ("efficientnet-b0", "mobilenet_v2"):
        assert first[encoder] == second[encoder] > 0

    for name in ("unbroken", "resumed"):
        one, other = weights(tmp_path / f"{name}-0.pt"), weights(tmp_path / f"{name}-1.pt")
        assert all(torch.equal(one[key], other[key]) for key in one), name
    unbroken, resumed = weights(tmp_path / "unbroken-0.pt"), weights(tmp_path / "resumed-0.pt")
    assert all(torch.equal(unbroken[key], resumed[key]) for key in unbroken)

    for epoch in (slice(0, 2), slice(2, 4)):  # two batches of three images an epoch, on each rank
        drawn = [image for said in (first, second) for batch in said["seen"][epoch] for image in batch]
        assert sorted(drawn, key=int) == [str(number) for number in range(12)]
    assert first["seen"][:2] != first["seen"][2:]

    files = sorted(path.name for path in (tmp_path / "unbroken").iterdir())
    assert files == ["best.safetensors", "checkpoint.pt", "history.csv", "tensorboard"]
    assert len(list((tmp_path / "unbroken" / "tensorboard").iterdir())) == 1
    assert Student.load(tmp_path / "unbroken" / "best.safetensors")[1]["image_size"] == 64

    continuous = tmp_path / "continuous"
    metrics = json.loads((continuous / "metrics.json").read_text())
    lines = (continuous / "labels" / "manifest.jsonl").read_text().splitlines()
    assert len(lines) == len({json.loads(line)["id"] for line in lines}) == metrics["n_unlabeled"] > 0
    quality = pd.read_csv(continuous / "mined" / "label_history.csv")
    assert quality["labelled"].iloc[0] == 0 < quality["labelled"].iloc[1], "warm-up, then labels"
