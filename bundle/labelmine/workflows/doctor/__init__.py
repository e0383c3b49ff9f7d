"""``configs/doctor.yaml``: what was understood of an image set, before anything is trained."""

from labelmine.workflows.doctor.doctor import Doctor
from labelmine.workflows.doctor.knobs import DoctorKnobs

__all__ = ["Doctor", "DoctorKnobs"]
