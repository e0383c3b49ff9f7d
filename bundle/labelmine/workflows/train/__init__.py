"""``configs/train.yaml``: a student on gold alone."""

from labelmine.workflows.train.training import SupervisedTraining, TrainKnobs

__all__ = ["SupervisedTraining", "TrainKnobs"]
