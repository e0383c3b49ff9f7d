"""An image file of a folder, and what the folders above say of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from labelmine.data.file_names import CHANNEL, Stem
from labelmine.data.folder_roles import NNUNET_RESIDUES, FolderRole, Residue, deepest_role, folder_roles
from labelmine.data.headers import without_suffix

#: Where images of one folder and masks of another agree: folders above, words of the folder's name, folders below.
Place = tuple[tuple[str, ...], Residue, tuple[str, ...]]


@dataclass(frozen=True)
class PlacedFile:
    """A file with the folder that says what it is.

    Attributes:
        path: Path relative to the set.
        folder: The folder that decides, or ``None``.
        role: Its role, or ``None``.
    """

    path: PurePosixPath
    folder: PurePosixPath | None = None
    role: FolderRole | None = None

    @property
    def is_mask(self) -> bool:
        """Whether it lies in a folder of masks."""
        return self.role is not None and self.role.role == "mask"

    @property
    def is_image(self) -> bool:
        """Whether it lies in a folder of images."""
        return self.role is not None and self.role.role == "image"

    @property
    def has_channels(self) -> bool:
        """Whether it lies in a folder of nnU-Net, whose images end with the number of a channel."""
        return self.role is not None and self.role.residue in NNUNET_RESIDUES

    @cached_property
    def stem(self) -> str:
        """File name without suffix."""
        return without_suffix(self.path).name

    @cached_property
    def place(self) -> Place:
        """Where it lies, apart from its role."""
        if self.folder is None or self.role is None:
            return (), (), self.path.parts[:-1]
        return self.folder.parts[:-1], self.role.residue, self.path.parts[len(self.folder.parts) : -1]

    def image_id(self, channels: bool = False) -> str:
        """Path without suffix and without a folder that only says what is in it; perhaps without the channel."""
        whole = without_suffix(self.path)
        if self.folder is not None and self.role is not None and self.role.is_plain:
            above, _, below = self.place
            whole = PurePosixPath(*above, *below, whole.name)
        channel = CHANNEL.fullmatch(whole.name) if channels and self.has_channels else None
        return str(whole.with_name(channel["core"]) if channel else whole)

    def template(self, stem: Stem) -> str:
        """Write its path with ``{id}`` in place of what image and mask share.

        Example:
            >>> file = PlacedFile(PurePosixPath("gt/p1/a_mask.png"), PurePosixPath("gt"), FolderRole("mask"))
            >>> file.template(Stem("a", "{id}_mask"))
            'gt/{id}_mask'
        """
        above, _, below = self.place
        own = [self.folder.name] if self.folder is not None else []
        if below and not stem.style.startswith("{id}"):
            own.append("{sub}" if above else "{folder}")
        return "/".join([*(["{folder}"] if above else []), *own, stem.style])


def place_files(files: Iterable[PurePosixPath]) -> list[PlacedFile]:
    """Tell what the folders of a set say of its files, in order of path."""
    files = sorted(files)
    roles = folder_roles(files)
    return [PlacedFile(path, *(deepest_role(path, roles) or (None, None))) for path in files]
