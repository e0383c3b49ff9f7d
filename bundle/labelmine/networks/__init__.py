"""Networks that smp and MONAI do not have as they are needed: the student."""

from labelmine.networks.student import Student, probabilities

__all__ = ["Student", "probabilities"]
