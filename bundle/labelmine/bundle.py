"""Where the bundle's files lie."""

from __future__ import annotations

from pathlib import Path

from labelmine.errors import ConfigError


def bundle_root() -> Path:
    """Find the folder that holds ``configs/`` and ``models/``.

    That is ``labelmine/_bundle`` in an installed wheel, the zip's root when run from an unpacked release, and the
    repository's root in a checkout.

    Raises:
        ConfigError: No ``configs/metadata.json`` in any of the three places.

    Example:
        >>> (bundle_root() / "configs" / "metadata.json").is_file()
        True
    """
    package = Path(__file__).resolve().parent
    places = (package / "_bundle", package.parent, package.parent.parent)
    for place in places:
        if (place / "configs" / "metadata.json").is_file():
            return place
    raise ConfigError(
        f"expected configs/metadata.json in one of {', '.join(map(str, places))}, found none; "
        "reinstall labelmine, or unpack the whole release zip"
    )
