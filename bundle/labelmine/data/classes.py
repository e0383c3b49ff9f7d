"""Class maps: how the values of a mask file become one channel per class, and back."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelmine.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

#: What a user may write for the ``classes`` knob; ``None`` infers the classes from the gold masks.
ClassSpec = int | Sequence[str] | Mapping[str, int | Sequence[int]] | None
Color = tuple[int, int, int]

MAX_INFERRED_CLASSES = 20


@dataclass(frozen=True)
class ClassMap:
    """The classes of an image set and the mask values (or colours) that stand for them.

    Attributes:
        names: One name per class; the background has none.
        values: Mask value per class, or RGB colour per class, or ``None`` for a single class made of any positive
            value.

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
            return np.asarray(mask > 0, dtype=np.uint8)[None]
        channels = [(mask == value).all(-1) if self.is_color else mask == value for value in np.asarray(self.values)]
        return np.stack(channels).astype(np.uint8)

    def decode(self, mask: np.ndarray) -> np.ndarray:
        """Join class channels into the mask that is written to a file; where classes overlap, the later one wins.

        Args:
            mask: (K, H, W) bool.

        Returns:
            (H, W) uint8: 0 and 255 for a binary map, else class values (uint16 past 255); (H, W, 3) uint8 for colours.

        Raises:
            DataError: A mask whose number of channels is not K.
        """
        if mask.ndim != 3 or len(mask) != len(self):
            raise DataError(f"mask: expected ({len(self)}, H, W) for classes {self.names}, got {mask.shape}")
        values = np.asarray((255,) if self.values is None else self.values)
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
        return mask if self.is_color or mask.ndim == 2 else mask.max(axis=-1)

    @classmethod
    def infer(cls, masks: Iterable[np.ndarray]) -> ClassMap:
        """Infer the classes from all gold masks of a set.

        Positive values that are exactly 1..n with n from 2 to 20 make a map of n classes; all else is binary.

        Args:
            masks: Mask arrays of any shape (or just the distinct values of each).
        """
        values = {float(value) for mask in masks for value in np.unique(mask) if value > 0}
        count = len(values)
        if 2 <= count <= MAX_INFERRED_CLASSES and values == set(range(1, count + 1)):
            return _numbered(count)
        if count >= 2 and max(values) <= MAX_INFERRED_CLASSES:
            logger.warning(
                "masks hold the values %s: taken as one foreground class; name them with `classes` if they are several",
                sorted(values),
            )
        return cls()

    @classmethod
    def from_config(cls, spec: ClassSpec | ClassMap, masks: Iterable[np.ndarray] = ()) -> ClassMap:
        """Build the map from the ``classes`` knob.

        Args:
            spec: ``None`` infers from ``masks``; ``n`` stands for the values 1..n (1: any positive value); a list
                names the values 1, 2, ...; a mapping gives each name its value or its ``[r, g, b]`` colour.
                A class named ``background`` or of value 0 is left out.
            masks: Gold masks, used only where ``spec`` is ``None``.

        Raises:
            ConfigError: A spec of another form.
        """
        if isinstance(spec, ClassMap):
            return spec
        if spec is None:
            return cls.infer(masks)
        if isinstance(spec, int) and not isinstance(spec, bool) and spec >= 1:
            return cls() if spec == 1 else _numbered(spec)
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


def _numbered(count: int) -> ClassMap:
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
