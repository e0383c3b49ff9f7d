"""A folder of masks named like images: which file is the mask of which image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labelmine.data.folder_files import list_folder
from labelmine.data.headers import file_kind, without_suffix
from labelmine.data.items import Item, volume_id
from labelmine.errors import DataError

FORMATS = "PNG, TIFF, BMP, JPEG or NIfTI"


class MaskFolder:
    """Mask files by image id: the path below the folder, without suffix, is the id. Other files are passed over.

    Args:
        folder: Folder of PNG, TIFF, BMP, JPEG or NIfTI files, at any depth.
        items: Images that may be asked for; they tell which volume a slice belongs to.

    Raises:
        DataError: No folder, no mask in it, two masks of one name, or masks of other images only.

    Example:
        >>> MaskFolder(Path("answers")).find("img[1]")  # doctest: +SKIP
        PosixPath('answers/img[1].png')
    """

    def __init__(self, folder: str | Path, items: Sequence[Item] = ()) -> None:
        """List the files; none is read yet."""
        self.folder = Path(folder).expanduser()
        self._files = _find_masks(self.folder)
        self._items = {item["id"]: item for item in items}
        if self._items and not any(image_id in self for image_id in self._items):
            raise DataError(
                f"masks_dir: none of the {len(self._files)} masks in {self.folder.name}/ belongs to an image: expected "
                f"names like {next(iter(self._items))!r}, got {next(iter(self._files))!r}; name masks like their images"
            )

    @property
    def names(self) -> list[str]:
        """Names of all masks."""
        return list(self._files)

    def __contains__(self, image_id: str) -> bool:
        """Whether there is a mask of an image."""
        return self.find(image_id) is not None

    def find(self, image_id: str) -> Path | None:
        """Return the mask of the image's own name, or the volume of masks that its slice belongs to; None: no mask."""
        item = self._items.get(image_id)
        return self._files.get(image_id) or (None if item is None else self._files.get(volume_id(item)))


def _find_masks(folder: Path) -> dict[str, Path]:
    """Return mask files by their path in the folder without suffix."""
    if not folder.is_dir():
        raise DataError(f"masks_dir: {folder} is no folder; give the folder of the masks")
    found: dict[str, Path] = {}
    for path in (folder / name for name in list_folder(folder).files):
        if file_kind(path) not in ("picture", "nifti"):
            continue
        other = found.setdefault(without_suffix(path.relative_to(folder)).as_posix(), path)
        if other is not path:
            raise DataError(f"masks_dir: {other.name} and {path.name} are masks of one image; keep one of them")
    if not found:
        raise DataError(f"masks_dir: no mask in {folder}; expected {FORMATS} files")
    return found
