from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labelmine.data.findings import Finding
from labelmine.evaluation import Case, best_median_worst, evaluate_masks
from labelmine.report import GateSummary, PseudoLabelSummary, ReportContext, run_sentences, run_tables, write_report

Reader = Callable[[str], Any]


def disc(x: float, size: int = 48) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return ((rows - size / 2) ** 2 + (columns - x) ** 2 < (size / 4) ** 2)[None]


def table(shift: float, count: int = 24) -> pd.DataFrame:
    return evaluate_masks((f"image{i:02d}", disc(24 + shift + i / 6), disc(24)) for i in range(count))


def gate(**changes: object) -> GateSummary:
    row = {"class": "polyp", "n": 40, "student": 0.7, "labeler": 0.75, "blend": 0.8, "choice": "blend"}
    fields: dict[str, object] = {
        "sentence": "Dice on held-out gold, and who labels: blend.",
        "rows": [{**row, "size": "all"}, {**row, "size": "small", "n": 9}],
        "reliability": pd.DataFrame({"expected": [0.2, 0.8], "observed": [0.3, 0.75], "n": [5, 15]}),
        "error": 0.0625,
        "n": 20,
    }
    return GateSummary(**(fields | changes))  # type: ignore[arg-type]


def full_context(**changes: object) -> ReportContext:
    case = Case(
        id="<script>alert(1)</script>",
        image=np.random.default_rng(0).random((48, 48, 3)),
        gold=disc(24),
        predictions={"supervised": disc(20), "mined": disc(23)},
        boxes=np.array([[12, 12, 36, 36]]),
        points=np.array([[24, 24]]),
        dice={"mined": 0.93},
        caption="best",
    )
    fields: dict[str, object] = {
        "dataset": "/home/maria/ward",
        "seed": 7,
        "tables": {"supervised": table(3), "mined": table(1)},
        "kept": "mined",
        "kept_reason": "higher Dice on gold validation",
        "histories": {"supervised": [{"epoch": 1, "train_loss": 1.0, "val_dice": 0.3}], "mined": []},
        "pseudo_labels": PseudoLabelSummary(
            accepted=5,
            rejected=2,
            reasons={"disagreement": 2},
            dice={"mean": 0.7, "n": 7},
            student_dice={"mean": 0.6},
            source="prompted, /srv/maria/weights/compact.safetensors",
        ),
        "gate": gate(),
        "counts": {"n_gold": 12, "n_empty_masks": 1, "other_thing": 3},
        "quarantined": [("bad<b>.png", "0 bytes: /home/maria/ward/bad.png")],
        "findings": [Finding("levels", "cut halfway, at 127.5", 4, ("a.png", "b.png", "c.png"))],
        "warnings": ["most gold masks are empty"],
        "test_cases": [case],
        "pseudo_cases": [case],
        "seconds": {"supervised": 61.2, "mining": 3.04},
        "command": "python -m monai.bundle run --dataset_dir /home/maria/ward",
        "config": {"dataset_dir": "/home/maria/ward", "prompts": {"box": True}},
    }
    return ReportContext(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def full_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it, drawn once."""
    return write_report(tmp_path_factory.mktemp("run"), full_context())


def test_the_gate_s_decision_and_the_scores_trustworthiness_are_shown(full_page: Path, outline: Reader) -> None:
    html = full_page.read_text(encoding="utf-8")
    page = outline(html)
    assert "Which labels to trust" in page.headings
    assert "Dice on held-out gold, and who labels: blend." in html
    assert re.search(r"all sizes.*40.*0\.700.*0\.750.*0\.800.*blend", html, re.DOTALL)
    alts = [image["alt"] or "" for image in page.images]
    assert "Expected and observed Dice of labels of held-out gold, by bin: 0.20 0.30; 0.80 0.75." in alts
    assert (full_page.parent / "figures" / "reliability.png").is_file()


def test_how_scores_were_calibrated_is_said() -> None:
    assert "learnt on 20 labels of held-out gold; judged" in run_sentences.gate_sentences(gate())[1]
    assert "off by 0.062 on average" in run_sentences.gate_sentences(gate())[1]
    assert "gold masks made worse in known ways" in run_sentences.gate_sentences(gate(rows=()))[1]
    assert "too little to calibrate" in run_sentences.gate_sentences(gate(reliability=None))[1]
    assert run_tables.gate_table(gate(rows=())) is None


def test_page_is_whole_self_contained_and_names_no_folder(full_page: Path, outline: Reader) -> None:
    html = full_page.read_text(encoding="utf-8")
    assert full_page.parts[-2:] == ("report", "index.html")
    assert "maria" not in html
    page = outline(html)
    page.assert_self_contained()
    assert len(page.images) == 4 + 2 * 3  # four plots, two cases of three panels
    assert [heading for heading in page.headings if heading] == [
        "Segmentation report",
        "Results on gold test images",
        "Test cases",
        "Which labels to trust",
        "Pseudo labels",
        "Training",
        "Data",
        "How it was made",
        "Words on this page",
    ]


def test_ids_and_file_names_are_escaped(full_page: Path) -> None:
    html = full_page.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "bad&lt;b&gt;.png" in html


def test_page_says_what_the_run_found(full_page: Path) -> None:
    html = full_page.read_text(encoding="utf-8")
    for sentence in (
        "The mined student was kept (higher Dice on gold validation).",
        "24 gold test images",
        "5 of 7 pseudo labels were accepted (prompted, compact.safetensors).",
        "they reach a mean Dice of 0.700; the student&#39;s own masks reach 0.600 (7 images).",
        "most gold masks are empty",
        "gold images for training",
        "other thing",
        "1 min 01 s",
        "run --dataset_dir ward",
        "prompts.box",
    ):
        assert sentence in html, sentence


def test_what_was_assumed_of_the_images_is_said(full_page: Path) -> None:
    text = full_page.read_text(encoding="utf-8")
    assert "cut halfway, at 127.5" in text
    assert "4: a.png, b.png, c.png, ..." in text


def test_pictures_lie_beside_the_page(full_page: Path) -> None:
    names = {path.name for path in (full_page.parent / "figures").iterdir()}
    case = "_script_alert_1_script_.png"
    assert names == {
        "dice_by_image.png",
        "train_loss.png",
        "reliability.png",
        "val_dice.png",
        f"test_1_{case}",
        f"pseudo_1_{case}",
    }


def test_pictures_of_older_cases_go_and_those_of_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "report" / "figures"
    folder.mkdir(parents=True)
    for name in ("test_1_old.png", "pseudo_12_old.png", "mine.png", "test_notes.png"):
        (folder / name).touch()
    write_report(tmp_path, ReportContext(dataset="ward", seed=0))
    assert {path.name for path in folder.iterdir()} == {"mine.png", "test_notes.png"}


def test_the_same_run_gives_the_same_page(full_page: Path, tmp_path: Path) -> None:
    assert write_report(tmp_path, full_context()).read_bytes() == full_page.read_bytes()


@pytest.mark.parametrize(
    "context",
    [
        ReportContext(dataset="ward", seed=0),
        ReportContext(dataset="ward", seed=0, tables={"student": table(2, 3)}),
        ReportContext(dataset="ward", seed=0, tables={"student": table(2, 0)}),
        ReportContext(dataset="ward", seed=0, pseudo_labels=PseudoLabelSummary(accepted=0)),
        ReportContext(dataset="ward", seed=0, test_cases=[Case(id="a", image=np.zeros((8, 8, 3)))]),
    ],
    ids=["nothing", "one student", "no images", "no pseudo labels", "image alone"],
)
def test_a_page_with_little_is_still_whole(tmp_path: Path, context: ReportContext, outline: Reader) -> None:
    html = write_report(tmp_path, context).read_text(encoding="utf-8")
    page = outline(html)
    assert not page.open
    assert not re.search(r"\b(None|nan)\b", page.text)


def test_few_test_images_are_called_few(tmp_path: Path) -> None:
    context = ReportContext(dataset="ward", seed=0, tables={"student": table(2, 3)})
    assert "Only 3 gold test images" in write_report(tmp_path, context).read_text(encoding="utf-8")


def test_two_students_that_cannot_be_told_apart_are_called_so() -> None:
    even = table(0).assign(dice=[0.5 + 0.1 * (-1) ** i for i in range(24)])
    odd = table(0).assign(dice=[0.5 - 0.1 * (-1) ** i for i in range(24)])
    context = ReportContext(dataset="ward", seed=0, tables={"supervised": even, "mined": odd})
    summaries = {name: {"dice": {"n": 24, "mean": 0.5, "ci95": [0.4, 0.6]}} for name in context.tables}
    lines = run_sentences.headline(context, summaries)
    assert lines[0] == "Mean Dice of mined on 24 gold test images is 0.500 (95 % interval 0.400 to 0.600)."
    assert any("cannot be told apart" in line for line in lines)
    assert any("12 images came out better, 12 worse, 0 about the same" in line for line in lines)


def test_several_classes_have_their_table(tmp_path: Path) -> None:
    mask = np.concatenate([disc(20), disc(28)])
    rows = evaluate_masks([("a", mask, mask)], ["head", "tail"])
    html = write_report(tmp_path, ReportContext(dataset="x", seed=0, tables={"s": rows})).read_text(encoding="utf-8")
    assert "Mean Dice by class" in html
    assert ">tail<" in html


def test_lesions_found_have_their_table() -> None:
    recall = {name: {"found": 3, "n": n, "recall": 3 / n} for name, n in (("small", 4), ("large", 12), ("all", 16))}
    recall["medium"] = {"found": 0, "n": 0, "recall": float("nan")}
    grid = run_tables.lesion_table({"student": {"lesion_recall": recall, "false_lesions": {"mean": 0.5}}})
    assert grid is not None
    assert grid.header == ("", "lesions", "student")
    assert grid.rows == [
        ("small, under 2 %", "4", "0.750"),
        ("large, 10 % or more", "12", "0.250"),
        ("all sizes", "16", "0.188"),
        ("false lesions per image", "", "0.500"),
    ]
    assert run_tables.lesion_table({"student": {"dice": {}}}) is None
    assert run_tables.lesion_table({}) is None


def test_distances_are_shown_only_where_spacing_is_known(tmp_path: Path) -> None:
    pairs = [("a", disc(20), disc(24)), ("b", disc(24), np.zeros_like(disc(24)))]
    pages = []
    for name, spacings in (("with", {"a": (0.5, 0.5), "b": (0.5, 0.5)}), ("without", None)):
        rows = evaluate_masks(pairs, spacings=spacings)
        context = ReportContext(dataset="x", seed=0, tables={"s": rows})
        pages.append(write_report(tmp_path / name, context).read_text(encoding="utf-8"))
    cells = dict(re.findall(r'<th scope="row">([^<]+)</th><td>([^<]+)</td>', pages[0]))
    assert cells["Hausdorff 95, mean (mm)"] == "2.000"
    assert cells["images without a distance"] == "1"
    assert "surface Dice, mean" in cells
    assert all("lesions" in html and "false lesions per image" in html for html in pages)
    assert not any(word in pages[1] for word in ("Hausdorff", "surface Dice", "without a distance", "millimetre"))


@pytest.mark.shared
def test_real_polyps(shared_data: Path, tmp_path: Path, outline: Reader) -> None:
    root = shared_data / "kvasir_seg"
    ids = [path.stem for path in sorted((root / "masks").glob("*.png"))[:5]]
    gold = {i: np.asarray(Image.open(root / "masks" / f"{i}.png").convert("L"))[None] > 0 for i in ids}
    answers = {i: np.roll(mask, 20, axis=2) for i, mask in gold.items()}
    rows = evaluate_masks((i, answers[i], gold[i]) for i in ids)
    cases = [
        Case(
            id=i,
            image=np.asarray(Image.open(root / "images" / f"{i}.jpg").convert("RGB")) / 255.0,
            gold=gold[i],
            predictions={"student": answers[i]},
            caption=caption,
        )
        for caption, i in best_median_worst(rows).items()
    ]
    context = ReportContext(dataset="kvasir_seg", seed=0, tables={"student": rows}, test_cases=cases)
    path = write_report(tmp_path, context)
    assert 50_000 < path.stat().st_size < 3_000_000
    assert len(outline(path.read_text(encoding="utf-8")).images) == 1 + 3 * 2


def test_the_page_says_what_each_student_got() -> None:
    def history(losses: list[float]) -> list[dict[str, float]]:
        return [{"epoch": n, "step": 50.0 * n, "train_loss": loss, "seconds": 6.0} for n, loss in enumerate(losses, 1)]

    falling, settled = history([1.0, 0.8, 0.6, 0.4]), history([1.0, 0.5, 0.4, 0.395])
    table = run_tables.training_table({"supervised": falling, "mined": settled, "short": history([1.0])}, 160)
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["optimizer steps"] == ("200", "200", "50")
    assert rows["pixels, longest side"] == ("160", "160", "160")
    assert rows["time"] == ("24 s", "24 s", "6.0 s")
    assert rows["fall over the last quarter"] == ("yes, 33%", "no", "not known")
    assert run_tables.training_table({"older": [{"epoch": 1, "train_loss": 1.0, "seconds": 1.0}]}, None) is None
