from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from labelmine.data import Item, read_image
from labelmine.data.dicom import read_dicom
from labelmine.errors import DataError
from makers import dicom_file


def changed(tmp_path: Path, name: str = "CT_small.dcm", **attributes: Any) -> Path:
    """Copy of a test file with other attributes; ``None`` removes one."""
    dataset = pydicom.dcmread(dicom_file(name))
    for key, value in attributes.items():
        if value is None:
            del dataset[key]
        else:
            setattr(dataset, key, value)
    dataset.save_as(tmp_path / "changed.dcm")
    return tmp_path / "changed.dcm"


def hounsfield() -> np.ndarray:
    dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
    return dataset.pixel_array.astype(float) * dataset.RescaleSlope + dataset.RescaleIntercept


def test_window_is_in_hounsfield_units():
    grey = read_dicom(dicom_file("CT_small.dcm"), window=(40, 400))
    np.testing.assert_allclose(grey, np.clip((hounsfield() + 160) / 400, 0, 1), atol=1e-6)
    assert grey.dtype == np.float32


def test_own_window_follows_the_standard(tmp_path):
    """LINEAR of PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5)."""
    path = changed(tmp_path, WindowCenter=[40, 300], WindowWidth=[400, 1500])
    np.testing.assert_allclose(read_dicom(path), np.clip((hounsfield() - 39.5) / 399 + 0.5, 0, 1), atol=1e-5)


def test_sigmoid_window(tmp_path):
    path = changed(tmp_path, WindowCenter=40, WindowWidth=400, VOILUTFunction="SIGMOID")
    np.testing.assert_allclose(read_dicom(path), 1 / (1 + np.exp(-4 * (hounsfield() - 40) / 400)), atol=1e-5)


def test_voi_lut_sequence(tmp_path):
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 12])
    table.add_new("LUTData", "US", list(range(4095, -1, -1)))
    path = changed(tmp_path, "MR_small.dcm", VOILUTSequence=[table], WindowCenter=None, WindowWidth=None)
    pixels = pydicom.dcmread(path).pixel_array
    np.testing.assert_allclose(read_dicom(path), (4095 - np.clip(pixels, 0, 4095)) / 4095, atol=1e-5)


def test_without_window_percentiles_decide():
    grey = read_dicom(dicom_file("CT_small.dcm"))
    low, high = np.percentile(hounsfield(), (0.5, 99.5))
    np.testing.assert_allclose(grey, np.clip((hounsfield() - low) / (high - low), 0, 1), atol=1e-6)


def test_monochrome1_is_inverted(tmp_path):
    path = changed(tmp_path, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(
        read_dicom(path, window=(40, 400)), 1 - read_dicom(dicom_file("CT_small.dcm"), window=(40, 400)), atol=1e-6
    )


def test_window_of_each_frame_in_enhanced_objects(tmp_path):
    """Rescale and window from the functional groups; those of the frame come after the shared ones."""
    rescale, narrow, wide = Dataset(), Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = 2, -100
    narrow.WindowCenter, narrow.WindowWidth, narrow.VOILUTFunction = 100, 200, "LINEAR_EXACT"
    wide.WindowCenter, wide.WindowWidth, wide.VOILUTFunction = 500, 1000, "LINEAR_EXACT"
    shared, first, second = Dataset(), Dataset(), Dataset()
    shared.PixelValueTransformationSequence = [rescale]
    first.FrameVOILUTSequence, second.FrameVOILUTSequence = [narrow], [wide]
    dataset = pydicom.dcmread(dicom_file("MR_small.dcm"))
    stored = dataset.pixel_array
    dataset.NumberOfFrames = 2
    dataset.PixelData = stored.tobytes() * 2
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [first, second]
    dataset.save_as(tmp_path / "enhanced.dcm")
    for frame, width in enumerate((200, 1000)):
        expected = np.clip((stored * 2.0 - 100) / width, 0, 1)
        np.testing.assert_allclose(read_dicom(tmp_path / "enhanced.dcm", frame), expected, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["examples_rgb_color.dcm", "SC_rgb_rle.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jpeg_dcmtk.dcm"],
)
def test_color_is_rgb(name):
    """The secondary captures show bars of red, green, blue, ...: their top row is pure red."""
    color = read_dicom(dicom_file(name))
    assert color.ndim == 3
    assert color.shape[-1] == 3
    if name.startswith("SC"):
        np.testing.assert_allclose(color[5, 50], (1, 0, 0), atol=0.02)


def test_palette_color():
    dataset = pydicom.dcmread(dicom_file("examples_palette.dcm"))
    color = read_dicom(dicom_file("examples_palette.dcm"))
    assert color.shape == (dataset.Rows, dataset.Columns, 3)
    assert 0.5 < color.max() <= 1
    assert np.ptp(color, axis=-1).max() > 0.2


@pytest.mark.parametrize(
    ("name", "uncompressed"),
    [
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
    ],
)
def test_compressed_equals_uncompressed(name, uncompressed):
    np.testing.assert_array_equal(read_dicom(dicom_file(name)), read_dicom(dicom_file(uncompressed)))


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "JPEGLSNearLossless_16.dcm", "693_J2KI.dcm"])
def test_transfer_syntaxes_are_decoded(name):
    grey = read_dicom(dicom_file(name))
    assert grey.ndim == 2
    assert np.ptp(grey) > 0.5


def test_twelve_bit_jpeg_is_named_as_unsupported():
    """Its only decoder for Python is GPL; the file is set aside with the reason instead."""
    item = Item({"id": "x", "image": str(dicom_file("JPGExtended.dcm")), "group": "x"})
    with pytest.raises(DataError, match=r"JPGExtended.dcm: cannot be decoded .*does not support 'JPEG Extended'"):
        read_image(item)


def test_frames_differ():
    path = dicom_file("examples_ybr_color.dcm")
    frames = [read_dicom(path, frame) for frame in (0, 29)]
    assert frames[0].shape == frames[1].shape == (240, 320, 3)
    assert (frames[0] != frames[1]).any()


def test_files_without_pixels(tmp_path):
    with pytest.raises(DataError, match=r"DICOM file without pixels \(SOP class: RT Plan Storage\); expected an image"):
        read_dicom(dicom_file("rtplan.dcm"))
    with pytest.raises(DataError, match=r"DICOM file without pixels .* export it again with its pixel data"):
        read_dicom(changed(tmp_path, PixelData=None))


@pytest.mark.shared
def test_real_files(shared_data):
    """Air is dark and bone bright on CT, lungs darker than the mediastinum on the MONOCHROME1 radiograph."""
    body = read_dicom(shared_data / "dicom" / "01.dcm")
    assert body[:20].max() == 0
    spine = body[370:430, 230:280]
    assert spine.mean() > 2 * body.mean()
    chest = read_dicom(shared_data / "dicom" / "RG1_J2KI.dcm")
    rows, columns = chest.shape
    lung = chest[int(0.35 * rows) : int(0.45 * rows), int(0.62 * columns) : int(0.75 * columns)]
    spine = chest[int(0.35 * rows) : int(0.45 * rows), int(0.44 * columns) : int(0.48 * columns)]
    assert lung.mean() < spine.mean()
    ultrasound = read_dicom(shared_data / "dicom" / "US1_UNCI.dcm")
    assert ultrasound.shape == (480, 640, 3)
    red, _, blue = ultrasound[180:300, 300:500].mean((0, 1))
    assert red > 2 * blue
