"""Other programs' forms, in and out: folders that annotation tools open, and corrections that come back from them."""

from labelmine.exchange.corrections import corrections_reader, read_corrections
from labelmine.exchange.drawn_by import Algorithm
from labelmine.exchange.review_folders import ReviewCase, write_review_folders

__all__ = ["Algorithm", "ReviewCase", "corrections_reader", "read_corrections", "write_review_folders"]
