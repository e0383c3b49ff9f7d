"""Which pseudo labels should an expert look at first, and the folders that annotation tools open."""

from labelmine.review.ranking import REVIEW_FOLDER, write_review

__all__ = ["REVIEW_FOLDER", "write_review"]
