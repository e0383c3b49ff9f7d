from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from dicom_makers import write_clip, write_slices
from labelmine.exchange.identity import Identity
from labelmine.exchange.series_volume import VolumeForm


def test_voxels_lie_where_their_pixels_do(the_stack: Any, masks_of: Any, tmp_path: Path) -> None:
    write_slices(tmp_path / "images")
    stack = the_stack(tmp_path / "images")
    masks = masks_of(stack)
    form = VolumeForm(tmp_path, ("lesion", "thing"), Identity())
    form.path(stack).write_bytes(form.build(stack, masks))
    assert form.is_current(stack)
    assert form.path(stack).name == f"{stack.series}.nii.gz"
    volume = nib.load(form.path(stack))
    values = np.asarray(volume.dataobj)
    for index, (frame, mask) in enumerate(zip(stack.frames, masks, strict=True)):
        for row, column in ((0, 0), (5, 7), (23, 31)):
            left, back, up = frame.plane.points_at(np.array([[row, column]], dtype=float))[0]
            place = np.linalg.inv(volume.affine) @ [-left, -back, up, 1]
            np.testing.assert_allclose(place[:3], (column, row, index), atol=1e-4)
        expected = np.where(mask[..., 1], 2, mask[..., 0].astype(int))
        np.testing.assert_array_equal(values[..., index].T, expected)


@pytest.mark.parametrize("tags", [{}, {"ImagePositionPatient": ([0, 0, 0], [-6, 8, 0], [-7, 10, 0])}])
def test_what_is_no_grid_is_refused(tags: dict[str, Any], the_stack: Any, tmp_path: Path) -> None:
    write_slices(tmp_path, **tags) if tags else write_clip(tmp_path / "clip.dcm")
    reason = VolumeForm(tmp_path, ("lesion",), Identity()).refusal(the_stack(tmp_path))
    assert reason is not None
    assert "their PNG masks stay" in reason
