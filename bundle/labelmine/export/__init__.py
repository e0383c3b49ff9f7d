"""What leaves labelmine: images and pseudo labels in folders that annotation tools open."""

from labelmine.export.review_folders import ReviewCase, write_review_folders

__all__ = ["ReviewCase", "write_review_folders"]
