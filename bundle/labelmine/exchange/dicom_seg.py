"""DICOM Segmentations (SEG) of masks, by highdicom: one of a stack of images, which it refers to frame by frame."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from labelmine import __version__
from labelmine.data.dicom_files import open_dicom
from labelmine.exchange.dicom_stacks import Stack
from labelmine.exchange.drawn_by import DerivedUids, person_name
from labelmine.exchange.segment_terms import Term, color_of
from labelmine.exchange.series_forms import DicomForm
from labelmine.exchange.stand_ins import UTF_8, correct_references, derived_number, stand_ins
from labelmine.extras import extra

INSTALL = 'pip install "labelmine[dicom]"'
LONG_STRING = 64  # characters of a value of VR LO


def has_highdicom() -> bool:
    """Whether segmentations can be written here."""
    return importlib.util.find_spec("highdicom") is not None


def require_highdicom() -> Any:
    """Return the library.

    Raises:
        ConfigError: It is not installed.
    """
    return extra("highdicom", "dicom", "masks_format: DICOM SEG needs")


class SegmentationForm(DicomForm):
    """Masks as DICOM Segmentations, see ``SeriesForm``; nothing is refused that ``stacks_of`` takes.

    Args:
        *args: As of ``DicomForm``.
        fractional: Whether they hold probabilities, in steps of 1/255.
    """

    name = "DICOM SEG"

    def __init__(self, *args: Any, fractional: bool = False) -> None:
        """Keep them."""
        super().__init__(*args)
        self.fractional = fractional

    def images_of(self, path: Path) -> set[str]:
        """SOP Instance UIDs of its source images."""
        listed = open_dicom(path, ["SourceImageSequence"]).get("SourceImageSequence") or []
        return {str(one.ReferencedSOPInstanceUID) for one in listed}

    def build(self, stack: Stack, masks: NDArray[Any]) -> bytes:
        """Return the file's content."""
        with disable_value_validation():  # whose warnings would show values of the patient's attributes in the log
            segmentation = self._built(stack, masks)
        file = BytesIO()
        segmentation.save_as(file, enforce_file_format=True)
        return file.getvalue()

    def _built(self, stack: Stack, masks: NDArray[Any]) -> Dataset:
        hd, algorithm = require_highdicom(), self.algorithm
        sources = stand_ins(stack, self.identity)
        patient, sources[0].PatientName = sources[0].PatientName, None  # highdicom would log a name that looks odd
        uids = DerivedUids(stack, masks, algorithm, self.identity)
        segmentation = hd.seg.Segmentation(
            source_images=sources,
            pixel_array=masks.astype(np.float32 if self.fractional else np.uint8),
            segmentation_type="FRACTIONAL" if self.fractional else "BINARY",
            segment_descriptions=list(self._segments(hd, uids)),
            series_instance_uid=uids.shared("SEG series"),
            series_number=derived_number(stack),
            sop_instance_uid=uids.own("SEG"),
            instance_number=stack.number,
            manufacturer="labelmine",
            manufacturer_model_name=algorithm.name,
            software_versions=__version__,
            device_serial_number=algorithm.weights,
            content_label="LABELMINE",
            content_creator_name=person_name(algorithm.reviewer) or None,
            content_description=f"by {algorithm.name}; for research use"[:LONG_STRING],
            series_description=f"labelmine: {', '.join(self.names)}"[:LONG_STRING],
            specific_character_set=self._character_set(hd, sources[0]),
            transfer_syntax_uid=ExplicitVRLittleEndian,
        )
        segmentation.PatientName = patient
        correct_references(segmentation, stack, self.identity)
        self.identity.declare(segmentation)
        return segmentation

    def _segments(self, hd: Any, uids: DerivedUids) -> Iterator[Any]:
        algorithm = hd.AlgorithmIdentificationSequence(
            name=self.algorithm.name,
            family=_coded(hd, ("123110", "DCM", "Artificial Intelligence")),
            version=__version__,
            source="labelmine",
            parameters={"weights_sha256": self.algorithm.weights, **self.algorithm.facts},
        )
        for number, (name, terms) in enumerate(zip(self.names, self.terms, strict=True), start=1):
            yield hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=name[:LONG_STRING],
                segmented_property_category=_coded(hd, terms.category),
                segmented_property_type=_coded(hd, terms.type),
                algorithm_type=self.algorithm.kind,
                algorithm_identification=None if self.algorithm.kind == "MANUAL" else algorithm,
                tracking_uid=uids.shared("tracking", name),
                tracking_id=f"labelmine {name}"[:LONG_STRING],
                anatomic_regions=[_coded(hd, terms.anatomy)] if terms.anatomy else None,
                display_color=hd.color.CIELabColor.from_rgb(*color_of(number)),
            )

    def _character_set(self, hd: Any, source: Dataset) -> str:
        """Return the images' own; UTF-8 where it is empty, one of several, or cannot be that of our words."""
        given = source.get("SpecificCharacterSet")
        known = {one.value for one in hd.SpecificCharacterSetValues}
        words = "".join([*self.names, *(word for one in self.terms for word in (*one.category, *one.type))])
        return given if isinstance(given, str) and given in known and words.isascii() else UTF_8


def _coded(hd: Any, term: Term) -> Any:
    value, scheme, meaning = term
    return hd.sr.CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)
