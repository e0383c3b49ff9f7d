"""DICOM Segmentations (SEG) of masks, by highdicom: one of a stack of images, which it refers to frame by frame."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from labelmine import __version__
from labelmine.data.dicom_files import open_dicom
from labelmine.errors import ConfigError
from labelmine.exchange.dicom_stacks import Stack
from labelmine.exchange.identity import METHOD, Identity
from labelmine.exchange.segment_terms import SegmentTerms, Term
from labelmine.exchange.stand_ins import correct_references, stand_ins

INSTALL = 'pip install "labelmine[dicom]"'
#: What is added to the number of a series for that of its segmentation.
_SERIES_OFFSET = 1000
_LONG_STRING = 64
UTF_8 = "ISO_IR 192"


@dataclass(frozen=True)
class Algorithm:
    """Who drew the masks.

    Attributes:
        name: Name of the algorithm.
        weights: SHA-256 of the student's weights.
        facts: What else decides the masks, name and value.
    """

    name: str
    weights: str
    facts: Mapping[str, str] = field(default_factory=dict)


def has_highdicom() -> bool:
    """Whether segmentations can be written here."""
    return importlib.util.find_spec("highdicom") is not None


def require_highdicom() -> Any:
    """Return the library.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module("highdicom")
    except ImportError as error:
        raise ConfigError(f"masks_format: DICOM SEG needs highdicom, which is not there: {INSTALL}") from error


def build_segmentation(
    stack: Stack,
    masks: NDArray[Any],
    names: Sequence[str],
    terms: Sequence[SegmentTerms],
    algorithm: Algorithm,
    identity: Identity,
) -> bytes:
    """Build the file of a segmentation.

    The same masks of the same images by the same algorithm make a segmentation of the same UIDs.

    Args:
        stack: Images of the masks.
        masks: (N, H, W, K) in the order of the stack's frames: bool for a binary segmentation, float in [0, 1] for a
            fractional one, whose values are probabilities in steps of 1/255.
        names: Names of the K classes.
        terms: Their coded terms.
        algorithm: Who drew the masks.
        identity: Whose the segmentation is to be.
    """
    with disable_value_validation():  # whose warnings would show values of the patient's attributes in the log
        return _built(stack, masks, names, terms, algorithm, identity)


def _built(
    stack: Stack,
    masks: NDArray[Any],
    names: Sequence[str],
    terms: Sequence[SegmentTerms],
    algorithm: Algorithm,
    identity: Identity,
) -> bytes:
    hd = require_highdicom()
    sources = stand_ins(stack, identity)
    patient, sources[0].PatientName = sources[0].PatientName, None  # highdicom would log a name that looks odd to it
    uids = _Uids(stack, algorithm, identity, masks)
    segments = [
        _segment(hd, number, name, term, algorithm, uids)
        for number, (name, term) in enumerate(zip(names, terms, strict=True), start=1)
    ]
    is_binary = masks.dtype == np.bool_
    segmentation = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=masks.astype(np.uint8 if is_binary else np.float32),
        segmentation_type="BINARY" if is_binary else "FRACTIONAL",
        segment_descriptions=segments,
        series_instance_uid=uids.of("series"),
        series_number=_SERIES_OFFSET + max(_number(stack.frames[0].header), 0),
        sop_instance_uid=uids.of("instance", str(stack.number), uids.content),
        instance_number=stack.number,
        manufacturer="labelmine",
        manufacturer_model_name=algorithm.name,
        software_versions=__version__,
        device_serial_number=algorithm.weights,
        content_label="LABELMINE",
        content_description=f"by {algorithm.name}; for research use"[:_LONG_STRING],
        series_description=f"labelmine: {', '.join(names)}"[:_LONG_STRING],
        specific_character_set=_character_set(hd, sources[0]),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    segmentation.PatientName = patient
    correct_references(segmentation, stack, identity)
    if identity.is_removed:
        segmentation.PatientIdentityRemoved, segmentation.DeidentificationMethod = "YES", METHOD
    file = BytesIO()
    segmentation.save_as(file, enforce_file_format=True)
    return file.getvalue()


