"""A student, or a compact teacher, as the folder that ``huggingface_hub.upload_folder`` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from labelmine import __version__
from labelmine.atomic import write_whole
from labelmine.deployment.facts import RESEARCH, StudentFacts
from labelmine.errors import ConfigError
from labelmine.hub import HUB_WEIGHTS
from labelmine.run.files import METRICS_FILE, MODEL_FILE, TEACHER_FILE
from labelmine.weights import load_state_dict_safely, sha256_of

#: Licences that the hub knows by these names; any other is told by its own.
_KNOWN_LICENCES = frozenset(
    {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}
)


def write_hub_folder(run: Path, folder: Path, licence: str = RESEARCH) -> dict[str, Any]:
    """Write ``README.md`` (model card), ``model.safetensors`` and ``config.json``.

    Args:
        run: Output folder of a run that trained a student or a compact teacher.
        folder: Empty folder.
        licence: Of the weights.

    Returns:
        What ``config.json`` says.

    Raises:
        ConfigError: The run trained neither.
    """
    if (run / MODEL_FILE).is_file():
        weights, facts, card = run / MODEL_FILE, *_student(run, licence)
    elif (run / TEACHER_FILE).is_file():
        weights, facts, card = run / TEACHER_FILE, *_teacher(run / TEACHER_FILE, licence)
    else:
        raise ConfigError(
            f"model_dir: expected {MODEL_FILE} or {TEACHER_FILE} in {run.name}, found neither; give the output folder "
            "of a mine, train or train-teacher run"
        )
    write_whole(folder / HUB_WEIGHTS, weights.read_bytes())
    write_whole(folder / "config.json", json.dumps(facts, indent=2).encode())
    write_whole(folder / "README.md", card.encode())
    return facts


def _student(run: Path, licence: str) -> tuple[dict[str, Any], str]:
    facts = {"model_type": "labelmine-student", **StudentFacts.of_file(run / MODEL_FILE, licence).as_dict()}
    path = run / METRICS_FILE
    figures = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept = figures.get("kept", "")
    scores = figures.get(kept)
    classes = ", ".join(facts["class_names"])
    title = f"labelmine student: {classes}"
    data = ModelCardData(
        **_licence(licence),
        model_name=title,
        pipeline_tag="image-segmentation",
        tags=["labelmine", "monai", "medical"],
        eval_results=_results(figures["dataset"], scores) if scores else None,
    )
    told = {"classes": classes, "figures": figures if "n_gold" in figures else None, "kept": kept, "scores": scores}
    return facts, _card("student_card.md.j2", data, title=title, facts=facts, **told)


def _teacher(path: Path, licence: str) -> tuple[dict[str, Any], str]:
    _, metadata = load_state_dict_safely(path)
    facts = {
        "model_type": metadata["format"],
        "made_by": f"labelmine {__version__}",
        "image_size": int(metadata["image_size"]),
        "n_images": len(json.loads(metadata["trained_on"])),
        "recipe": json.loads(metadata["recipe"]),
        "teacher_sha256": sha256_of(path),
        "licence": licence,
    }
    title = "labelmine compact teacher"
    data = ModelCardData(
        **_licence(licence), pipeline_tag="mask-generation", tags=["labelmine", "monai", "medical"], model_name=title
    )
    return facts, _card("teacher_card.md.j2", data, title=title, facts=facts)


def _results(dataset: str, scores: dict[str, Any]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="image-segmentation",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split="test",
            metric_type=name,
            metric_name=label,
            metric_value=round(scores[name]["mean"], 4),
        )
        for name, label in (("dice", "Dice"), ("iou", "IoU"))
    ]


def _licence(licence: str) -> dict[str, Any]:
    known = licence.lower() in _KNOWN_LICENCES
    return {"license": licence.lower()} if known else {"license": "other", "license_name": licence}


def _card(template: str, data: ModelCardData, **told: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), undefined=StrictUndefined, autoescape=False
    )
    return f"---\n{data.to_yaml()}\n---\n\n{environment.get_template(template).render(**told)}\n"
