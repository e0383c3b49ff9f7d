"""Networks that smp and MONAI do not have as they are needed: the student."""

from labelmine.networks.behind import IndirectStudent, StudentNetwork, network_behind
from labelmine.networks.student import Student, probabilities
from labelmine.networks.test_time import RememberedLooks, TestTimeAverage

__all__ = [
    "IndirectStudent",
    "RememberedLooks",
    "Student",
    "StudentNetwork",
    "TestTimeAverage",
    "network_behind",
    "probabilities",
]