class _Uids:
    """UIDs that follow from what a segmentation is of, so that a run that is repeated makes no second one."""

    def __init__(self, stack: Stack, algorithm: Algorithm, identity: Identity, masks: NDArray[Any]) -> None:
        facts = [f"{name}={value}" for name, value in sorted(algorithm.facts.items())]
        self._origin = [identity.uid(stack.series), algorithm.name, algorithm.weights, __version__, *facts]
        frames = [f"{identity.uid(frame.instance)}:{frame.number}" for frame in stack.frames]
        content = sha256("\n".join(frames).encode())
        content.update(np.ascontiguousarray(masks).data)
        self.content = content.hexdigest()

    def of(self, *what: str) -> str:
        return str(generate_uid(entropy_srcs=[*self._origin, *what]))


def _segment(hd: Any, number: int, name: str, terms: SegmentTerms, algorithm: Algorithm, uids: _Uids) -> Any:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:_LONG_STRING],
        segmented_property_category=_coded(hd, terms.category),
        segmented_property_type=_coded(hd, terms.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm.name,
            family=_coded(hd, ("123110", "DCM", "Artificial Intelligence")),
            version=__version__,
            source="labelmine",
            parameters={"weights_sha256": algorithm.weights, **algorithm.facts},
        ),
        tracking_uid=uids.of("tracking", name),
        tracking_id=f"labelmine {name}"[:_LONG_STRING],
        anatomic_regions=[_coded(hd, terms.anatomy)] if terms.anatomy else None,
    )


def _coded(hd: Any, term: Term) -> Any:
    value, scheme, meaning = term
    return hd.sr.CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


def _number(header: Dataset) -> int:
    try:
        return int(header.get("SeriesNumber") or 0)
    except (TypeError, ValueError):
        return 0


def _character_set(hd: Any, source: Dataset) -> str:
    """The images' own; UTF-8 where it is empty, one of several, or none of the standard, which highdicom refuses."""
    given = source.get("SpecificCharacterSet")
    known = {one.value for one in hd.SpecificCharacterSetValues}
    return given if isinstance(given, str) and given in known else UTF_8


class SegmentationForm:
    """Masks as DICOM Segmentations, see ``SeriesForm``.

    Args:
        folder: Where they are written.
        names: Names of the classes.
        terms: Their coded terms.
        algorithm: Who drew the masks.
        identity: Whose the segmentations are to be.
        fractional: Whether they hold probabilities.
    """

    name = "DICOM SEG"

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        terms: Sequence[SegmentTerms],
        algorithm: Algorithm,
        identity: Identity,
        fractional: bool = False,
    ) -> None:
        """Keep them."""
        self.folder = folder
        self.fractional = fractional
        self._names, self._terms, self._algorithm, self._identity = names, terms, algorithm, identity

    def path(self, stack: Stack) -> Path:
        """File of a stack: the Series Instance UID of its images, and its number where the series has several."""
        return self.folder / f"{self._identity.uid(stack.series)}{'' if stack.is_only else f'_{stack.number}'}.dcm"

    def refusal(self, stack: Stack) -> str | None:
        """Nothing is refused that ``stacks_of`` takes."""
        return None

    def is_current(self, stack: Stack) -> bool:
        """Whether the file is there, and of these images."""
        path = self.path(stack)
        if not path.is_file():
            return False
        listed = open_dicom(path, ["SourceImageSequence"]).get("SourceImageSequence") or []
        wanted = {self._identity.uid(frame.instance) for frame in stack.frames}
        return {str(one.ReferencedSOPInstanceUID) for one in listed} == wanted

    def build(self, stack: Stack, masks: NDArray[Any]) -> bytes:
        """Return the file's content, see ``build_segmentation``."""
        return build_segmentation(stack, masks, self._names, self._terms, self._algorithm, self._identity)
