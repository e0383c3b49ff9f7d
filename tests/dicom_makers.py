"""Maker of DICOM files that several tests import: ``from dicom_makers import write_dicom``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


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
