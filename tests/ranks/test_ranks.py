"""What ranks have in common, first without others, then in two processes that ``torchrun`` starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.data import DataLoader, Dataset

from labelmine.errors import ConfigError
from labelmine.ranks import gathered, join_ranks, on_first_rank, own_batches, refuse_strangers
from labelmine.workflows import RunFolder


def test_one_rank_needs_nobody() -> None:
    loader = DataLoader(Dataset([{"x": 1}, {"x": 2}]), batch_size=1)
    assert join_ranks("gloo") == "cpu"
    assert gathered([1, 2]) == [[1, 2]]
    assert own_batches(loader) is loader
    assert on_first_rank(max)(3, 4) == 4


def test_unknown_backend() -> None:
    with pytest.raises(ConfigError, match=r"backend: expected nccl, gloo or null. Got: 'mpi'"):
        join_ranks("mpi")


def test_fewer_gpus_than_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "64")
    with pytest.raises(ConfigError, match=r"a GPU for each rank of this machine, found \d+\. .*--backend gloo"):
        join_ranks("nccl")


@pytest.mark.parametrize(
    "work",
    [
        refuse_strangers,
        lambda: own_batches([]),
        on_first_rank(lambda: None),
        lambda: RunFolder("unused", {}).stage("data", lambda: None),
    ],
)
def test_ranks_that_have_not_joined_do_no_work(
    work: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"torchrun started 2 ranks, but they work alone. Add configs/multi_gpu.yaml"):
        work()


TOGETHER = """
import json, sys, time
from pathlib import Path
import ignite.distributed as idist, numpy as np, torch
from monai.data import DataLoader, Dataset
from labelmine.data import ClassMap, Item, LabelStore
from labelmine.errors import ConfigError
from labelmine.handlers import LabelQuality, PseudoLabeling
from labelmine.labelers import PseudoLabel
from labelmine.ranks import gathered, join_ranks, on_first_rank, own_batches
from labelmine.workflows import RunFolder, student_loader

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
quality.observe({}, PseudoLabel(**answer, reason=[""] * len(score), source={}, prompts=[]))
quality(type("Engine", (), {"state": type("State", (), {"epoch": 1})}))
said["quality"] = quality.rows

said["refused"] = []
for knobs in ({"relabel_every": 2, "schedule": "continuous"}, {"loader": []}):
    try:
        PseudoLabeling(None, torch.nn.Linear(1, 1), **knobs)
    except ConfigError as error:
        said["refused"].append(str(error))

run = RunFolder(folder / "run", {"seed": 0})
said["stages"] = [run.stage("data", lambda: rank), run.stage("label", lambda: rank)]
run.stage("evaluate", lambda: (time.sleep(0.5), (folder / "late").touch())[1])
said["late"] = (folder / "late").exists()
(folder / f"{rank}.json").write_text(json.dumps(said))
idist.finalize()
"""


@pytest.mark.slow
def test_two_ranks_together(torchrun: Any, tmp_path: Path) -> None:
    torchrun(TOGETHER, tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))

    for said in (first, second):
        assert said["gathered"] == [[0, 1], ["", "a"], [{"rank": 0}, {"rank": 1}]]
        assert said["first"] == ["made by", 0]
        assert said["late"], "a rank left a stage before its files were written"
    assert (first["stages"], second["stages"]) == ([0, 0], [0, 1])
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml", "seconds.json"]

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
    assert not list((tmp_path / "labels").glob("manifest.1*"))
    lines = (tmp_path / "labels" / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == names

    assert first["quality"] == second["quality"]
    row = first["quality"][0]
    assert (row["labelled"], row["accepted"], row["score"]) == (4, 0.75, pytest.approx(0.45))
    for said in (first, second):
        assert len(said["refused"]) == 2
        assert all("2 ranks share labels through files only" in message for message in said["refused"])
