from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelmine.data import ClassMap
from labelmine.errors import ConfigError, DataError

COLORS = ClassMap(("vessel", "tumour"), ((255, 0, 0), (0, 255, 0)))


@pytest.mark.parametrize("high", [1, 7, 255, 65535])
def test_binary_takes_any_positive_value(high):
    mask = np.array([[0, high], [0, 0]], dtype=np.uint16)
    assert ClassMap().encode(mask).tolist() == [[[0, 1], [0, 0]]]
    assert ClassMap().decode(ClassMap().encode(mask) > 0).tolist() == [[0, 255], [0, 0]]


def test_binary_takes_any_positive_channel():
    mask = np.zeros((2, 2, 3), dtype=np.uint8)
    mask[0, 1, 2] = 9
    assert ClassMap().encode(mask).tolist() == [[[0, 1], [0, 0]]]


@given(arrays(np.uint8, (5, 7), elements=st.integers(0, 3)))
def test_class_map_round_trip(mask):
    classes = ClassMap.from_config(3)
    encoded = classes.encode(mask)
    assert encoded.shape == (3, 5, 7)
    assert encoded.dtype == np.uint8
    for channel, value in zip(encoded, (1, 2, 3), strict=True):
        np.testing.assert_array_equal(channel, mask == value)
    np.testing.assert_array_equal(classes.decode(encoded > 0), mask)


@given(arrays(np.uint8, (4, 3), elements=st.integers(0, 2)))
def test_colors_round_trip(indices):
    mask = np.array([(0, 0, 0), *COLORS.values], dtype=np.uint8)[indices]
    np.testing.assert_array_equal(COLORS.decode(COLORS.encode(mask) > 0), mask)


def test_decode_lets_the_later_class_win_and_widens_large_values():
    classes = ClassMap(("a", "b"), (1, 1000))
    joined = classes.decode(np.ones((2, 1, 1), dtype=bool))
    assert joined.tolist() == [[1000]]
    assert joined.dtype == np.uint16


def test_foreign_values():
    mask = np.array([[0, 1], [2, 7]])
    assert ClassMap.from_config(2).foreign_values(mask) == {7}
    assert ClassMap().foreign_values(mask) == set()
    assert COLORS.foreign_values(np.full((1, 1, 3), 9, dtype=np.uint8)) == {(9, 9, 9)}


@pytest.mark.parametrize(
    ("spec", "names", "values"),
    [
        (1, ("foreground",), None),
        (2, ("class_1", "class_2"), (1, 2)),
        (["lesion"], ("lesion",), None),
        (["background", "liver", "spleen"], ("liver", "spleen"), (1, 2)),
        ({"background": 0, "liver": 5, "spleen": 7}, ("liver", "spleen"), (5, 7)),
        ({"lesion": 255}, ("lesion",), (255,)),
        ({"background": [0, 0, 0], "vessel": [255, 0, 0]}, ("vessel",), ((255, 0, 0),)),
        (COLORS, COLORS.names, COLORS.values),
    ],
)
def test_from_config(spec, names, values):
    classes = ClassMap.from_config(spec)
    assert (classes.names, classes.values) == (names, values)
    assert len(classes) == len(names)


@pytest.mark.parametrize("spec", [None, 0, -1, True, "liver", [], ["background"], [1, 2], {}, 1.5])
def test_from_config_refuses_other_forms(spec):
    with pytest.raises(ConfigError, match="classes: expected null, a number, a list of names"):
        ClassMap.from_config(spec)


@pytest.mark.parametrize("spec", [{"a": 1, "b": [1, 2, 3]}, {"a": -1}, {"a": [1, 2]}, {"a": [0, 0, 300]}, {"a": "x"}])
def test_from_config_refuses_other_values(spec):
    with pytest.raises(ConfigError, match="expected a positive value for every name, or an"):
        ClassMap.from_config(spec)


def test_map_must_be_reversible():
    with pytest.raises(ConfigError, match="expected one value per name"):
        ClassMap(("a", "b"), (1,))
    with pytest.raises(ConfigError, match="names and values must differ"):
        ClassMap.from_config({"a": 1, "b": 1})


def test_masks_of_other_form():
    with pytest.raises(DataError, match=r"expected \(H, W\) or \(H, W, 3\), got \(2, 2, 4\)"):
        ClassMap().encode(np.zeros((2, 2, 4)))
    with pytest.raises(DataError, match="classes are RGB colours, so expected a colour mask"):
        COLORS.encode(np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"expected \(1, H, W\)"):
        ClassMap().decode(np.zeros((2, 2, 2), dtype=bool))


def test_values_between_levels_are_taken_to_the_nearest():
    values = np.array([[0, 127, 128, 254, 255]])
    assert ClassMap(levels=(0, 255)).encode(values).tolist() == [[[0, 0, 1, 1, 1]]]
    two = ClassMap(("a", "b"), (100, 200), (0, 100, 200, 255))
    assert two.encode(np.array([[49, 51, 149, 151, 227, 228]])).argmax(0).tolist() == [[0, 0, 0, 1, 1, 0]]
    assert two.foreign_values(np.array([[40, 90, 240]])) == {255}


@pytest.mark.parametrize("levels", [None, (0, 0.8), (0, 255), (0, 400), (0, 60_000)])
def test_what_is_written_is_read_back_whatever_the_cut(levels):
    classes = ClassMap(levels=levels)
    mask = np.array([[[0, 1], [1, 0]]])
    assert (classes.encode(classes.decode(mask > 0)) == mask).all()


def test_json_round_trip():
    for classes in (ClassMap(), COLORS, ClassMap.from_config(2), ClassMap(levels=(0.0, 0.9))):
        assert ClassMap.from_json(json.loads(json.dumps(classes.as_json()))) == classes


def test_lossy_masks_of_several_classes():
    with pytest.raises(DataError, match="JPEG changes class values and colours; save class maps as PNG"):
        ClassMap.from_config(2).encode_lossy(np.array([[0, 9]]))
    assert ClassMap.from_config(2).encode_lossy(np.array([[0, 8]])).tolist() == [[[0, 0]], [[0, 0]]]
    assert ClassMap().encode_lossy(np.array([[0, 127, 128]])).tolist() == [[[0, 0, 1]]]
    assert ClassMap(("a",), (100,)).encode_lossy(np.array([[0, 49, 51]])).tolist() == [[[0, 0, 1]]]
