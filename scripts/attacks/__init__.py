"""The campaigns of ``scripts/attack.py``."""
