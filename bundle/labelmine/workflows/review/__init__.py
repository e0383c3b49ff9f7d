"""``configs/review.yaml``: which pseudo labels of a finished run an expert should correct, and folders to do it in."""

from labelmine.workflows.review.review import Review, ReviewKnobs

__all__ = ["Review", "ReviewKnobs"]
