"""The campaigns of ``scripts/attack.py``, one a module: each yields a line for the table of ``docs/robustness.md``."""
