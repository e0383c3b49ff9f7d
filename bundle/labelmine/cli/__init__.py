"""The command ``labelmine``: verbs that run the bundle's configs, with the knobs as options.

The import stays light: torch and MONAI are imported when a verb runs.
"""

from labelmine.cli.main import main

__all__ = ["main"]
