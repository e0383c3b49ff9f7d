from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom

from labelmine.data import ClassMap
from labelmine.data.classes import ClassSpec
from labelmine.data.findings import Findings
from labelmine.data.level_rules import choose_classes, classes_of_levels, misfit
from labelmine.data.levels import measure_levels
from labelmine.data.stored_masks import StoredMask
from labelmine.errors import ConfigError

RNG = np.random.default_rng(0)
BLOB = np.zeros((64, 64), dtype=np.uint8)
BLOB[20:44, 16:52] = 1
WHITE = BLOB * np.uint8(255)
SHIFTED = [np.roll(BLOB, (n, 2 * n), axis=(0, 1)) for n in range(4)]


def jpeg(mask: np.ndarray, quality: int = 75) -> StoredMask:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "JPEG", quality=quality)
    return StoredMask(np.asarray(Image.open(buffer)), is_lossy=True)


def rotated(mask: np.ndarray, resample: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).rotate(13, resample=resample))


def chosen(masks: Sequence[np.ndarray | StoredMask], spec: ClassSpec = None) -> tuple[ClassMap, list[str], list[str]]:
    """Classes, what was assumed, and what does not fit."""
    stored = [mask if isinstance(mask, StoredMask) else StoredMask(mask) for mask in masks]
    measured = [measure_levels(mask, f"set/{n}.png") for n, mask in enumerate(stored)]
    findings = Findings()
    classes = choose_classes(spec, measured, findings)
    problems = [problem for one in measured if (problem := misfit(one, classes))]
    return classes, [row.sentence for row in findings.rows()], problems


def refused(masks: Sequence[np.ndarray | StoredMask], spec: ClassSpec = None) -> str:
    with pytest.raises(ConfigError) as caught:
        chosen(masks, spec)
    assert len(str(caught.value)) < 2000  # whatever the number of levels
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2], (1, 2)),
        ([0, 1, 2, 3], (1, 2, 3)),
        (list(range(21)), tuple(range(1, 21))),
        ([0, 1], None),
        ([0, 255], None),
        ([0, 7], None),
        ([0, 0.5], None),
        ([0], None),
    ],
)
def test_levels_that_need_no_question(values, expected):
    masks = [np.kron(np.asarray(values)[:, None], np.ones((6, 30))) for _ in range(3)]
    classes, _, problems = chosen([mask.astype(np.asarray(values).dtype) for mask in masks])
    assert (classes.values, classes.levels, problems) == (expected, None, [])


def test_binary_sets_need_no_word():
    assert chosen([mask * np.uint8(255) for mask in SHIFTED]) == (ClassMap(), [], [])
    assert chosen(SHIFTED)[1] == []
    assert chosen([]) == (ClassMap(), [], [])


SMEARED: dict[str, Callable[[np.ndarray], np.ndarray | StoredMask]] = {
    "JPEG": lambda mask: jpeg(mask * 255),
    "JPEG, poor": lambda mask: jpeg(mask * 255, 30),
    "JPEG of 1": lambda mask: jpeg(mask, 100),
    "turned": lambda mask: rotated(mask * 255),
    "turned, cubic": lambda mask: rotated(mask * 255, Image.Resampling.BICUBIC),
    "turned, of 100": lambda mask: rotated(mask * 100),
    "enlarged": lambda mask: np.asarray(Image.fromarray(mask * 255).resize((16, 16), 2).resize((64, 64), 3)),
    "drawn finely": lambda mask: np.asarray(
        Image.fromarray(rotated(np.kron(mask * 255, np.ones((2, 2), np.uint8)))).resize((64, 64), Image.Resampling.BOX)
    ),
    "soft": lambda mask: gaussian_filter(mask.astype(np.float32), 3),
    "soft, 8 bits": lambda mask: gaussian_filter(mask * 255.0, 4).round().astype(np.uint8),
    "soft, never sure": lambda mask: (gaussian_filter(mask * 255.0, 5) * 0.7).round().astype(np.uint8),
    "soft, 16 bits": lambda mask: (gaussian_filter(mask * 65535.0, 3)).round().astype(np.uint16),
    "soft, percent": lambda mask: (gaussian_filter(mask * 100.0, 3)).round().astype(np.uint8),
    "linear": lambda mask: zoom(zoom(mask.astype(np.float32), 0.5, order=1), 2, order=1),
    "spline": lambda mask: np.maximum(zoom(zoom(mask.astype(np.float32), 0.5, order=3), 2, order=3), 0),
}


