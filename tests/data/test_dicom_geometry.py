from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from labelmine.data.dicom_geometry import Plane, order_by_position, read_plane


def plane(angles: tuple[float, float, float] = (0, 0, 0), position: tuple[float, float, float] = (0, 0, 0)) -> Plane:
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return Plane(np.asarray(position, dtype=float), turn[:, 0], turn[:, 1], (0.5, 2.0))


@given(st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(*[st.floats(-500, 500)] * 3))
def test_pixels_of_points_of_the_patient(angles: tuple[float, float, float], place: tuple[float, float, float]) -> None:
    """Equation C.7.6.2.1-1 of PS3.3, turned round."""
    where = plane(angles, place)
    wanted = np.array([[0, 0, 0], [3, 7, 0], [2.5, -1, 4]])
    points = (
        where.position
        + wanted[:, :1] * 0.5 * where.along_column
        + wanted[:, 1:2] * 2.0 * where.along_row
        + wanted[:, 2:] * where.normal
    )
    np.testing.assert_allclose(where.pixels_of(points), wanted, atol=1e-6)


def test_planes_that_are_the_same() -> None:
    assert plane().is_same(plane(position=(0.01, 0.01, 0.01)))
    assert not plane().is_same(plane(position=(0, 0, 0.2)))
    assert not plane().is_same(plane(angles=(0, 0, 1)))
    assert not plane().is_same(Plane(np.zeros(3), plane().along_row, plane().along_column, (0.5, 2.1)))


def test_plane_of_a_file_and_of_a_frame() -> None:
    dataset = Dataset()
    assert read_plane(dataset) is None
    dataset.ImageOrientationPatient, dataset.PixelSpacing = [0, 1, 0, 0, 0, -1], [0.5, 2]
    assert read_plane(dataset) is None
    dataset.ImagePositionPatient = [1, 2, 3]
    whole = read_plane(dataset)
    assert whole is not None
    np.testing.assert_allclose(whole.normal, [-1, 0, 0])
    assert (whole.depth, whole.spacing) == (-1, (0.5, 2.0))
    shared, first, second = Dataset(), Dataset(), Dataset()
    for group, position in ((first, [7, 0, 0]), (second, [9, 0, 0])):
        place = Dataset()
        place.ImagePositionPatient = position
        group.PlanePositionSequence = [place]
    measures = Dataset()
    measures.PixelSpacing = [3, 3]
    shared.PixelMeasuresSequence = [measures]
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], [first, second]
    frame = read_plane(dataset, 1)
    assert frame is not None
    assert (frame.depth, frame.spacing) == (-9, (3.0, 3.0))


@pytest.mark.parametrize(("name", "value"), [("PixelSpacing", [0, 1]), ("ImagePositionPatient", [1, 2])])
def test_odd_planes_are_unknown(name: str, value: list[float]) -> None:
    dataset = Dataset()
    dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
    dataset.ImagePositionPatient = [0, 0, 0]
    assert read_plane(dataset) is not None
    setattr(dataset, name, value)
    assert read_plane(dataset) is None


def test_order_by_position() -> None:
    series = ["a", "b", "a", "", "b", "a", ""]
    depths = [3.0, 1.0, 1.0, 9.0, None, 2.0, 8.0]
    assert order_by_position(series, depths) == [2, 1, 5, 3, 4, 0, 6]
    assert order_by_position([], []) == []
