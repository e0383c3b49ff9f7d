"""``python -m labelmine``: the command ``labelmine``."""

from __future__ import annotations

from labelmine.cli import main

if __name__ == "__main__":
    main()
