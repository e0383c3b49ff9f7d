"""Images that a DICOM Segmentation or RT Structure Set says it was drawn on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATIONS = (SegmentationStorage, LABEL_MAP_SEGMENTATION)
#: SOP classes of files that hold no image, but masks of others.
GOLD_KINDS = (*SEGMENTATIONS, RTStructureSetStorage)
_INSTANCES = ("ReferencedInstanceSequence", "ContourImageSequence", "ReferencedSOPSequence")


@dataclass
class References:
    """What a file refers to.

    Attributes:
        instances: SOP Instance UIDs of images.
        series: Series Instance UIDs; all their images are meant where no instance is named.
    """

    instances: set[str] = field(default_factory=set)
    series: set[str] = field(default_factory=set)

    @classmethod
    def of_series(cls, sequence: Iterable[Dataset]) -> References:
        """Collect them from a sequence of referenced series."""
        references = cls()
        for series in sequence:
            references.series.add(str(series.get("SeriesInstanceUID", "")))
            for name in _INSTANCES:
                listed = series.get(name) or []
                references.instances |= {str(one.ReferencedSOPInstanceUID) for one in listed}
        references.series.discard("")
        return references

    def include(self, instance: str, series: str) -> bool:
        """Whether an image is meant."""
        return instance in self.instances if self.instances else series in self.series
