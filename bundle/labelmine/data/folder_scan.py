"""Looking through a folder: its images with their masks, and an account of every other file in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from labelmine.data.dicom_gold import is_dicom_gold
from labelmine.data.findings import Findings
from labelmine.data.folder_files import list_folder
from labelmine.data.folder_splits import splits_of_folders
from labelmine.data.headers import file_kind
from labelmine.data.listings import Entry
from labelmine.data.look_alikes import note_look_alikes
from labelmine.data.mask_pattern import MaskPattern
from labelmine.data.nnunet import DATASET_JSON, is_nnunet
from labelmine.data.pairing import Pairing, pair_by_names
from labelmine.data.pattern_pairing import pair_by_pattern
from labelmine.data.set_aside import SetAside, printable, relative_name
from labelmine.data.unused_files import unused_rows

NO_DICOM_MASK = "masks are read from PNG, TIFF, BMP, JPEG or NIfTI; export this one as such"


@dataclass
class Scan:
    """What one source holds.

    Attributes:
        root: Folder that names are relative to.
        entries: Image files with their masks.
        frame_masks: Masks that may be those of single frames, by item id.
        set_aside: What cannot be used.
        unused: What belongs to no image.
        files: All files of a folder, relative to it.
        dicom_gold: DICOM Segmentations and RT Structure Sets, which say themselves what they label.
        is_listing: Whether a file lists the images, in an order that is kept.
        is_told: Whether it is known where masks are, so that none is no sign of a mistake.
    """

    root: Path
    entries: list[Entry]
    frame_masks: dict[str, Path] = field(default_factory=dict)
    set_aside: list[SetAside] = field(default_factory=list)
    unused: list[SetAside] = field(default_factory=list)
    files: list[PurePosixPath] = field(default_factory=list)
    is_told: bool = True
    dicom_gold: list[Path] = field(default_factory=list)
    is_listing: bool = False

    def reject(self, name: str, path: Path, reason: str) -> None:
        """Set a file aside."""
        self.set_aside.append(SetAside(printable(name), relative_name(path, self.root), reason))


def scan_folder(folder: Path, mask_pattern: MaskPattern | None, findings: Findings) -> Scan:
    """Find images and masks below a folder.

    Args:
        folder: The folder.
        mask_pattern: How masks are found; None: by names.
        findings: Receives how images and masks were paired.

    Raises:
        DataError: Masks that can be read in two ways, or a pattern that fits nothing.
    """
    found = list_folder(folder)
    kinds = {path: file_kind(folder / path) for path in found.files}
    gold = [path for path, kind in kinds.items() if kind == "dicom" and is_dicom_gold(folder / path)]
    files = [path for path, kind in kinds.items() if kind is not None and path not in gold]
    paired = pair_by_pattern(files, mask_pattern) if mask_pattern else pair_by_names(files, folder.name)
    dicom = {path for path, kind in kinds.items() if kind == "dicom"}
    scan = Scan(folder, _entries(folder, paired, dicom, findings), files=found.files)
    scan.dicom_gold = [folder / path for path in gold]
    scan.is_told = mask_pattern is not None or bool(paired.patterns) or bool(gold)
    scan.frame_masks = {name: folder / path for path, name in paired.unpaired.items() if path not in dicom}
    for name, path in [(i.id, p) for i in paired.images for p in i.masks] + [
        (n, p) for p, n in paired.unpaired.items()
    ]:
        if path in dicom:
            scan.reject(name, folder / path, NO_DICOM_MASK)
    for path, first in paired.doubled.items():
        scan.reject(path.stem, folder / path, f"second mask of this name beside {first.name}; keep one of them")
    _note_pairing(paired, found.clutter, findings)
    note_look_alikes([image.path for image in paired.images], paired.unused, scan.is_told, findings)
    others = [p for p, kind in kinds.items() if kind is None and not (p.name == DATASET_JSON and is_nnunet(folder / p))]
    scan.unused = unused_rows(folder, paired.unused, others, found.skipped)
    return scan


def _entries(folder: Path, paired: Pairing, unread: set[PurePosixPath], findings: Findings) -> list[Entry]:
    splits = splits_of_folders([image.path for image in paired.images if image.masks], findings)
    return [
        Entry(
            image.id,
            folder / image.path,
            tuple(folder / path for path in image.masks if path not in unread),
            split=splits.get(image.path),
        )
        for image in paired.images
    ]


def _note_pairing(paired: Pairing, clutter: int, findings: Findings) -> None:
    for pattern, masks in paired.patterns.items():
        for mask in masks:
            findings.note("pairing", f"masks were paired with images by '{pattern}'", str(mask))
    for image in paired.images:
        if len(image.masks) > 1:
            findings.note("pairing", "several masks of one image were united", image.id)
    if clutter:
        findings.note(
            "clutter", f"{clutter} hidden files of known programs (.DS_Store, Thumbs.db ...) were passed over"
        )
