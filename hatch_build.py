"""What the package's metadata take from elsewhere: the project's address, and a README that reads well there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: Where the address stands, once: as soon as it does, metadata have URLs, and the README's links are absolute.
CITATION, KEY = "CITATION.cff", "repository-code"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


class ProjectAddress(MetadataHookInterface):
    """Fills in ``readme`` and ``urls`` when a wheel or an sdist is built."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Add what depends on the address; without one the README stays as it is, and there are no URLs."""
        root = Path(self.root)
        text = (root / "README.md").read_text(encoding="utf-8")
        address = address_of(root / CITATION)
        if address:
            text = with_absolute_links(text, address, f"v{metadata['version']}")
            metadata["urls"] = {
                "Source": address,
                "Documentation": f"{address}/blob/main/docs/README.md",
                "Changelog": f"{address}/blob/main/CHANGELOG.md",
                "Issues": f"{address}/issues",
            }
        else:
            metadata["urls"] = {}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def address_of(citation: Path) -> str | None:
    """Return the address of the repository that the citation file names."""
    found = re.search(rf"^{KEY}:\s*[\"']?(\S+?)[\"']?\s*$", citation.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].rstrip("/") if found else None


def with_absolute_links(text: str, address: str, tag: str) -> str:
    """Return a README whose links and pictures lead to a tag of the repository.

    Example:
        >>> with_absolute_links("![p](docs/p.png) [d](docs/a.md#b)", "https://host/team/labelmine", "v1")
        '![p](https://host/team/labelmine/raw/v1/docs/p.png) [d](https://host/team/labelmine/blob/v1/docs/a.md#b)'
    """

    def absolute(link: re.Match[str]) -> str:
        picture, words, path = link.groups()
        return f"{picture}[{words}]({address}/{'raw' if picture else 'blob'}/{tag}/{path})"

    return _LINK.sub(absolute, text)
