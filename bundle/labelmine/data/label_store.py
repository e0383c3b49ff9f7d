"""Pseudo labels on disk, written so that a run killed at any moment goes on where it stopped.

A mask is written whole (to a temporary name, then renamed); only then does its line enter ``manifest.jsonl``. What the
manifest does not name, or names without its mask being there, is simply made again. Below the store's folder lie:

- ``manifest.jsonl``, one line per label as it is made, each with a check of its own (see ``labelmine.journal``), and
  ``manifest.csv``, the same as a table, by ``finish``;
- ``manifest.<rank>.jsonl``, the lines of ranks other than the first (see ``labelmine.ranks``), until ``finish`` joins
  them to ``manifest.jsonl``;
- ``masks/<id>.png``, 0 and 255 or class values; where classes overlap, the later class wins;
- ``by_class/<number>_<class>/<id>.png``, 0 and 255, only for images in which classes overlap;
- ``weights/<id>.png``, 8 bits for weights in [0, 1], only where pixels are weighted;
- ``probabilities/<number>_<class>/<id>.png``, 8 bits for [0, 1], only where they are asked for;
- for slices of NIfTI files ``slices/<id>.png`` instead of ``masks/``, and ``masks/<volume>.nii.gz`` by ``finish``.

``masks/`` beside the images is thus an image set again. It holds rejected labels too; the manifest says which they are.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelmine.atomic import remove, write_whole
from labelmine.checksums import require_sound
from labelmine.data.classes import ClassMap
from labelmine.data.headers import NIFTI_SUFFIXES
from labelmine.data.items import Item
from labelmine.data.label_files import HELD_BY, LabelFiles, read_picture, read_share, write_picture, write_share
from labelmine.data.label_volumes import write_label_volumes
from labelmine.data.set_aside import relative_name
from labelmine.errors import DataError
from labelmine.journal import Journal, Record, read_journal, sealed

logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.jsonl"
CLASSES_NAME = "classes.json"


class LabelStore:
    """Pseudo labels of one run; safe to use from several threads of one process.

    Each rank of a run has a store of its own on the same folder and a manifest of its own in it, so no two write one
    file. What other ranks have written is looked up whenever the store is asked.

    Args:
        folder: Where labels are, or will be; made where missing.
        classes: Classes of the masks; a store that was begun with other classes is refused.
        root: Folder of the image set. Records name images relative to it, or by bare file name without it, so that no
            user's folder is written anywhere.
        slice_axis: Axis along which NIfTI volumes were cut.
        with_lost: Whether records stay whose files are gone; else those labels are made again.

    Raises:
        DataError: A store of other classes, or a folder whose ``masks/`` are somebody else's.

    Example:
        >>> import tempfile
        >>> store = LabelStore(tempfile.mkdtemp(), ClassMap())
        >>> item = Item(id="a", image="a.png", group="a")
        >>> store.write(item, np.ones((1, 4, 6), dtype=bool), {"score": 0.9, "accepted": True})
        >>> store.done, store.read(item)[0].shape
        ({'a'}, (1, 4, 6))
    """

    def __init__(
        self,
        folder: str | Path,
        classes: ClassMap,
        root: str | Path | None = None,
        slice_axis: int = -1,
        with_lost: bool = False,
    ) -> None:
        """Open the store and take up what is done."""
        self.folder = Path(folder).expanduser()
        self.classes = classes
        self.root = None if root is None else Path(root).expanduser().absolute()
        self.slice_axis = slice_axis
        self._files = LabelFiles(self.folder, classes.names)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._refuse_other_classes()
        rank = idist.get_rank()
        name = f"manifest.{rank}.jsonl" if rank else MANIFEST_NAME
        self._own = Journal(self.folder / name, durable=True, plain=_plain)
        self._records: dict[str, Record] = {}
        self._lost: set[str] = set()
        self._sizes: dict[Path, int] = {}
        self._look_up()
        if not with_lost:
            self._drop_lost()
        self._written: dict[str, Item] = {}

    @classmethod
    def existing(cls, folder: str | Path, slice_axis: int = -1, sound: bool = True) -> LabelStore:
        """Open the labels of a finished run, with the classes that they were made for.

        Args:
            folder: Folder of the labels.
            slice_axis: Axis along which NIfTI volumes were cut.
            sound: Whether labels that are damaged or gone are refused; else whoever reads them sees.

        Raises:
            DataError: The folder holds no labels, or some that are not as they were written.
        """
        path = Path(folder).expanduser() / CLASSES_NAME
        store = cls(folder, _read_classes(path), slice_axis=slice_axis, with_lost=not sound)
        require_sound(path, *(file for record in store.records() for file in store._files.of(record) if sound))
        return store

    @property
    def done(self) -> set[str]:
        """Ids of the images that have their label."""
        return set(self._look_up())

    def records(self) -> list[Record]:
        """One record per label, in the order they were made; the last one where an image was labelled again."""
        return [dict(record) for record in self._look_up().values()]

    def accepted_items(self, items: Iterable[Item]) -> list[Item]:
        """Those of ``items`` whose label is there and accepted."""
        records = self._look_up()
        return [item for item in items if records.get(item["id"], {}).get("accepted", False)]

    def unfinished(self, items: Iterable[Item]) -> list[Item]:
        """Those of ``items`` that have no label yet; how many have one is logged."""
        every, done = list(items), self.done
        rest = [item for item in every if item["id"] not in done]
        if len(rest) < len(every):
            logger.info("%d of %d images are done already", len(every) - len(rest), len(every))
        return rest

    def write(
        self,
        item: Item,
        mask: NDArray[Any],
        record: Mapping[str, Any],
        weight: NDArray[np.floating[Any]] | None = None,
        probability: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        """Write one label, then its line in the manifest.

        Args:
            item: The image labelled.
            mask: (K, H, W) bool, or 0 and 1, at the image's original size.
            record: What is known of the label (source, score, accepted, reason, prompts, sha256 of weights ...), of
                JSON types, NumPy numbers or tensors; a ``weight`` among it is one weight for all pixels. Added are
                ``id``, ``image``, ``overlap`` (classes overlap) and ``weighted`` (pixels are weighted).
            weight: (H, W) in [0, 1]; 0 where a pixel abstains. Stored in steps of 1/255.
            probability: (K, H, W) in [0, 1], of which ``mask`` was cut. Stored in steps of 1/255.

        Raises:
            DataError: A mask or a weight of another shape.
        """
        mask = np.asarray(mask) > 0
        if mask.ndim != 3 or len(mask) != len(self.classes):
            raise DataError(f"{item['id']}: expected a mask ({len(self.classes)}, H, W), got {mask.shape}")
        if weight is not None and np.shape(weight) != mask.shape[1:]:
            raise DataError(f"{item['id']}: expected a weight {mask.shape[1:]}, got {np.shape(weight)}")
        overlap = bool((mask.sum(axis=0) > 1).any())
        write_picture(self.mask_path(item), self.classes.decode(mask))
        if overlap:
            for channel, path in zip(mask, self._files.by_class(item["id"]), strict=True):
                write_picture(path, channel.astype(np.uint8) * 255)
        if weight is not None:
            write_share(self._files.weight(item["id"]), weight)
        if probability is not None:
            for channel, path in zip(probability, self._files.probabilities(item["id"]), strict=True):
                write_share(path, channel)
        identity = {"id": item["id"], "image": self._image_name(item)}
        facts = {"overlap": overlap, "weighted": weight is not None}
        self._append(item, identity | dict(record) | identity | facts)

    def read(self, item: Item) -> tuple[NDArray[np.uint8], NDArray[np.float32] | float]:
        """Read the label of an image.

        Returns:
            Mask (K, H, W) uint8 of 0 and 1, and weight: (H, W) float32 in [0, 1]; where pixels are not weighted the
            record's ``weight``, or 1.0 without one.

        Raises:
            DataError: No label, or one whose file was removed or damaged.
        """
        record = self._records.get(item["id"]) or self._look_up().get(item["id"])
        if record is None:
            raise DataError(f"{item['id']}: no label in {self.folder.name}/{MANIFEST_NAME}; label the image first")
        if record["overlap"]:
            mask = np.stack([read_picture(path) > 0 for path in self._files.by_class(item["id"])]).astype(np.uint8)
        else:
            mask = self.classes.encode(read_picture(self.mask_path(item)))
        if not record["weighted"]:
            return mask, float(record.get("weight", 1.0))
        return mask, read_share(self._files.weight(item["id"]))

    def read_probability(self, item: Item) -> NDArray[np.float32]:
        """Read the probabilities (K, H, W) float32 in [0, 1] of an image, where they were written.

        Raises:
            DataError: None were written, or their files were removed or damaged.
        """
        return np.stack([read_share(path) for path in self._files.probabilities(item["id"])])

    def hand_over(self, item: Item, file: Path) -> None:
        """Remove the files of an image's label, which another file holds; without that file the label is made again."""
        record = self._look_up()[item["id"]]
        held = os.path.relpath(file, self.folder)
        if record.get(HELD_BY) != held:
            self._append(item, {**record, HELD_BY: held})
        files, name = self._files, item["id"]
        for path in [self.mask_path(item), files.weight(name), *files.by_class(name), *files.probabilities(name)]:
            remove(path)

    def mask_path(self, item: Item) -> Path:
        """File of the image's mask: all classes in one picture."""
        return self._files.mask(item["id"], item["image"])

    def finish(self, items: Iterable[Item] = ()) -> None:
        """Write ``manifest.csv``, and join slices to ``masks/<volume>.nii.gz`` with the source's geometry.

        The first rank does it for all, when all have written their labels; on others nothing happens.

        Args:
            items: Items of NIfTI volumes labelled by earlier runs; those written through this object are known.
        """
        if idist.get_rank() > 0:
            return
        self._join_manifests()
        rows = sorted(self._records.values(), key=lambda record: str(record["id"]))
        flat = [{key: json.dumps(v) if isinstance(v, list | dict) else v for key, v in row.items()} for row in rows]
        write_whole(self.folder / "manifest.csv", pd.DataFrame(flat).to_csv(index=False).encode())
        known = {item["id"]: item for item in [*items, *self._written.values()] if item["id"] in self._records}
        slices = [item for item in known.values() if item["image"].lower().endswith(NIFTI_SUFFIXES)]
        write_label_volumes(
            slices,
            lambda item: read_picture(self.mask_path(item)),
            self.classes,
            self.folder / "masks",
            self.slice_axis,
        )

    def _append(self, item: Item, record: Record) -> None:
        with self._lock:
            self._records[item["id"]] = self._own.append(record)
            self._sizes[self._own.path] = self._own.size
            self._written[item["id"]] = item

    def _look_up(self) -> dict[str, Record]:
        """Return all records, with those that other ranks have added since the last look.

        ``manifest.jsonl`` is read last, and so counts most: a single rank writes there when it labels anew.
        """
        with self._lock:
            for path in [*sorted(self.folder.glob("manifest.*.jsonl")), self.folder / MANIFEST_NAME]:
                size = path.stat().st_size if path.is_file() else 0
                if size != self._sizes.get(path, 0):
                    found = {record["id"]: record for record in read_journal(path)}
                    self._records |= {k: v for k, v in found.items() if k not in self._lost or self._is_there(v)}
                    self._sizes[path] = size
            return self._records

    def _drop_lost(self) -> None:
        """Let go of labels whose files are gone, as when a run has set damaged ones aside: they are made again."""
        self._lost = {name for name, record in self._records.items() if not self._is_there(record)}
        for name in self._lost:
            del self._records[name]
        if self._lost:
            some = ", ".join(sorted(self._lost)[:3])
            logger.warning("%d labels (%s ...) have lost their files and are made again", len(self._lost), some)

    def _is_there(self, record: Record) -> bool:
        return all(path.is_file() for path in self._files.of(record))

    def _join_manifests(self) -> None:
        """Move the lines of the other ranks to ``manifest.jsonl``; killed in between, both hold the same."""
        self._look_up()
        first = self.folder / MANIFEST_NAME
        others = sorted(self.folder.glob("manifest.*.jsonl"))
        with self._lock:
            there = {record["id"] for record in read_journal(first)} - self._lost
            lines = [sealed(json.dumps(record)) for name, record in self._records.items() if name not in there]
            if others:
                write_whole(first, (first.read_bytes() if first.is_file() else b"") + b"".join(lines))
            for path in others:
                path.unlink()

    def _refuse_other_classes(self) -> None:
        """A mask's values mean nothing without its classes, so the store remembers them."""
        now = self.classes.as_json()
        path, masks = self.folder / CLASSES_NAME, self.folder / "masks"
        if path.is_file():
            earlier = _read_classes(path).as_json()
            if {**earlier, "levels": None} != {**now, "levels": None}:
                raise DataError(
                    f"{self.folder.name}: holds labels of the classes {earlier['names']} with values "
                    f"{earlier['values']}, expected {now['names']} with {now['values']}. Use another "
                    "folder, or delete this one"
                )
        elif masks.is_dir() and any(masks.iterdir()) and not (self.folder / MANIFEST_NAME).is_file():
            raise DataError(
                f"{self.folder.name}/masks: holds files that this run did not write, and would write over. Give "
                "another --output_dir"
            )
        else:
            write_whole(path, json.dumps(now).encode())

    def _image_name(self, item: Item) -> str:
        path = Path(item["image"])
        return path.name if self.root is None else relative_name(path.absolute(), self.root)


def _read_classes(path: Path) -> ClassMap:
    try:
        return ClassMap.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path.parent.name}/{CLASSES_NAME}: expected the classes of labels that mine.yaml or label.yaml wrote, "
            f"got {type(error).__name__}. Give the output folder of such a run, or delete the file in one of yours"
        ) from error


def _plain(value: Any) -> Any:
    """JSON of NumPy numbers, arrays and tensors."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"expected JSON types, NumPy values or tensors in the record, got {type(value).__name__}")
