"""``configs/multi_gpu.yaml`` and what it sets going, in two ranks that are started as a user does it: by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import pandas as pd
import pytest
import torch
from torch import nn

from labelmine.bundle import bundle_root
from labelmine.data import write_phantom_set
from labelmine.networks import Student
from makers import metrics_of

Torchrun = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def torchrun(tmp_path_factory: pytest.TempPathFactory) -> Torchrun:
    """Start two ranks: ``torchrun("-m", "monai.bundle", ...)``, or ``torchrun(text_of_a_program, argument, ...)``."""

    def run(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        if "\n" in words[0]:
            program = tmp_path_factory.mktemp("torchrun") / "program.py"
            program.write_text(words[0])
            words[0] = str(program)
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        done = subprocess.run(
            [*start, *words],
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            cwd=bundle_root(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert not check or done.returncode == 0, done.stderr[:9000]  # below the ranks' errors follow torchrun's own
        return done

    return run


KNOBS = {
    "encoder": "mobilenet_v2", "image_size": 64, "batch_size": 2, "max_epochs": 2, "steps_per_epoch": 2,
    "learning_rate": 0.001, "min_score": 0.0, "labeled_fraction": 0.5, "folds": 2, "fit_steps": 2,
}  # fmt: skip

# ``label``, in which the rank 1 dies as it is about to write its second label.
DYING = """
import os, signal, sys
import ignite.distributed as idist, monai.bundle
from labelmine.bundle import bundle_root
from labelmine.data import LabelStore

write, calls = LabelStore.write, []


def dying(*arguments, **named):
    calls.append(1)
    if idist.get_rank() == 1 and len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(*arguments, **named)


LabelStore.write = dying
files = [str(bundle_root() / "configs" / f"{name}.yaml") for name in ("label", "multi_gpu")]
monai.bundle.run(
    config_file=files, logging_file=False, dataset_dir=sys.argv[1], output_dir=sys.argv[2], batch_size=1,
    embedding_cache=None,
)
"""


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "labels" / "masks").iterdir()}


def lines(folder: Path, name: str = "manifest.jsonl") -> list[str]:
    return sorted((folder / "labels" / name).read_text().splitlines())


@pytest.mark.slow
def test_mine_as_documented(torchrun: Any, phantom_folder: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = "['configs/mine.yaml','configs/multi_gpu.yaml']"
    knobs = [word for name, value in KNOBS.items() for word in (f"--{name}", value)]
    data = ["--dataset_dir", phantom_folder(16, size=64), "--output_dir", out]
    done = torchrun("-m", "monai.bundle", "run", "--config_file", files, *data, *knobs)

    metrics = metrics_of(out)
    assert metrics["n_unlabeled"] == len(lines(out)) == len(masks(out)) > 0
    assert not list((out / "labels").glob("manifest.*.jsonl"))
    for stage in ("supervised", "mined"):
        files = sorted(path.name for path in (out / stage).iterdir())
        assert files == ["best.safetensors", "checkpoint.pt", "history.csv", "tensorboard"]
        assert len((out / stage / "history.csv").read_text().splitlines()) == 1 + KNOBS["max_epochs"]
    assert (out / "report" / "index.html").is_file()
    assert done.stdout.count("stage mined") == 1, "only the first rank speaks"


@pytest.mark.slow
def test_a_rank_that_dies_takes_nothing_along(torchrun: Any, phantom_folder: Any, tmp_path: Path) -> None:
    data, out, alone = phantom_folder(7, size=64), tmp_path / "out", tmp_path / "alone"
    ended = torchrun(DYING, data, out, check=False)
    assert ended.returncode != 0
    assert "Signal 9 (SIGKILL)" in ended.stderr, "the reason of the rank that died"
    finished = lines(out, "manifest.1.jsonl")
    assert len(finished) == 1, "rank 1 has one label"

    config = str(bundle_root() / "configs" / "label.yaml")
    for folder in (out, alone):
        knobs = {"dataset_dir": str(data), "output_dir": str(folder), "batch_size": 1, "embedding_cache": None}
        monai.bundle.run(config_file=config, logging_file=False, **knobs)
    assert masks(out) == masks(alone)
    assert len(masks(out)) == 7
    assert lines(out) == lines(alone)
    assert set(finished) <= set(lines(out))
    assert not list((out / "labels").glob("manifest.*.jsonl"))


@pytest.mark.slow
def test_embed_is_shared(torchrun: Any, phantom_folder: Any, tmp_path: Path) -> None:
    files = "['configs/embed.yaml','configs/multi_gpu.yaml']"
    knobs = ["--dataset_dir", phantom_folder(7), "--output_dir", tmp_path, "--embedding_cache", tmp_path / "cache"]
    torchrun("-m", "monai.bundle", "run", "--config_file", files, "--image_size", 64, "--batch_size", 2, *knobs)
    metrics = metrics_of(tmp_path)
    assert (metrics["embedding_cache"]["misses"], metrics["embedding_cache"]["hits"]) == (7, 0), "by all ranks together"
    assert len([path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".json"]) == 7


# What ranks say to each other and share, without a config.
SHARING = """
import json, sys, time
from pathlib import Path
import ignite.distributed as idist, numpy as np, torch
from monai.data import DataLoader, Dataset
from labelmine.data import ClassMap, Item, LabelStore
from labelmine.errors import ConfigError
from labelmine.handlers import LabelQuality, PseudoLabeling, Schedule
from labelmine.labelers import PseudoLabel
from labelmine.ranks import gathered, join_ranks, on_first_rank, own_batches
from labelmine.run.folder import RunFolder
from labelmine.training import student_loader

