"""Folders called ``train``, ``val`` and ``test`` as the split that a set brings along."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from labelmine.data.findings import Findings
from labelmine.data.folder_roles import role_of, words_of
from labelmine.data.items import Split

SPLITS: Mapping[str, Split] = {
    "tr": "train", "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "ts": "test", "test": "test", "testing": "test",
}  # fmt: skip
TAKEN = "folders named {names} were taken as the split; list the images in a CSV without `split` to have one drawn"
LEFT = "folders named {names} were not taken as the split, as not every image with a mask lies in just one of them"


def splits_of_folders(images: Collection[PurePosixPath], findings: Findings) -> dict[PurePosixPath, Split]:
    """Read the split of each image from its folders, where all say one, and not all the same.

    Args:
        images: Images with gold, relative to the set.
        findings: Receives whether the folders' names were used.
    """
    said = {path: {SPLITS[word]: word for word in _split_words(path)} for path in images}
    names = sorted({word for splits in said.values() for word in splits.values()})
    if len({split for splits in said.values() for split in splits}) < 2:
        return {}
    clear = all(len(splits) == 1 for splits in said.values())
    findings.note("split", (TAKEN if clear else LEFT).format(names=", ".join(names)))
    return {path: next(iter(splits)) for path, splits in said.items()} if clear else {}


def _split_words(path: PurePosixPath) -> list[str]:
    """Words for a split in folder names that say nothing else, or are the residue of a role: ``train_images``."""
    found = []
    for folder in path.parts[:-1]:
        role = role_of(folder)
        words = role.residue if role else words_of(folder)
        found += [word for word in words if word in SPLITS and (role or len(words) == 1)]
    return found
