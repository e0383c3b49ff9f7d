"""Which pseudo labels should an expert look at first: the page to review them on, and folders for annotation tools."""

from labelmine.review.cases import Cases
from labelmine.review.correcting import Corrector
from labelmine.review.ranking import REVIEW_FOLDER, write_review
from labelmine.review.serving import require_server, serve
from labelmine.review.session import ReviewSession

__all__ = ["REVIEW_FOLDER", "Cases", "Corrector", "ReviewSession", "require_server", "serve", "write_review"]
