"""A run's beginning and its folder: knobs as given, settings derived from them, lock, stages, file names.

The import stays light, for the command line: what needs torch is imported where it is used.
"""
