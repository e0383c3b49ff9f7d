"""The workflow of ``configs/search_prompts.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from labelmine.data import ImageSet
from labelmine.prediction import SavedStudent
from labelmine.run.files import SUPERVISED
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import Count, PromptKnobs
from labelmine.teachers import Teacher, build_cached_teacher
from labelmine.training import student_loader, view_dataset
from labelmine.workflows.search_prompts.search import PromptSearch, SearchOptions
from labelmine.workflows.search_prompts.searched_gold import SearchedGold, gold_items, images_of_run, trained_settings
from labelmine.workflows.search_prompts.settings import SearchSpace, default_setting


class SearchKnobs(PromptKnobs):
    """The knobs of ``configs/search_prompts.yaml``."""

    workflow: ClassVar[str] = "search_prompts"

    dataset_dir: str | None
    model_dir: str
    gold: Literal["val", "hidden"]
    limit: Count | None
    batch_size: Count
    kinds_tried: list[list[str]]
    objects: list[str]
    margins: list[float]
    taus: list[float]
    n_points_tried: list[Count]
    mask_choices: list[str]
    max_trials: Count
    tta: bool | None


class Searching:
    """Try prompts with the supervised student of a finished run, on gold that is no test gold.

    Args:
        knobs: Of the workflow.
        teacher: Is prompted.

    Raises:
        ConfigError: No such run, or nothing to try.
    """

    def __init__(self, knobs: SearchKnobs, teacher: Teacher) -> None:
        """Open the run and the folder; nothing is tried yet."""
        self.knobs = knobs
        self.trained = trained_settings(knobs.model_dir)
        tta = self.trained.get("tta", True) if knobs.tta is None else knobs.tta
        self.student = SavedStudent(Path(knobs.model_dir).expanduser() / SUPERVISED, knobs.device, tta)
        self.space = SearchSpace(
            default_setting(
                kinds=knobs.prompt_kinds,
                per_component=knobs.per_component,
                margin=knobs.margin,
                tau=knobs.tau,
                n_points=knobs.n_points,
                multimask=teacher.multimask,
            ),
            kinds=knobs.kinds_tried,  # type: ignore[arg-type]  # words, which it checks
            objects=knobs.objects,
            margins=knobs.margins,
            taus=knobs.taus,
            n_points=knobs.n_points_tried,
            mask_choices=knobs.mask_choices,
        )
        self.folder = RunFolder(knobs.output_dir, knobs.settings, knobs.workflow)
        self.folder.depends_on(student_sha256=self.student.sha256(), teacher_sha256=teacher.weights_sha256)
        self.teacher = build_cached_teacher(teacher, knobs.embedding_cache, knobs.cache_gb)

    def search(self) -> None:
        """Try all settings, or go on where a killed search stopped; write the best as an overlay."""
        images = self.folder.stage("data", self._images)
        self.folder.stage("evaluate", lambda: self._search(images))

    def _images(self) -> ImageSet:
        return images_of_run(self.knobs.model_dir, self.knobs.dataset_dir, self.knobs.output_dir)

    def _search(self, images: ImageSet) -> None:
        knobs = self.knobs
        items = gold_items(images, knobs.gold, knobs.limit, knobs.seed)
        size = self.teacher.image_size
        views = view_dataset(items, images, self.trained["image_size"], cache_num=1000, teacher_size=size)
        gold = SearchedGold(images, items, student_loader(views, knobs.batch_size, shuffle=False))
        options = SearchOptions(
            generator=knobs.model_dump(include={"point_choice", "n_negative", "min_size", "seed"}),
            exclusive=self.student.student.exclusive,
            min_score=knobs.min_score,
            max_trials=knobs.max_trials,
            seed=knobs.seed,
            device=knobs.device,
        )
        PromptSearch(self.teacher, self.student, gold, self.folder.path, self.space, options)()
