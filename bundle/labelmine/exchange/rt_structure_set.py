"""RT Structure Sets of masks: closed contours in the patient, each on the image that it was drawn on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from labelmine import __version__
from labelmine.data.dicom_files import open_dicom
from labelmine.data.dicom_references import References
from labelmine.exchange.contours import outlines
from labelmine.exchange.dicom_stacks import SourceFrame, Stack
from labelmine.exchange.drawn_by import DerivedUids, person_name
from labelmine.exchange.segment_terms import Term, color_of
from labelmine.exchange.series_forms import DicomForm
from labelmine.exchange.stand_ins import REQUIRED, UTF_8, derived_number, taken_over

#: SOP class of a study in references: retired, and still what C.8.8.5 names.
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_TAKEN_OVER = (*REQUIRED, "StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod")


class StructureSetForm(DicomForm):
    """Masks as RT Structure Sets, see ``SeriesForm``."""

    name = "RT Structure Set"

    def refusal(self, stack: Stack) -> str | None:
        """Contours lie in the patient, so images without a place have none."""
        if stack.is_placed:
            return None
        return (
            "no RT Structure Set, as the images do not say where they lie (Frame of Reference UID, Image Position and "
            "Orientation (Patient), Pixel Spacing)"
        )

    def images_of(self, path: Path) -> set[str]:
        """SOP Instance UIDs that its frame of reference lists."""
        frames = open_dicom(path, ["ReferencedFrameOfReferenceSequence"]).ReferencedFrameOfReferenceSequence
        studies = [study for frame in frames for study in frame.RTReferencedStudySequence]
        return References.of_series(one for study in studies for one in study.RTReferencedSeriesSequence).instances

    def build(self, stack: Stack, masks: NDArray[Any]) -> bytes:
        """Return the file's content."""
        with disable_value_validation():  # whose warnings would show values of the patient's attributes in the log
            structures = self._head(stack, DerivedUids(stack, masks, self.algorithm, self.identity))
            structures.ReferencedFrameOfReferenceSequence = [self._referenced(stack)]
            reference = structures.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID
            structures.StructureSetROISequence = [
                self._roi(number, name, reference) for number, name in enumerate(self.names, start=1)
            ]
            structures.ROIContourSequence = [
                self._drawn(number, stack, masks[..., number - 1]) for number in range(1, len(self.names) + 1)
            ]
            structures.RTROIObservationsSequence = [
                self._observation(number, terms.type) for number, terms in enumerate(self.terms, start=1)
            ]
            file = BytesIO()
            structures.save_as(file, enforce_file_format=True)
        return file.getvalue()

    def _head(self, stack: Stack, uids: DerivedUids) -> Dataset:
        source, now = taken_over(self.identity.attributes(stack.frames[0].header)), datetime.now()
        head = Dataset()
        head.file_meta = FileMetaDataset()
        head.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for name in _TAKEN_OVER:
            if name in source:
                setattr(head, name, source[name].value)
        head.SpecificCharacterSet = UTF_8
        head.SOPClassUID, head.SOPInstanceUID = RTStructureSetStorage, uids.own("RTSTRUCT")
        head.StudyInstanceUID = self.identity.uid(str(stack.frames[0].header.StudyInstanceUID))
        head.SeriesInstanceUID = uids.shared("RTSTRUCT series")
        head.FrameOfReferenceUID = self.identity.uid(str(stack.frames[0].header.FrameOfReferenceUID))
        head.PositionReferenceIndicator = ""
        head.Modality, head.SeriesNumber, head.InstanceNumber = "RTSTRUCT", derived_number(stack), stack.number
        head.SeriesDescription, head.OperatorsName = "labelmine", ""
        head.Manufacturer, head.ManufacturerModelName = "labelmine", self.algorithm.name
        head.SoftwareVersions, head.DeviceSerialNumber = __version__, self.algorithm.weights
        head.StructureSetLabel, head.ApprovalStatus = "LABELMINE", "UNAPPROVED"
        head.StructureSetDescription = f"by {self.algorithm.name}; for research use"
        head.InstanceCreationDate = head.StructureSetDate = now.strftime("%Y%m%d")
        head.InstanceCreationTime = head.StructureSetTime = now.strftime("%H%M%S")
        self.identity.declare(head)
        return head

    def _referenced(self, stack: Stack) -> Dataset:
        header = stack.frames[0].header
        frame, study, series = Dataset(), Dataset(), Dataset()
        series.SeriesInstanceUID = self.identity.uid(stack.series)
        series.ContourImageSequence = [self._image(one) for one in stack.frames]
        study.ReferencedSOPClassUID = _STUDY_CLASS
        study.ReferencedSOPInstanceUID = self.identity.uid(str(header.StudyInstanceUID))
        study.RTReferencedSeriesSequence = [series]
        frame.FrameOfReferenceUID = self.identity.uid(str(header.FrameOfReferenceUID))
        frame.RTReferencedStudySequence = [study]
        return frame

    def _image(self, frame: SourceFrame) -> Dataset:
        image = Dataset()
        image.ReferencedSOPClassUID = frame.header.SOPClassUID
        image.ReferencedSOPInstanceUID = self.identity.uid(frame.instance)
        if frame.number is not None:
            image.ReferencedFrameNumber = frame.number
        return image

    def _drawn(self, number: int, stack: Stack, masks: NDArray[np.bool_]) -> Dataset:
        roi = Dataset()
        roi.ROIDisplayColor, roi.ReferencedROINumber = list(color_of(number)), number
        contours = list(self._contours(stack, masks))
        if contours:
            roi.ContourSequence = contours
        return roi

    def _contours(self, stack: Stack, masks: NDArray[np.bool_]) -> Iterator[Dataset]:
        for frame, plane, mask in zip(stack.frames, stack.planes, masks, strict=True):
            for polygon in outlines(mask):
                contour = Dataset()
                contour.ContourImageSequence = [self._image(frame)]
                contour.ContourGeometricType = "CLOSED_PLANAR"
                contour.NumberOfContourPoints = len(polygon)
                contour.ContourData = [f"{value:.4f}" for value in plane.points_at(polygon).ravel()]
                yield contour

    def _roi(self, number: int, name: str, frame_of_reference: str) -> Dataset:
        roi = Dataset()
        roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = number, name[:64], self.algorithm.kind
        roi.ReferencedFrameOfReferenceUID = frame_of_reference
        return roi

    def _observation(self, number: int, term: Term) -> Dataset:
        observation, code = Dataset(), Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = term
        observation.ObservationNumber = observation.ReferencedROINumber = number
        observation.RTROIIdentificationCodeSequence = [code]
        observation.RTROIInterpretedType, observation.ROIInterpreter = "", person_name(self.algorithm.reviewer)
        return observation
