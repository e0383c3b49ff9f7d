"""The knobs of ``configs/doctor.yaml``, and those of ``mine`` that it answers for."""

from __future__ import annotations

from typing import Any, ClassVar

from monai.bundle import ConfigParser

from labelmine.bundle import bundle_root
from labelmine.run.declared import declared_knobs
from labelmine.run.knobs import ImageKnobs, RunKnobs, ViewSize


class DoctorKnobs(RunKnobs, ImageKnobs):
    """All of them."""

    workflow: ClassVar[str] = "doctor"

    classes: Any
    image_size: ViewSize
    teacher_weights: str
    estimate: bool

    def of_mine(self, *names: str) -> dict[str, Any]:
        """Return what ``mine`` would have as knobs: these, those of overlays, and the defaults of its config.

        Args:
            names: Knobs of ``configs/mine.yaml``.
        """
        path = bundle_root() / "configs" / "mine.yaml"
        declared = {knob.name for knob in declared_knobs(path)}
        given = {**self.settings, **{name: getattr(self, name) for name in type(self).model_fields}}
        parser = ConfigParser()
        parser.read_config(str(path))
        parser.update({name: value for name, value in given.items() if name in declared})
        return {name: parser.get_parsed_content(name) for name in names}
