"""Errors that a user can cause; each says what was expected, what was got and how to mend it."""


class LabelmineError(ValueError):
    """Base of all errors labelmine raises on purpose."""


class ConfigError(LabelmineError):
    """A knob or an override that cannot be used."""


class DataError(LabelmineError):
    """Images, masks or splits that cannot be used."""


class WeightsError(LabelmineError):
    """A weights file that is missing, damaged, unsafe or of another model."""


class PacsError(LabelmineError):
    """A PACS that cannot be reached, that refuses, or that answers with something else."""
