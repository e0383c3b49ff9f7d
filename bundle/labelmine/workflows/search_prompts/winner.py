"""What a prompt search found, in files: the table, the figures, and an overlay with the prompts to use."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from labelmine.atomic import write_whole
from labelmine.data import ImageSet
from labelmine.evaluation import write_metrics, write_table
from labelmine.evaluation.summary import paired_difference, statistics
from labelmine.teachers import Teacher, cache_metrics, seen_images
from labelmine.workflows.search_prompts.settings import PromptSetting

logger = logging.getLogger(__name__)

OVERLAY = "prompts.yaml"


def write_winner(
    folder: Path,
    images: ImageSet,
    trials: Mapping[PromptSetting, pd.DataFrame],
    student: pd.DataFrame,
    teacher: Teacher,
    method: str,
    seed: int = 0,
) -> PromptSetting:
    """Choose, and write ``trials.csv``, ``prompts.yaml`` and ``metrics.json``.

    A setting takes the default's place only if the bootstrap interval of its paired difference to it lies above 0; of
    several the one of the highest mean Dice. As the same images choose and measure, the winner's figure is a little
    too good, the more so the more was tried.

    Args:
        folder: Where to write.
        images: The image set.
        trials: ``id``, ``group``, ``dice`` and ``accepted`` of each image, by setting; the default comes first.
        student: The same of the student's own masks.
        teacher: The teacher.
        method: How settings were chosen to be tried.
        seed: Of the bootstrap.

    Returns:
        The setting that is kept.
    """
    settings = list(trials)
    default = settings[0]
    gains = {setting: paired_difference(trials[default], trials[setting], seed) for setting in settings}
    better = [setting for setting in settings[1:] if gains[setting]["ci95"][0] > 0]
    kept = max(better, key=lambda setting: gains[setting]["mean"], default=default)
    rows = [{"trial": "student alone", **_figures(student, paired_difference(trials[default], student, seed), seed)}]
    rows += [{"trial": s.name, **s.knobs(), **_figures(trials[s], gains[s], seed)} for s in settings]
    table = pd.DataFrame(rows).assign(default=[False, *(s == default for s in settings)])
    write_table(folder / "trials.csv", table.assign(kept=[False, *(s == kept for s in settings)]))
    sentence = _sentence(kept, default, gains, trials)
    write_whole(folder / OVERLAY, _overlay(kept, sentence, images, student, teacher).encode())
    figures = {"setting": kept.name, **kept.knobs(), "dice": statistics(trials[kept], "dice", seed)}
    metrics = {
        "dataset": images.name,
        "seed": seed,
        "n_images": len(student),
        "n_trials": len(trials),
        "method": method,
        "kept": figures,
        "kept_default": kept == default,
        "difference_to_default": gains[kept],
        "default": {"setting": default.name, "dice": statistics(trials[default], "dice", seed)},
        "student": {"dice": statistics(student, "dice", seed)},
        "warnings": _warnings(teacher, images, set(student["id"])),
        **cache_metrics(teacher),
    }
    write_metrics(folder / "metrics.json", metrics)
    logger.info("%s; overlay: %s", sentence, OVERLAY)
    return kept


def _figures(table: pd.DataFrame, gain: Mapping[str, Any], seed: int) -> dict[str, Any]:
    dice = statistics(table, "dice", seed)
    accepted = table.loc[table["accepted"], "dice"]
    return {
        **{name: dice[name] for name in ("mean", "std", "n")},
        "difference": gain["mean"],
        "low": gain["ci95"][0],
        "high": gain["ci95"][1],
        "n_accepted": len(accepted),
        "mean_accepted": accepted.mean(),
        "std_accepted": accepted.std(),
    }


def _sentence(
    kept: PromptSetting,
    default: PromptSetting,
    gains: Mapping[PromptSetting, Mapping[str, Any]],
    trials: Mapping[PromptSetting, pd.DataFrame],
) -> str:
    mean = {setting: float(table["dice"].mean()) for setting, table in trials.items()}
    best = kept if kept != default else max(trials, key=lambda setting: mean[setting])
    low, high = gains[best]["ci95"]
    against = f"{gains[best]['mean']:+.4f} [{low:.4f}, {high:.4f}] to the default ({default.name}: {mean[default]:.4f})"
    if kept != default:
        return f"best of {len(trials)} settings: {kept.name}: Dice {mean[kept]:.4f}, {against}"
    if best == default:
        return f"none of {len(trials)} settings is better than the default ({default.name}: Dice {mean[default]:.4f})"
    return (
        f"none of {len(trials)} settings beats the default beyond noise, so the default is kept; the best, "
        f"{best.name}, has Dice {mean[best]:.4f}, {against}"
    )


def _overlay(kept: PromptSetting, sentence: str, images: ImageSet, student: pd.DataFrame, teacher: Teacher) -> str:
    header = [
        "Overlay: prompts that search_prompts.yaml found.",
        f"On {len(student)} gold images of {images.name}, teacher {teacher.name}: {sentence}.",
        f"The student alone: {student['dice'].mean():.4f}. The images that chose also measured: expect a little less.",
        "python -m monai.bundle run --config_file \"['configs/mine.yaml','prompts.yaml']\" --dataset_dir DIR",
        "(with the teacher's overlay between the two, if there was one)",
    ]
    choice = {} if kept.multimask is None else {"teacher::multimask": kept.multimask}
    knobs = yaml.safe_dump(kept.knobs() | choice, sort_keys=False, default_flow_style=None)
    # Names come from folders and files of weights: a line's end in one would end the comment.
    return "".join(f"# {' '.join(line.split())}\n" for line in header) + knobs


def _warnings(teacher: Teacher, images: ImageSet, ids: set[str]) -> list[str]:
    seen = seen_images(teacher, [item["image"] for item in images.items if item["id"] in ids])
    if not seen:
        return []
    sentence = (
        f"The teacher '{teacher.name}' was trained on {len(seen)} of these images (for example {seen[0]}): prompts "
        "that suit it here need not suit it elsewhere. Use weights that never saw this set, see models/README.md."
    )
    logger.warning(sentence)
    return [sentence]
