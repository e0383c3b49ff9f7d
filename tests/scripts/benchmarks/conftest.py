"""Benchmarks are scripts, no package: they find each other because Python puts a script's folder on the path."""

from __future__ import annotations

import sys

from labelmine.bundle import bundle_root

sys.path.insert(0, str(bundle_root() / "scripts" / "benchmarks"))
