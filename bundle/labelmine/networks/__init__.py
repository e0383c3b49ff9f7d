"""Networks that smp and MONAI do not have as they are needed: the student."""

from labelmine.networks.student import Student, probabilities
from labelmine.networks.test_time import TestTimeAverage

__all__ = ["Student", "TestTimeAverage", "probabilities"]
