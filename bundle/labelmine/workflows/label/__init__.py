"""``configs/label.yaml``: pseudo labels for a folder, by the student of an earlier run and a labeler."""

from labelmine.workflows.label.labeling import Labeling, LabelKnobs

__all__ = ["LabelKnobs", "Labeling"]