@pytest.mark.parametrize("kind", list(SMEARED))
@pytest.mark.parametrize("others", [0, 2], ids=["all", "among clean masks"])
def test_smear_is_cut_halfway_and_said(kind, others):
    """The area is that of the truth, whatever the scale; clean masks of the set's scale stay as they are."""
    smeared = [SMEARED[kind](mask) for mask in SHIFTED]
    top = max(float((one.values if isinstance(one, StoredMask) else one).max()) for one in smeared)
    clean = [(mask * top).astype(np.float32) for mask in SHIFTED[:others] if top > 2]
    classes, said, problems = chosen([*smeared, *clean])
    assert (classes.values, problems) == (None, [])
    assert len(said) == 1
    assert said[0].startswith("masks are not quite binary")
    assert "cut halfway" in said[0]
    for one, truth in zip(smeared, SHIFTED, strict=True):
        values = one.values if isinstance(one, StoredMask) else one
        area = int(classes.encode(values).sum())
        assert abs(area / truth.sum() - 1) < (0.16 if kind.startswith(("soft", "linear", "spline")) else 0.03)


@pytest.mark.parametrize("kind", ["JPEG", "turned", "soft", "linear"])
def test_one_smeared_mask_among_clean_ones(kind):
    scale = 1.0 if kind in ("soft", "linear") else 255.0
    clean = [(mask * scale).astype(np.float32) for mask in SHIFTED]
    classes, said, problems = chosen([*clean, SMEARED[kind](BLOB)])
    assert classes.levels is not None
    assert len(said) == 1
    assert not problems
    assert abs(classes.cut / scale - 0.5) < 0.02
    for mask in clean:
        np.testing.assert_array_equal(classes.encode(mask)[0], mask > 0)


