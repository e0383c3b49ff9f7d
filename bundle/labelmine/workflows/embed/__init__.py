"""``configs/embed.yaml``: the teacher encodes each image once, ahead of a run."""

from labelmine.workflows.embed.embedding import Embedding, EmbedKnobs

__all__ = ["EmbedKnobs", "Embedding"]
