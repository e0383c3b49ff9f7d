"""NIfTI volumes of the masks of DICOM series, in the patient's millimetres as NIfTI counts them."""

from __future__ import annotations

import gzip
from itertools import pairwise
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from labelmine.exchange.dicom_stacks import Stack
from labelmine.exchange.series_forms import SeriesForm

#: Distances of slices that differ by less, in mm, are one distance.
_EVEN = 0.01


class VolumeForm(SeriesForm):
    """Masks as NIfTI volumes, see ``SeriesForm``: 1 to K by class; where classes overlap, the later class wins."""

    name = "NIfTI"
    suffix = ".nii.gz"

    def refusal(self, stack: Stack) -> str | None:
        """Slices that are no grid make no volume."""
        if not stack.is_placed:
            return "no NIfTI volume, as the images do not say where they lie; their PNG masks stay"
        if not _is_grid(stack):
            return "no NIfTI volume, as the slices do not lie evenly one above the other; their PNG masks stay"
        return None

    def is_current(self, stack: Stack) -> bool:
        """Whether the file is there, with as many slices."""
        path = self.path(stack)
        return path.is_file() and nib.load(path).shape == (stack.size[1], stack.size[0], len(stack.frames))

    def build(self, stack: Stack, masks: NDArray[Any]) -> bytes:
        """Return the file's content."""
        order = _order(stack)
        classes = np.arange(1, masks.shape[-1] + 1, dtype=np.uint8)
        volume = (masks[order] * classes).max(axis=-1).transpose(2, 1, 0)
        header = nib.Nifti1Header()
        header.set_xyzt_units("mm")
        image = nib.Nifti1Image(volume, _affine(stack, order), header)
        image.set_qform(image.affine, 1)
        image.set_sform(image.affine, 1)
        return gzip.compress(image.to_bytes(), mtime=0)


def _order(stack: Stack) -> NDArray[np.intp]:
    """Indices of the slices from the first along their normal to the last."""
    return np.argsort([plane.position @ stack.planes[0].normal for plane in stack.planes])


def _is_grid(stack: Stack) -> bool:
    places = [stack.planes[index].position for index in _order(stack)]
    steps = [after - before for before, after in pairwise(places)]
    return all(np.abs(step - steps[0]).max() < _EVEN for step in steps)


def _affine(stack: Stack, order: NDArray[np.intp]) -> NDArray[np.float64]:
    """(4, 4) from (column, row, slice) to the patient in RAS; DICOM counts to the left and to the back, LPS."""
    first, last = stack.planes[order[0]], stack.planes[order[-1]]
    affine = np.eye(4)
    affine[:3, 0] = first.along_row * first.spacing[1]
    affine[:3, 1] = first.along_column * first.spacing[0]
    steps = len(order) - 1
    affine[:3, 2] = (last.position - first.position) / steps if steps else first.normal * (stack.thickness or 1.0)
    affine[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
