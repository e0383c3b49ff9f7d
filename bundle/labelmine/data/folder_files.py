"""All files of a folder: links are followed, what other programs leave behind is passed over, the rest is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from labelmine.checksums import CHECKSUMS_FILE

#: What file managers, archives, cameras and version control leave in any folder; compared without case.
CLUTTER_FILES = frozenset(
    (".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", ".directory", ".localized", ".picasa.ini",
     ".nomedia", ".gitignore", ".gitattributes", ".gitkeep", ".keep", ".apdisk")
)  # fmt: skip
CLUTTER_FOLDERS = frozenset(
    ("__macosx", ".ipynb_checkpoints", "@eadir", "__pycache__", ".git", ".svn", ".dvc", ".cache", ".thumbnails",
     ".spotlight-v100", ".fseventsd", ".trashes", ".temporaryitems", "$recycle.bin", "system volume information",
     ".idea", ".vscode", "lost+found", "#recycle")
)  # fmt: skip
#: What macOS writes beside each file on foreign disks.
CLUTTER_PREFIX = "._"


@dataclass
class FolderFiles:
    """What lies below a folder.

    Attributes:
        files: Files to look at, relative to the folder, sorted.
        clutter: Number of files of known programs that were passed over.
        skipped: Reason -> paths of what cannot be a file of the set.
    """

    files: list[PurePosixPath] = field(default_factory=list)
    clutter: int = 0
    skipped: dict[str, list[PurePosixPath]] = field(default_factory=dict)

    def skip(self, reason: str, path: PurePosixPath) -> None:
        """Name what is not looked at."""
        self.skipped.setdefault(reason, []).append(path)


def list_folder(folder: Path) -> FolderFiles:
    """List all files at any depth.

    Links to folders are followed once: a folder that was already read, as in a loop, is not read again. What runs of
    labelmine wrote below the folder is named, and not taken for images.

    Args:
        folder: An existing folder.
    """
    found = FolderFiles()
    waiting, seen = [PurePosixPath()], set[tuple[int, int]]()
    while waiting:
        links: list[PurePosixPath] = []
        for below in waiting:
            _read_tree(folder, below, found, links, seen)
        waiting = sorted(links)
    found.files.sort()
    return found


def _read_tree(
    root: Path, below: PurePosixPath, found: FolderFiles, links: list[PurePosixPath], seen: set[tuple[int, int]]
) -> None:
    """Read one folder and those in it; links to folders wait, so that each folder keeps its own name."""
    try:
        status = os.stat(root / below)
        if (status.st_dev, status.st_ino) in seen:
            found.skip("link to a folder that is read already", below)
            return
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except OSError as error:
        found.skip(f"folder cannot be read ({error.strerror}); give yourself the right to", below)
        return
    if below.parts and any(entry.name == CHECKSUMS_FILE for entry in entries):
        found.skip("results of a labelmine run", below)
        return
    if not entries and below.parts:
        found.skip("empty folder", below)
    for entry in entries:
        path = below / entry.name
        if is_clutter(entry.name, entry.is_dir()):
            found.clutter += sum(1 for _ in _below(entry)) if entry.is_dir() else 1
        elif entry.name.startswith((".", "__")):
            found.skip("hidden file or folder", path)
        elif entry.is_dir(follow_symlinks=False):
            _read_tree(root, path, found, links, seen)
        elif entry.is_dir():
            links.append(path)
        elif entry.is_file():
            found.files.append(path)
        else:
            found.skip("broken link" if entry.is_symlink() else "neither file nor folder", path)


def is_clutter(name: str, is_folder: bool) -> bool:
    """Whether a name is one that a known program leaves behind.

    Example:
        >>> is_clutter(".DS_Store", False), is_clutter("._scan.png", False), is_clutter("scan.png", False)
        (True, True, False)
    """
    lower = name.lower()
    return lower in CLUTTER_FOLDERS if is_folder else lower in CLUTTER_FILES or lower.startswith(CLUTTER_PREFIX)


def _below(entry: os.DirEntry[str]) -> Iterator[str]:
    for _, _, names in os.walk(entry.path):
        yield from names