assert join_ranks() == join_ranks("gloo") == "cpu"
rank, folder, said = idist.get_rank(), Path(sys.argv[1]), {}
said["gathered"] = [gathered(rank), gathered("a" * rank), gathered({"rank": rank})]
said["first"] = on_first_rank(lambda: ["made by", rank])()

torch.manual_seed(rank)  # the first rank's order must count
data = Dataset([{"id": str(n)} for n in range(11)])
shuffled = [batch["id"] for batch in own_batches(DataLoader(data, batch_size=2, shuffle=True))]
ordered = own_batches(DataLoader(data, batch_size=2))
said["batches"] = [shuffled, [batch["id"] for batch in ordered], list(own_batches(iter("abc"))), len(ordered)]

views = Dataset([{"image": torch.zeros(1)} for _ in range(13)])
loaders = student_loader(views, 2), student_loader(views, 2, steps=3)
said["samplers"] = [[len(loader), list(loader.sampler)] for loader in loaders]

store = LabelStore(folder / "labels", ClassMap())
for n in range(3):
    store.write(Item(id=f"{rank}-{n}", image="i.png", group="g"), np.full((1, 4, 4), rank), {"accepted": True, "n": n})
idist.barrier()
said["done"], said["parts"] = sorted(store.done), sorted(path.name for path in store.folder.glob("manifest*"))
mask, _ = store.read(Item(id=f"{1 - rank}-2", image="i.png", group="g"))
said["read"] = int(mask.max())
idist.barrier()
store.finish()

quality = LabelQuality(folder / "quality.csv")
score = torch.tensor([0.5] if rank else [0.1, 0.3, 0.9])
blank = torch.zeros(len(score), 1, 4, 4)
answer = {"mask": blank, "weight": blank, "score": score, "accepted": score > 0.2}
quality.observe({}, PseudoLabel(**answer, refusal=[None] * len(score), source={}, prompts=[]))
quality(type("Engine", (), {"state": type("State", (), {"epoch": 1})}))
said["quality"] = quality.rows

