"""Class maps: how the values of a mask file become one channel per class, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labelmine.errors import ConfigError, DataError

#: What a user may write for the ``classes`` knob; ``None`` infers the classes from the gold masks.
ClassSpec = int | Sequence[str] | Mapping[str, int | Sequence[int]] | None
Color = tuple[int, int, int]

#: Values up to this are noise of compression in a lossy picture of 8 bits without foreground.
LOSSY_NOISE = 8


@dataclass(frozen=True)
class ClassMap:
    """The classes of an image set and the mask values (or colours) that stand for them.

    Attributes:
        names: One name per class; the background has none.
        values: Mask value per class, or RGB colour per class, or ``None`` for a single class made of any positive
            value.
        levels: What masks of the set hold in earnest, 0 and up, where they hold values in between too (smear of
            compression or resampling, soft maps): each value is taken to the nearest. ``None``: nothing in between.

    Example:
        >>> organs = ClassMap.from_config(["liver", "spleen"])
        >>> mask = np.array([[0, 1], [2, 2]])
        >>> organs.encode(mask).tolist()
        [[[0, 1], [0, 0]], [[0, 0], [1, 1]]]
        >>> organs.decode(organs.encode(mask) > 0).tolist()
        [[0, 1], [2, 2]]
    """

    names: tuple[str, ...] = ("foreground",)
    values: tuple[int, ...] | tuple[Color, ...] | None = None
    levels: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse maps that could not be undone.

        Raises:
            ConfigError: A class without name, with two values, or two classes with one value.
        """
        count = 1 if self.values is None else len(self.values)
        if count == 0 or count != len(self.names):
            raise ConfigError(f"classes: expected one value per name, got names {self.names} and values {self.values}")
        if len(set(self.names)) != count or (self.values is not None and len(set(self.values)) != count):
            raise ConfigError(f"classes: names and values must differ, got {self.names}, {self.values}")

    def __len__(self) -> int:
        """Number of classes K, background not counted."""
        return len(self.names)

    @property
    def is_color(self) -> bool:
        """Whether classes are told apart by RGB colour."""
        return self.values is not None and isinstance(self.values[0], tuple)

    @property
    def cut(self) -> float:
        """Value above which a pixel of a binary map is foreground."""
        return 0.0 if self.levels is None else sum(self.levels[:2]) / 2

    def encode(self, mask: np.ndarray) -> np.ndarray:
        """Split a mask into one channel per class; values that no class names count as background.

        Args:
            mask: (H, W) values or (H, W, 3) colours, as stored in the file.

        Returns:
            (K, H, W) uint8 of 0 and 1.

        Raises:
            DataError: A mask of other dimensions, or a grey mask where classes are colours.
        """
        mask = self._shaped(mask)
        if self.values is None:
            return np.asarray(mask > self.cut, dtype=np.uint8)[None]
        channels = [(mask == value).all(-1) if self.is_color else mask == value for value in np.asarray(self.values)]
        return np.stack(channels).astype(np.uint8)

    def decode(self, mask: np.ndarray) -> np.ndarray:
        """Join class channels into the mask that is written to a file; where classes overlap, the later one wins.

        Args:
            mask: (K, H, W) bool.

        Returns:
            (H, W) uint8: 0 and 255 for a binary map, else class values (uint16 past 255, or where the masks of the set
            are cut above it); (H, W, 3) uint8 for colours.

        Raises:
            DataError: A mask whose number of channels is not K.
        """
        if mask.ndim != 3 or len(mask) != len(self):
            raise DataError(f"mask: expected ({len(self)}, H, W) for classes {self.names}, got {mask.shape}")
        top = 255 if self.cut < 255 else np.iinfo(np.uint16).max
        values = np.asarray((top,) if self.values is None else self.values)
        dtype = np.uint8 if values.max() <= 255 else np.uint16
        joined = np.zeros((*mask.shape[1:], *values.shape[1:]), dtype=dtype)
        for channel, value in zip(mask, values, strict=True):
            joined[channel.astype(bool)] = value
        return joined

    def foreign_values(self, mask: np.ndarray) -> set[int] | set[Color]:
        """Values (or colours) in ``mask`` that are neither background nor a class; empty for a binary map."""
        if self.values is None:
            return set()
        rest = self._shaped(mask)[~self.encode(mask).any(0)]
        if self.is_color:
            return {(int(r), int(g), int(b)) for r, g, b in np.unique(rest, axis=0)} - {(0, 0, 0)}
        return {int(value) for value in np.unique(rest)} - {0}

    def _shaped(self, mask: np.ndarray) -> np.ndarray:
        if mask.ndim not in (2, 3) or (mask.ndim == 3 and mask.shape[-1] != 3):
            raise DataError(f"mask: expected (H, W) or (H, W, 3), got {mask.shape}")
        if self.is_color and mask.ndim == 2:
            raise DataError("mask: classes are RGB colours, so expected a colour mask (H, W, 3), got a grey one")
        grey = mask if self.is_color or mask.ndim == 2 else mask.max(axis=-1)
        return grey if self.levels is None or self.values is None else self._nearest(grey, self.levels)

    def _nearest(self, mask: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
        middle = (np.asarray(levels[1:]) + np.asarray(levels[:-1])) / 2
        return np.asarray(levels)[np.searchsorted(middle, mask)]

    def encode_lossy(self, mask: np.ndarray) -> np.ndarray:
        """Split a mask whose values compression has smeared; arguments and result as for ``encode``.

        Raises:
            DataError: Several classes or colours, which a smear mixes up; a mask of noise alone is empty.
        """
        if self.values is None or (len(self.values) == 1 and not self.is_color):
            top = self.values[0] if self.values else 255
            known = self if self.levels is not None else replace(self, levels=(0.0, float(top)))  # type: ignore[arg-type]  # no colour
            return known.encode(mask)
        if mask.max(initial=0) > LOSSY_NOISE:
            raise DataError("JPEG changes class values and colours; save class maps as PNG")
        return np.zeros((len(self), *mask.shape[:2]), dtype=np.uint8)

    def as_json(self) -> dict[str, Any]:
        """Return what ``from_json`` takes."""
        known = {"names": list(self.names), "values": self.values}
        return known if self.levels is None else {**known, "levels": self.levels}

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> ClassMap:
        """Take up the map of an earlier run.

        Raises:
            KeyError: Not what ``as_json`` gives.
        """
        values = known["values"] and tuple(tuple(v) if isinstance(v, list) else v for v in known["values"])
        levels = known.get("levels")
        return cls(tuple(known["names"]), values, levels and tuple(map(float, levels)))

    @classmethod
    def from_config(cls, spec: ClassSpec | ClassMap) -> ClassMap:
        """Build the map from the ``classes`` knob; ``choose_classes`` infers it where the knob is ``None``.

        Args:
            spec: ``n`` stands for the values 1..n (1: any positive value); a list names the values 1, 2, ...; a mapping
                gives each name its value or its ``[r, g, b]`` colour. A class named ``background`` or of value 0 is
                left out.

        Raises:
            ConfigError: A spec of another form.
        """
        if isinstance(spec, ClassMap):
            return spec
        if isinstance(spec, int) and not isinstance(spec, bool) and spec >= 1:
            return cls() if spec == 1 else numbered(spec)
        if isinstance(spec, Mapping) and spec:
            return _from_mapping(spec)
        if isinstance(spec, Sequence) and not isinstance(spec, str) and all(isinstance(name, str) for name in spec):
            names = tuple(name for name in spec if name.lower() != "background")
            if names:
                return cls(names, None if len(names) == 1 else tuple(range(1, len(names) + 1)))
        raise ConfigError(
            f"classes: expected null, a number, a list of names, or names with values or [r, g, b] colours; got "
            f"{spec!r}"
        )


def numbered(count: int) -> ClassMap:
    """Return the map of the classes 1..n."""
    return ClassMap(tuple(f"class_{value}" for value in range(1, count + 1)), tuple(range(1, count + 1)))


def _from_mapping(spec: Mapping[str, int | Sequence[int]]) -> ClassMap:
    numbers = {str(name): value for name, value in spec.items() if isinstance(value, int) and value > 0}
    colors = {
        str(name): (int(value[0]), int(value[1]), int(value[2]))
        for name, value in spec.items()
        if isinstance(value, Sequence) and len(value) == 3 and all(0 <= level <= 255 for level in value)
    }
    colors_used = {name: color for name, color in colors.items() if any(color)}
    left_out = sum(value == 0 for value in spec.values())
    if numbers and len(numbers) + left_out == len(spec):
        return ClassMap(tuple(numbers), tuple(numbers.values()))
    if colors_used and len(colors) == len(spec):
        return ClassMap(tuple(colors_used), tuple(colors_used.values()))
    raise ConfigError(
        f"classes: expected a positive value for every name, or an [r, g, b] colour (0-255) for every name; "
        f"got {dict(spec)}"
    )
