"""Reference-guided labels (S3): a pixel takes the vote of the gold pixels that look most like it. No teacher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmine.errors import DataError
from labelmine.labelers.base import Labeler, PseudoLabel
from labelmine.labelers.features import FeatureMap
from labelmine.labelers.neighbours import nearest
from labelmine.labelers.refusal import Reason, Refusal
from labelmine.networks import StudentNetwork
from labelmine.ranges import check_number

Batch = Mapping[str, Any]


@dataclass(frozen=True)
class Pool:
    """Reference pixels.

    Attributes:
        features: (P, D) L2-normalised.
        labels: (P, K) float32, 0 or 1.
        image: (P,) int64, which reference image a pixel is of.
        images: (M, D) L2-normalised mean feature of each reference image.
    """

    features: Tensor
    labels: Tensor
    image: Tensor
    images: Tensor


@dataclass(frozen=True)
class Vote:
    """Who votes on a pixel, and when the vote holds.

    Attributes:
        k: Neighbours that vote.
        pool_size: Reference pixels, shared equally among the combinations of classes that gold shows.
        confidence: Share of the votes in [0, 1] below which a pixel abstains.
        near_images: Only pixels of so many reference images, those whose mean feature is nearest, vote; None: all.
        memory_mb: Bound in MB of the similarities held at once.

    Raises:
        ConfigError: When a knob is out of its range.
    """

    k: int = 5
    pool_size: int = 20000
    confidence: float = 0.6
    near_images: int | None = None
    memory_mb: float = 256.0

    def __post_init__(self) -> None:
        """Check the knobs."""
        check_number("k", self.k, 1, whole=True)
        check_number("pool_size", self.pool_size, self.k, whole=True, hint="as k neighbours vote")
        check_number("vote_confidence", self.confidence, 0, 1)
        check_number("memory_mb", self.memory_mb, 0, open_low=True)
        if self.near_images is not None:
            check_number("near_images", self.near_images, 1, whole=True, hint="or null for all")


FEATURES, VOTE = FeatureMap(), Vote()


class ReferenceLabeler(Labeler):
    """Label pixels by the vote of their k nearest reference pixels in the student's features.

    S3 (Seibold et al., AAAI 2022) gives the idea and k = 5; the rest is our choice: the student's last decoder
    features, cosine, a class-balanced pool of gold pixels that is rebuilt whenever ``prepare`` is called (each epoch,
    in continuous labelling), the share of the votes as confidence. Labels are made on plain (weak) views and trained
    on in strongly augmented ones, as ``PseudoLabeling`` augments after labelling.

    An image's score is the mean confidence over its labelled pixels (``vote_share`` among the signals); pixels whose
    winning share is below ``vote.confidence`` abstain.

    Args:
        references: Batches of gold views with ``image`` (B, 3, S, S), ``label`` (B, K, S, S) and, where there is
            padding, ``weight``.
        exclusive: Whether classes exclude each other: confidence is then the largest share, background's included. A
            class is there where more than half of the neighbours have it.
        features: What of an image is compared.
        vote: Who votes.
        min_score: Labels of a lower score are not used.
        seed: Of the draw of reference pixels.

    Raises:
        ConfigError: When a knob is out of its range.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 1))
        >>> gold = {"image": torch.rand(2, 3, 32, 32), "label": torch.ones(2, 1, 32, 32)}
        >>> labeler = ReferenceLabeler([gold], features=FeatureMap("0"))
        >>> labeler({"image": torch.rand(1, 3, 32, 32)}, network).mask.mean().item()
        1.0
    """

    name = "reference"
    looks_at_gold = True

    def __init__(
        self,
        references: Iterable[Batch],
        exclusive: bool = False,
        features: FeatureMap = FEATURES,
        vote: Vote = VOTE,
        min_score: float = 0.5,
        seed: int = 0,
    ) -> None:
        """Check and keep the knobs; references are looked at by ``prepare``."""
        check_number("min_score", min_score, 0, 1)
        self.references = references
        self.exclusive = exclusive
        self.features = features
        self.vote = vote
        self.min_score = min_score
        self.seed = seed
        self._pool: Pool | None = None

    def check(self, student: StudentNetwork) -> None:
        """Refuse a student without the layer whose features are compared.

        Raises:
            ConfigError: No such layer.
        """
        self.features.check(student)

    @torch.no_grad()
    def prepare(self, student: StudentNetwork) -> None:
        """Build the pool anew from the references as the student sees them now.

        Raises:
            DataError: When there is no gold pixel, or fewer than ``k``.
        """
        self._pool = self._built(student)

    @torch.no_grad()
    def __call__(self, batch: Batch, student: StudentNetwork) -> PseudoLabel:
        """Label a batch of plain views; see ``Labeler``. Unless prepared, the pool is built anew for each call."""
        pool = self._pool or self._built(student)
        (features, own), inside = self._look(batch, student), _inside(batch)
        # Image by image: the same product for the same image, in whatever batch it comes.
        share = torch.stack([self._vote(pool, feature, where) for feature, where in zip(features, inside, strict=True)])
        share = F.interpolate(share, batch["image"].shape[-2:], mode="bilinear", align_corners=False)
        mask, confidence = self._decide(share)
        mask, confidence = mask * inside, confidence * inside
        found = (mask > 0.5).any(1, keepdim=True)
        score = (confidence * found).sum((1, 2, 3)) / found.sum((1, 2, 3)).clamp(min=1)
        accepted = found.flatten(1).any(1) & (score >= self.min_score)
        return PseudoLabel(
            mask=mask,
            weight=(confidence >= self.vote.confidence).float() * inside * accepted.reshape(-1, 1, 1, 1),
            score=score,
            accepted=accepted,
            refusal=[self._refusal(bool(a), float(s)) for a, s in zip(accepted, score, strict=True)],
            source=self.source,
            prompts=[[] for _ in accepted],
            signals={"vote_share": score},
            student=own,
        )

    def _built(self, student: StudentNetwork) -> Pool:
        features: list[Tensor] = []
        labels: list[Tensor] = []
        image: list[Tensor] = []
        means: list[Tensor] = []
        for batch in self.references:
            seen, _ = self._look(batch, student)
            gold = _at(batch["label"].to(seen), seen) > 0.5
            inside = _at(_inside(batch).to(seen), seen)[:, 0] > 0.999
            for feature, label, where in zip(seen, gold, inside, strict=True):
                image.append(torch.full((int(where.sum()),), len(means)))
                features.append(feature[:, where].t())
                labels.append(label[:, where].t())
                means.append(feature[:, where].mean(1))
        if not features or sum(map(len, features)) < self.vote.k:
            raise DataError(
                f"references: expected gold views with at least k = {self.vote.k} pixels. Got none: reference-guided "
                "labels need some training images with masks (label.yaml: put masks/ beside images/ for some of them)."
            )
        joined, masks = torch.cat(features), torch.cat(labels)
        chosen = self._balanced(masks).to(joined.device)
        return Pool(
            joined[chosen], masks[chosen].float(), torch.cat(image).to(joined.device)[chosen],
            F.normalize(torch.stack(means), dim=1),
        )  # fmt: skip

    def _look(self, batch: Batch, student: StudentNetwork) -> tuple[Tensor, Tensor | None]:
        """Return features (B, D, h, w) of a batch, and what the student answers where it was asked."""
        features, own = self.features.of(batch["image"], student, self.exclusive)
        return features, None if own is None else own * _inside(batch).to(own)

    def _balanced(self, labels: Tensor) -> Tensor:
        """Return positions of an equal number of pixels of each combination of classes (M, K), at random."""
        generator = torch.Generator().manual_seed(self.seed)
        _, kind = torch.unique(labels.cpu(), dim=0, return_inverse=True)
        order = torch.randperm(len(kind), generator=generator)
        quota = max(self.vote.pool_size // (int(kind.max()) + 1), self.vote.k)
        return torch.cat([order[kind[order] == number][:quota] for number in range(int(kind.max()) + 1)])

    def _vote(self, pool: Pool, features: Tensor, inside: Tensor) -> Tensor:
        """Return the share (K, h, w) of an image's pixels' neighbours that have each class."""
        votes, labels = pool.features, pool.labels
        if self.vote.near_images is not None and self.vote.near_images < len(pool.images):
            where = _at(inside[None].to(features), features[None])[0, 0] > 0.999
            mean = F.normalize(features[:, where].mean(1), dim=0)
            near = (pool.images @ mean).topk(self.vote.near_images).indices
            chosen = torch.isin(pool.image, near)
            votes, labels = (votes[chosen], labels[chosen]) if int(chosen.sum()) >= self.vote.k else (votes, labels)
        _, index = nearest(features.flatten(1).t(), votes, self.vote.k, self.vote.memory_mb)
        return labels[index].mean(1).t().reshape(-1, *features.shape[1:])

    def _decide(self, share: Tensor) -> tuple[Tensor, Tensor]:
        """Return mask (B, K, H, W) in [0, 1], its class being there above 0.5, and the winner's share (B, 1, H, W)."""
        if not self.exclusive:
            return share, torch.maximum(share, 1 - share).amin(1, keepdim=True)
        background = 1 - share.sum(1, keepdim=True)
        return share, torch.cat([background, share], dim=1).amax(1, keepdim=True)

    def _refusal(self, accepted: bool, score: float) -> Refusal | None:
        if accepted:
            return None
        return Refusal.low_score(score, self.min_score) if score else Refusal(Reason.NO_LIKENESS)


def _inside(batch: Batch) -> Tensor:
    """Return (B, 1, S, S) float: 0 in the padding."""
    images = batch["image"]
    return (batch["weight"] > 0).float() if "weight" in batch else torch.ones_like(images[:, :1])


def _at(maps: Tensor, like: Tensor) -> Tensor:
    """Return maps (B, C, S, S) at the resolution of features, averaged."""
    return F.adaptive_avg_pool2d(maps, (like.shape[-2], like.shape[-1]))