said["refused"] = []
for knobs in ({"schedule": Schedule("continuous", relabel_every=2)}, {"loader": []}):
    try:
        PseudoLabeling(None, torch.nn.Linear(1, 1), **knobs)
    except ConfigError as error:
        said["refused"].append(str(error))

run = RunFolder(folder / "run", {"seed": 0}, "mine")
said["stages"] = [run.stage("data", lambda: rank), run.stage("label", lambda: rank)]
run.stage("evaluate", lambda: (time.sleep(0.5), (folder / "late").touch())[1])
said["late"] = (folder / "late").exists()
(folder / f"sharing-{rank}.json").write_text(json.dumps(said))
"""


# Then trainings of toys and students, and a continuous run.
TRAINING = """
from functools import partial
import monai.bundle
from ignite.engine import Events
from torch import nn
from labelmine.bundle import bundle_root
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.training import TrainingPlan, student_trainer
from labelmine.training.parallel import MeanStatistics, agree_on_metrics, data_parallel

device, said = torch.device("cpu"), {}
torch.manual_seed(0)
data = torch.randn(4, 3)
toy = nn.Linear(3, 1)
said["before"] = toy.weight.tolist()
parallel = data_parallel(toy, device)
(parallel(data[2 * rank : 2 * rank + 2]) ** 2).mean().backward()
said["gradient"], said["data"] = toy.weight.grad.tolist(), data.tolist()

free, frozen = nn.BatchNorm1d(2), nn.BatchNorm1d(2).eval()
for layer in (free, frozen):
    layer.running_mean.fill_(rank)
MeanStatistics(nn.Sequential(free, frozen))(None)
MeanStatistics(nn.Linear(1, 1))(None)
said["running_mean"] = [free.running_mean.tolist(), frozen.running_mean.tolist()]
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
        scheduler=lambda optimizer, steps: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer),
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
(folder / f"training-{rank}.json").write_text(json.dumps(said))

files = [str(bundle_root() / "configs" / f"{name}.yaml") for name in ("mine", "multi_gpu")]
monai.bundle.run(
    config_file=files, logging_file=False, output_dir=str(folder / "continuous"), dataset_dir=sys.argv[2],
    backend="gloo", schedule="continuous", warm_up=1, ema_decay=0.5, encoder="mobilenet_v2",
    image_size=64, batch_size=2, max_epochs=2, steps_per_epoch=3, learning_rate=1e-3, min_score=0.0,
    embedding_cache=None, fit_steps=2,
)
"""


@pytest.fixture(scope="module")
def two_ranks(torchrun: Torchrun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both programs have written; in one start, as imports take longest."""
    folder = tmp_path_factory.mktemp("ranks")
    data = write_phantom_set(folder / "phantoms", 4, 2, 2, n_unlabeled=8, size=64)
    torchrun(SHARING + TRAINING, folder, data)
    return folder


