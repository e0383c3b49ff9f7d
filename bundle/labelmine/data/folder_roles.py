"""Which folders of a public set hold images and which hold masks, told by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Role = Literal["image", "mask"]

IMAGE_WORDS = frozenset(
    ("image", "images", "img", "imgs", "original", "originals", "originalimage", "originalimages", "input", "inputs",
     "jpegimages")
)  # fmt: skip
MASK_WORDS = frozenset(
    ("mask", "masks", "label", "labels", "gt", "gts", "groundtruth", "groundtruths", "annotation", "annotations",
     "annot", "annots", "segmentation", "segmentations", "seg", "segs", "manual", "manuals", "segmentationclass",
     "segmentationobject")
)  # fmt: skip
#: Words that mean images only beside masks of the same set: ``Part1_Training_Data`` and ``Part1_Training_GroundTruth``.
WEAK_IMAGE_WORDS = frozenset(("data", "photos", "scans", "pictures"))
#: Folder names of nnU-Net and the Decathlon say the split, which is no part of an image's name.
NNUNET_RESIDUES = (("tr",), ("ts",))
SPLIT_WORDS = frozenset(("tr", "ts", "train", "training", "val", "valid", "validation", "test", "testing"))

Residue = tuple[str, ...]


@dataclass(frozen=True)
class FolderRole:
    """What a folder is for.

    Attributes:
        role: Whether it holds images or masks.
        residue: Words of its name that say something else (``train`` of ``train_masks``): masks belong to images of
            the folder with the same residue.
    """

    role: Role
    residue: Residue = ()

    @property
    def is_plain(self) -> bool:
        """Whether the name says nothing else, so that it is no part of an image's id."""
        return not self.residue or self.residue in NNUNET_RESIDUES


def words_of(name: str) -> Residue:
    """Split a name into lower-case words.

    Example:
        >>> words_of("imagesTr"), words_of("Ground Truth"), words_of("Part1_Training_GroundTruth")
        (('images', 'tr'), ('groundtruth',), ('part', '1', 'training', 'groundtruth'))
    """
    words = [word.casefold() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+", name)]
    return tuple(re.sub(r"\bground truth", "groundtruth", " ".join(words)).split())


def role_of(name: str) -> FolderRole | None:
    """Tell a folder's role by its first or last word, or all of them; ``None``: its name says nothing.

    Example:
        >>> role_of("Ground Truth"), role_of("train_masks"), role_of("benign")
        (FolderRole(role='mask', residue=()), FolderRole(role='mask', residue=('train',)), None)
    """
    words = words_of(name)
    for role, known in (("mask", MASK_WORDS), ("image", IMAGE_WORDS)):
        if "".join(words) in known:
            return FolderRole("mask" if role == "mask" else "image")
    ends = set(words[:1] + words[-1:])
    if ends & MASK_WORDS:
        return FolderRole("mask", _without(words, MASK_WORDS | IMAGE_WORDS))
    if ends & IMAGE_WORDS or set(words[-1:]) & WEAK_IMAGE_WORDS:
        return FolderRole("image", _without(words, IMAGE_WORDS | WEAK_IMAGE_WORDS))
    return None


def folder_roles(files: Iterable[PurePosixPath]) -> dict[PurePosixPath, FolderRole]:
    """Tell which folders above the files hold images, and which hold masks.

    A name that says more than its role (``train_masks``) counts where a neighbour says the rest (``train_images`` or
    ``train``): ``old_masks`` beside ``images`` and ``masks`` holds neither.

    Args:
        files: Paths relative to the set.
    """
    neighbours: dict[PurePosixPath, set[str]] = {}
    for folder in {parent for path in files for parent in path.parents if parent.name}:
        neighbours.setdefault(folder.parent, set()).add(folder.name)
    return {parent / name: role for parent, names in neighbours.items() for name, role in _roles_beside(names).items()}


def _roles_beside(names: Iterable[str]) -> dict[str, FolderRole]:
    said = {name: role_of(name) for name in names}
    plain = {name: role for name, role in said.items() if role and not role.residue and _is_strong(name)}
    more = {name: role for name, role in said.items() if role and role.residue}
    residues = {kind: {r.residue for r in more.values() if r.role == kind} for kind in ("image", "mask")}
    # The folder of images may be named by the rest alone: train/ beside train_masks/.
    bare = {name: FolderRole("image", words_of(name)) for name in said if words_of(name) in residues["mask"]}
    images = residues["image"] | {role.residue for role in bare.values()}
    shared = images & residues["mask"]
    splits = any(set(residue) <= SPLIT_WORDS for residue in shared)
    paired = {
        name: role
        for name, role in more.items()
        if role.residue in shared or (splits and role.role == "image" and set(role.residue) <= SPLIT_WORDS)
    }
    return plain | bare | paired


def _is_strong(name: str) -> bool:
    return not set(words_of(name)) <= WEAK_IMAGE_WORDS


def _without(words: Residue, known: frozenset[str]) -> Residue:
    """Drop role words from both ends."""
    first = 1 if words[0] in known else 0
    last = len(words) - 1 if len(words) > first and words[-1] in known else len(words)
    return words[first:last]


def deepest_role(
    path: PurePosixPath, roles: Mapping[PurePosixPath, FolderRole]
) -> tuple[PurePosixPath, FolderRole] | None:
    """Return the folder that decides for a file, and its role."""
    return next(((folder, roles[folder]) for folder in path.parents if folder in roles), None)