@pytest.mark.parametrize("density", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("lossy", [True, False])
def test_noise_near_zero_is_no_lesion(density, lossy):
    noise = (RNG.random((64, 64)) < density).astype(np.uint8) * RNG.integers(1, 4, (64, 64), dtype=np.uint8)
    empty = StoredMask(noise, is_lossy=lossy)
    classes, said, problems = chosen([WHITE, np.roll(WHITE, 9), empty])
    assert not classes.encode(noise).any()
    assert not problems
    assert len(said) == 1
    np.testing.assert_array_equal(classes.encode(WHITE)[0], BLOB)


def test_noise_near_the_top_is_foreground():
    noisy = WHITE - (RNG.random((64, 64)) < 0.1) * BLOB * np.uint8(3)
    classes, _, _ = chosen([WHITE, noisy])
    np.testing.assert_array_equal(classes.encode(noisy)[0], BLOB)


def test_a_set_of_noise_alone_has_no_foreground():
    noise = (RNG.random((64, 64)) < 0.05).astype(np.uint8) * 2
    classes, _, _ = chosen([StoredMask(noise, is_lossy=True)] * 3)
    assert not classes.encode(noise).any()


def test_other_encoding_below_the_cut_is_set_aside():
    """A mask of 0 and 1 would be emptied by the cut of the others, without a word."""
    classes, _, problems = chosen([rotated(WHITE), WHITE, BLOB])
    assert classes.cut == 127.5
    assert problems == [
        "2.png: mask holds 1 in whole areas, where the foreground of the set is 255: is it another encoding, or empty? "
        "Save it with 255 or 0"
    ]


def inside(value: int, outer: int = 255) -> np.ndarray:
    mask = BLOB * np.uint8(outer)
    mask[24:34, 20:40] = value
    return mask


def ring(value: int) -> np.ndarray:
    """A contour of one pixel around the object."""
    grown = gaussian_filter(BLOB.astype(float), 0.6) > 0.05
    return np.where(grown & (BLOB == 0), np.uint8(value), WHITE)


@pytest.mark.parametrize(
    ("mask", "levels"),
    [
        (inside(50), (50, 255)),
        (inside(128), (128, 255)),
        (inside(254), (254, 255)),
        (inside(1), (1, 255)),
        (inside(3, 1), (1, 3)),
        (inside(20, 10), (10, 20)),
        (ring(128), (128, 255)),
    ],
)
def test_merged_levels_are_a_question(mask, levels):
    message = refused([np.roll(mask, n, axis=1) for n in range(3)] + [BLOB * 0])
    low, high = levels
    assert message == (
        f"classes: masks hold 2 levels besides 0, which would become one class: {low} (in 3 masks), {high} (in 3 "
        f'masks). --classes "{{class_{low}: {low}, class_{high}: {high}}}" keeps them apart; a level that is left out '
        "is background, and --classes 1 makes all one class"
    )


def test_the_line_of_the_message_keeps_them_apart():
    message = refused([inside(50)])
    spec = yaml.safe_load(message.split('"')[1])
    assert chosen([inside(50)], spec)[0].values == (50, 255)


def test_all_levels_are_one_class_where_asked_for():
    classes, said, _ = chosen([inside(50)], 1)
    assert classes == ClassMap()
    assert said == ["all levels above 0 are one class, as asked for: 50 (in 1 masks), 255 (in 1 masks)"]


def test_three_smeared_levels_are_a_question():
    assert "Save them as PNG, as JPEG changes values; then --classes" in refused([jpeg(inside(128), 90)] * 2)
    smeared = [rotated(np.roll(inside(128), n, axis=0)) for n in range(4)]
    message = refused(smeared)
    assert "masks hold 2 levels besides 0, with a smear between them" in message
    assert '--classes "{class_128: 128, class_255: 255}"' in message
    classes, said, _ = chosen(smeared, {"a": 128, "b": 255})
    assert classes.levels == (0, 128, 255)
    assert said == ["masks hold values between their levels: taken to the nearest of 0, 128, 255"]
    np.testing.assert_array_equal(classes.encode(np.array([[0, 60, 70, 150, 200, 255]]))[1], [[0, 0, 0, 0, 1, 1]])


def test_resampled_class_numbers_are_a_question():
    """Halves of classes may stay below 2 everywhere: no cut is right."""
    two = BLOB + (inside(50) == 50).astype(np.uint8)
    volume = np.repeat(two[None].astype(np.float32), 8, axis=0)
    resampled = zoom(zoom(volume, (1, 0.5, 0.5), order=1), (1, 2, 2), order=1)
    assert "classes: masks hold" in refused(list(resampled))
    thin = np.where(BLOB > 0, gaussian_filter(RNG.random((64, 64)), 2) * 1.4 + 0.7, 0).astype(np.float32)
    assert "masks hold fractions up to" in refused([thin])


def grid(count: int, first: int = 1) -> np.ndarray:
    """Squares with the numbers first, first + 1, ... on a ground of 0."""
    mask = np.zeros((64, 64), dtype=np.uint16)
    for n in range(count):
        row, column = divmod(n, 6)
        mask[row * 10 : row * 10 + 7, column * 10 : column * 10 + 7] = first + n
    return mask


def test_more_levels_than_a_message_can_hold():
    message = refused([grid(25)] * 4)
    assert message.startswith("classes: masks hold the levels 1 to 25, more than 20: 1 (in 4 masks), 2 (in 4 masks)")
    assert message.endswith(
        "20 (in 4 masks) and 5 more. Give --classes 25 where they are classes, --classes 1 where they number objects "
        "of one class"
    )
    assert chosen([grid(25)], 25)[0].values == tuple(range(1, 26))
    many = np.kron(RNG.permutation(256).reshape(16, 16) * 3, np.ones((4, 4), dtype=np.int64))
    assert " and 235 more. Save them as whole numbers" in refused([many])


def test_void_beside_classes():
    mask = grid(20)
    mask[62:] = 255
    message = refused([mask, grid(20)])
    assert "255 (in" not in message.split("and 1 more")[0]
    assert "class_20: 20, class_255: 255" in message
    assert chosen([mask], 20)[0].foreign_values(mask) == {255}


def test_numbers_of_objects_are_one_class():
    """1..n in each mask, n differing: instances."""
    classes, said, _ = chosen([grid(count) for count in (3, 5, 2, 9)])
    assert classes == ClassMap()
    assert said == [
        "masks number their objects from 1, up to 9, differently in each: taken as one class; if "
        "the numbers are classes, give --classes 9"
    ]
    assert chosen([grid(count) for count in (30, 25, 2)])[0] == ClassMap()


def test_a_few_objects_in_pieces_or_lost_to_a_crop_change_nothing():
    in_pieces, cropped = grid(9), grid(7)
    in_pieces[60:63, 60:63] = 1
    cropped[cropped == 3] = 0
    masks = [grid(count) for count in (3, 5, 2, 9) * 6]
    assert chosen([*masks, in_pieces, cropped])[0] == ClassMap()


@pytest.mark.parametrize(
    "masks",
    [
        [grid(2), grid(1), grid(2)],  # a liver, and its tumour where there is one
        [grid(3), grid(2, 2), grid(1), grid(4)],  # 2 without 1
        [grid(5), grid(5), grid(5)],
        [grid(5) + np.roll(grid(5), 40, axis=0) * 0 + np.pad(grid(1)[:8, :8], ((50, 6), (50, 6))), grid(2), grid(3)],
    ],
)
def test_class_maps_are_no_objects(masks):
    classes, said, _ = chosen(masks)
    assert classes.values == tuple(range(1, int(max(mask.max() for mask in masks)) + 1))
    assert "if they number objects, give --classes 1" in said[0]


def test_two_encodings_of_one_class():
    classes, said, problems = chosen([WHITE, BLOB, WHITE])
    assert (classes, problems) == (ClassMap(), [])
    assert said == ["some masks have 1 as foreground, others 255: taken as one class"]


def test_class_map_with_lossy_masks():
    """Of lossy masks in a set of class maps, only those without foreground can be used."""
    two = np.where(np.roll(BLOB, 20, axis=0) > 0, np.uint8(2), BLOB)
    noise = (RNG.random((64, 64)) < 0.05).astype(np.uint8) * 2
    classes, _, problems = chosen([two, jpeg(WHITE), StoredMask(noise, is_lossy=True)])
    assert classes.values == (1, 2)
    assert problems == ["1.png: JPEG changes class values and colours; save class maps as PNG"]


def colored(mask: np.ndarray, *colors: tuple[int, int, int]) -> np.ndarray:
    return np.asarray([(0, 0, 0), *colors], dtype=np.uint8)[mask]


def test_one_color_is_one_class():
    classes, said, _ = chosen([colored(mask, (255, 0, 0)) for mask in SHIFTED])
    assert classes == ClassMap()
    assert said == ["masks are in one colour, [255, 0, 0], on black: taken as one class"]
    smooth = [rotated(colored(mask, (0, 200, 0))) for mask in SHIFTED]
    classes, said, _ = chosen(smooth)
    assert classes.levels == (0, 200)
    assert abs(int(classes.encode(smooth[0]).sum()) / BLOB.sum() - 1) < 0.03


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255)])
def test_colors_are_a_question(background):
    two = np.where(np.roll(BLOB, 20, axis=0) > 0, np.uint8(2), BLOB)
    mask = colored(two, (255, 0, 0), (0, 0, 255))
    mask[two == 0] = background
    message = refused([mask] * 3)
    count = 2 if background == (0, 0, 0) else 3
    assert f"masks hold {count} colours besides black, which would become one class: [0, 0, 255] (in 3" in message
    assert "color_1: [0, 0, 255], color_2: [255, 0, 0]" in message
    noise = RNG.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert "looks like pictures (0.png)" in refused([noise])