@pytest.mark.slow
def test_two_ranks_share(two_ranks: Path) -> None:
    first, second = (json.loads((two_ranks / f"sharing-{rank}.json").read_text()) for rank in range(2))

    for said in (first, second):
        assert said["gathered"] == [[0, 1], ["", "a"], [{"rank": 0}, {"rank": 1}]]
        assert said["first"] == ["made by", 0]
        assert said["late"], "a rank left a stage before its files were written"
    assert (first["stages"], second["stages"]) == ([0, 0], [0, 1])
    assert sorted(path.name for path in (two_ranks / "run").iterdir()) == [
        ".lock", ".lock.json", "checksums.jsonl", "config.yaml", "run.log", "seconds.json",
    ]  # fmt: skip

    one_rank = [["0", "1"], ["2", "3"], ["4", "5"], ["6", "7"], ["8", "9"], ["10"]]
    assert first["batches"][1:] == [one_rank[::2], ["a", "c"], 3]
    assert second["batches"][1:] == [one_rank[1::2], ["b"], 3]
    drawn = [image for said in (first, second) for batch in said["batches"][0] for image in batch]
    assert sorted(drawn, key=int) == [str(number) for number in range(11)]

    (pass_1, steps_1), (pass_2, steps_2) = first["samplers"], second["samplers"]
    assert pass_1[0] == pass_2[0] == 3  # 7 of 13 images each, one of them twice, in whole batches of 2
    assert set(pass_1[1]) | set(pass_2[1]) == set(range(13))
    assert len(set(pass_1[1]) & set(pass_2[1])) == 1
    assert steps_1[0] == steps_2[0] == 3
    assert steps_1[1] != steps_2[1]

    names = [f"{rank}-{number}" for rank in range(2) for number in range(3)]
    assert first["done"] == second["done"] == names
    assert first["parts"] == ["manifest.1.jsonl", "manifest.jsonl"]
    assert (first["read"], second["read"]) == (1, 0)
    assert not list((two_ranks / "labels").glob("manifest.1*"))
    lines = (two_ranks / "labels" / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == names

    assert first["quality"] == second["quality"]
    row = first["quality"][0]
    assert (row["labelled"], row["accepted"], row["score"]) == (4, 0.75, pytest.approx(0.45))
    for said in (first, second):
        assert len(said["refused"]) == 2
        assert all("2 ranks share labels through files only" in message for message in said["refused"])


def weights(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return found


@pytest.mark.slow
def test_two_ranks_train_one_student(two_ranks: Path) -> None:
    first, second = (json.loads((two_ranks / f"training-{rank}.json").read_text()) for rank in range(2))

    weight, data = torch.tensor(first["before"]), torch.tensor(first["data"])
    toy = nn.Linear(3, 1)
    torch.manual_seed(0)
    torch.randn(4, 3)
    toy.reset_parameters()
    torch.testing.assert_close(toy.weight.detach(), weight)
    (toy(data) ** 2).mean().backward()  # halves of equal size: the mean over ranks is the mean over all
    for rank, said in enumerate((first, second)):
        torch.testing.assert_close(torch.tensor(said["gradient"]), toy.weight.grad)
        assert said["running_mean"] == [[0.5, 0.5], [rank, rank]]
        assert said["agreed"] == {"val_dice": 0.0}
    for encoder in ("efficientnet-b0", "mobilenet_v2"):
        assert first[encoder] == second[encoder] > 0

    for name in ("unbroken", "resumed"):
        one, other = weights(two_ranks / f"{name}-0.pt"), weights(two_ranks / f"{name}-1.pt")
        assert all(torch.equal(one[key], other[key]) for key in one), name
    unbroken, resumed = weights(two_ranks / "unbroken-0.pt"), weights(two_ranks / "resumed-0.pt")
    assert all(torch.equal(unbroken[key], resumed[key]) for key in unbroken)

    for epoch in (slice(0, 2), slice(2, 4)):  # two batches of three images an epoch, on each rank
        drawn = [image for said in (first, second) for batch in said["seen"][epoch] for image in batch]
        assert sorted(drawn, key=int) == [str(number) for number in range(12)]
    assert first["seen"][:2] != first["seen"][2:]

    files = sorted(path.name for path in (two_ranks / "unbroken").iterdir())
    assert files == ["best.safetensors", "checkpoint.pt", "history.csv", "tensorboard"]
    assert len(list((two_ranks / "unbroken" / "tensorboard").iterdir())) == 1
    assert Student.load(two_ranks / "unbroken" / "best.safetensors")[1]["image_size"] == 64

    continuous = two_ranks / "continuous"
    metrics = metrics_of(continuous)
    lines = (continuous / "labels" / "manifest.jsonl").read_text().splitlines()
    assert len(lines) == len({json.loads(line)["id"] for line in lines}) == metrics["n_unlabeled"] > 0
    quality = pd.read_csv(continuous / "mined" / "label_history.csv")
    assert quality["labelled"].iloc[0] == 0 < quality["labelled"].iloc[1], "warm-up, then labels"
