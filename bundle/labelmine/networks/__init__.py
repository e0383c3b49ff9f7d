"""Networks that smp and MONAI do not have as they are needed: the student."""

from labelmine.networks.behind import ClassStudent, IndirectStudent, StudentNetwork, network_behind
from labelmine.networks.student import Student, logits_of, probabilities
from labelmine.networks.test_time import RememberedLooks, TestTimeAverage

__all__ = [
    "ClassStudent",
    "IndirectStudent",
    "RememberedLooks",
    "Student",
    "StudentNetwork",
    "TestTimeAverage",
    "logits_of",
    "network_behind",
    "probabilities",
]