def test_colors_beside_grey_levels_are_a_question():
    assert "and others hold grey levels" in refused([colored(BLOB, (255, 0, 0)), WHITE])


def test_lossy_colors():
    red = [jpeg(colored(mask, (255, 0, 0))) for mask in SHIFTED]
    classes, said, _ = chosen(red)
    assert said == ["masks are in one colour, [255, 0, 0], on black: taken as one class"]
    assert abs(int(classes.encode_lossy(red[0].values).sum()) / BLOB.sum() - 1) < 0.1
    grey = jpeg(colored(BLOB, (255, 255, 255)))
    assert chosen([grey])[0].levels == (0, 255)


def test_palettes_that_differ_are_a_question():
    red, green = (255, 0, 0), (0, 255, 0)
    first = StoredMask(BLOB, palette={0: (0, 0, 0), 1: red})
    for other in (StoredMask(BLOB, palette={0: (0, 0, 0), 1: green}), StoredMask(BLOB * 2, palette={2: red})):
        message = refused([first, other])
        assert "the palettes of 0.png and 1.png differ" in message
        assert chosen([first, other], 1)[0].values is None
    assert '--classes "{color_1: [0, 255, 0], color_2: [255, 0, 0]}"' in refused(
        [first, StoredMask(BLOB, palette={1: green})]
    )
    assert chosen([first, StoredMask(BLOB, palette={0: (0, 0, 0), 1: red})])[0] == ClassMap()


def test_levels_of_a_mask_by_class():
    two = measure_levels(StoredMask(inside(50)), "m.png")
    assert classes_of_levels(two, ClassMap.from_config({"a": 50, "b": 255})).tolist() == [
        [False, True, False],
        [False, False, True],
    ]


def picture(n: int) -> np.ndarray:
    noise = np.random.default_rng(n).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC))


def drawn_in(n: int) -> np.ndarray:
    return np.where(BLOB[..., None] > 0, np.array([255, 0, 0], np.uint8), picture(n))


def bright(n: int) -> np.ndarray:
    return np.where(BLOB > 0, np.uint8(255), picture(n)[..., 0] // 2)


@pytest.mark.parametrize("saved", [StoredMask, jpeg], ids=["PNG", "JPEG"])
@pytest.mark.parametrize("made", [picture, drawn_in, lambda n: picture(n)[..., 0]], ids=["RGB", "drawn in", "grey"])
def test_pictures_are_no_masks(made, saved):
    with pytest.raises(ConfigError, match=r"masks looks like pictures \(0.png, ...\): most pixels are neither"):
        chosen([saved(made(n)) for n in range(4)])


def test_a_grey_picture_is_cut_where_asked_for():
    classes, said, _ = chosen([bright(n) for n in range(4)], 1)
    assert classes.cut == 127.5
    assert "cut halfway" in said[-1]
