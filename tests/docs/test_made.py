"""What docs show is true today: made parts are as their sources say, pages are found."""

from __future__ import annotations

import re
import subprocess
import sys

from labelmine.bundle import bundle_root

ROOT = bundle_root()
#: Of MONAI's bundle form and for GitHub, not of the site.
NO_PAGES = {"README.md"}


def test_made_parts_are_as_they_would_be_made_today() -> None:
    script = ROOT / "scripts" / "docs" / "make.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    shown = set(re.findall(r"[\w/-]+\.md\b", text.partition("\nnav:")[2]))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert pages - shown - NO_PAGES == set(), "name them under nav: in mkdocs.yml"
    assert shown <= pages


def test_links_out_of_readme_and_models_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "models").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_bundle_readme_keeps_the_form_of_the_zoo() -> None:
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Model Overview\n")
    assert (ROOT / "docs" / "data_license.txt").is_file()
