"""Maker of DICOM files that several tests import: ``from dicom_makers import write_dicom``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage, generate_uid


def write_dicom(
    path: Path, pixels: NDArray[Any], syntax: str = ExplicitVRLittleEndian, bits: int | None = None, **tags: Any
) -> Path:
    """Write pixels (H, W), (N, H, W) with NumberOfFrames, or (H, W, 3) as DICOM; a tag that is ... is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset, meta = Dataset(), FileMetaDataset()
    dataset.file_meta = meta
    meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID = tags.pop("SOPClassUID", CTImageStorage)
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = tags.pop("SOPInstanceUID", generate_uid())
    is_color = pixels.ndim == 3 and "NumberOfFrames" not in tags
    dataset.Rows, dataset.Columns = pixels.shape[:2] if is_color else pixels.shape[-2:]
    dataset.SamplesPerPixel = 3 if is_color else 1
    dataset.PhotometricInterpretation = "RGB" if is_color else "MONOCHROME2"
    if is_color:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    if pixels.dtype.kind != "f":
        dataset.BitsStored = bits or dataset.BitsAllocated
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        if value is ...:
            del dataset[name]
        else:
            setattr(dataset, name, value)
    is_little = meta.TransferSyntaxUID.is_little_endian
    name = {"f4": "FloatPixelData", "f8": "DoubleFloatPixelData"}.get(pixels.dtype.str[1:], "PixelData")
    setattr(dataset, name, pixels.astype(pixels.dtype.newbyteorder("<" if is_little else ">")).tobytes())
    if name == "PixelData":
        dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_slices(folder: Path, count: int = 3, size: tuple[int, int] = (24, 32), **tags: Any) -> list[Path]:
    """Write an oblique CT series of noise, 2 mm apart, of a patient; a tag that is a tuple goes by slice."""
    uids = {name: generate_uid() for name in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")}
    common = {
        **uids, "PatientID": "4711", "PatientName": "Doe^Jane", "PatientBirthDate": "19700101", "PatientSex": "F",
        "StudyDate": "20200101", "StudyTime": "101010.25", "StudyID": "study 9", "AccessionNumber": "acc 77",
        "ReferringPhysicianName": "House^Greg", "InstitutionName": "Hospital", "Manufacturer": "Maker",
        "Modality": "CT", "SeriesNumber": 3,
        "ImageOrientationPatient": [0.8, 0.6, 0.0, 0.0, 0.0, -1.0], "PixelSpacing": [0.5, 0.75], "SliceThickness": 2,
        "PositionReferenceIndicator": "",
    }  # fmt: skip
    paths = []
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 4000, size, dtype=np.uint16)
        place = np.array([10.0, 20.0, 30.0]) + 2.0 * index * np.array([-0.6, 0.8, 0.0])
        own = {name: value[index] if isinstance(value, tuple) else value for name, value in tags.items()}
        every = {**common, "ImagePositionPatient": place.round(6).tolist(), "InstanceNumber": index + 1, **own}
        named = {name: value for name, value in every.items() if value is not ...}
        paths.append(write_dicom(folder / f"slice_{index}.dcm", pixels, bits=12, **named))
    return paths


def write_clip(path: Path, count: int = 4, size: tuple[int, int] = (24, 32), **tags: Any) -> Path:
    """Write an ultrasound clip, which says nothing of where it lies."""
    pixels = np.random.default_rng(0).integers(0, 255, (count, *size), dtype=np.uint8)
    named = {
        "SOPClassUID": UltrasoundMultiFrameImageStorage, "NumberOfFrames": count, "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(), "Modality": "US", "PatientID": "4711", "PatientName": "Doe^Jane",
    }  # fmt: skip
    return write_dicom(path, pixels, **{**named, **tags})
