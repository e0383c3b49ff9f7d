"""Reference-guided labels (S3): a pixel takes the vote of the gold pixels that look most like it. No teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmine.errors import ConfigError, DataError
from labelmine.labelers.base import Labeler, PseudoLabel
from labelmine.labelers.features import DECODER, network_of, recorded_features
from labelmine.labelers.neighbours import nearest
from labelmine.labelers.prediction import predict
from labelmine.labelers.refusal import Reason, Refusal
from labelmine.networks import StudentNetwork

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


class ReferenceLabeler(Labeler):
    """Label pixels by the vote of their k nearest reference pixels in the student's features.

    S3 (Seibold et al., AAAI 2022) gives the idea and k = 5; the rest is our choice: the student's last decoder
    features, cosine, a class-balanced pool of gold pixels that is rebuilt whenever ``prepare`` is called (each epoch,
    in continuous labelling), the share of the votes as confidence. Labels are made on plain (weak) views and trained
    on in strongly augmented ones, as ``PseudoLabeling`` augments after labelling.

    An image's score is the mean confidence over its labelled pixels (``vote_share`` among the signals); pixels whose
    winning share is below ``confidence`` abstain.

    Args:
        references: Batches of gold views with ``image`` (B, 3, S, S), ``label`` (B, K, S, S) and, where there is
            padding, ``weight``.
        exclusive: Whether classes exclude each other: confidence is then the largest share, background's included. A
            class is there where more than half of the neighbours have it.
        k: Neighbours that vote.
        pool_size: Reference pixels, shared equally among the combinations of classes that gold shows.
        confidence: Share of the votes in [0, 1] below which a pixel abstains.
        min_score: Labels of a lower score are not used.
        layer: Dotted name of the student's module whose output (B, D, h, w) are the features.
        encoder: A frozen network (B, 3, S, S) -> (B, D, h, w) whose features are taken instead.
        stride: Features are averaged over squares of so many pixels of their map.
        near_images: Only pixels of so many reference images, those whose mean feature is nearest, vote; None: all.
        memory_mb: Bound in MB of the similarities held at once.
        seed: Of the draw of reference pixels.

    Raises:
        ConfigError: When a knob is out of its range.

    Example:
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 1, 1))
        >>> gold = {"image": torch.rand(2, 3, 32, 32), "label": torch.ones(2, 1, 32, 32)}
        >>> labeler = ReferenceLabeler([gold], layer="0")
        >>> labeler({"image": torch.rand(1, 3, 32, 32)}, network).mask.mean().item()
        1.0
    """

    name = "reference"

    def __init__(
        self,
        references: Iterable[Batch],
        exclusive: bool = False,
        k: int = 5,
        pool_size: int = 20000,
        confidence: float = 0.6,
        min_score: float = 0.5,
        layer: str = DECODER,
        encoder: Callable[[Tensor], Tensor] | None = None,
        stride: int = 2,
        near_images: int | None = None,
        memory_mb: float = 256.0,
        seed: int = 0,
    ) -> None:
        """Check and keep the knobs; references are looked at by ``prepare``."""
        if k < 1 or pool_size < k or stride < 1 or (near_images is not None and near_images < 1):
            raise ConfigError(
                "expected k >= 1, pool_size >= k, stride >= 1, near_images >= 1 or null. "
                f"Got: {k}, {pool_size}, {stride}, {near_images}"
            )
        if not 0 <= confidence <= 1 or not 0 <= min_score <= 1 or memory_mb <= 0:
            raise ConfigError(
                "expected confidence and min_score in [0, 1], memory_mb > 0. "
                f"Got: {confidence}, {min_score}, {memory_mb}"
            )
        self.references = references
        self.exclusive = exclusive
        self.k = k
        self.pool_size = pool_size
        self.confidence = confidence
        self.min_score = min_score
        self.layer = layer
        self.encoder = encoder
        self.stride = stride
        self.near_images = near_images
        self.memory_mb = memory_mb
        self.seed = seed
        self._pool: Pool | None = None

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
            weight=(confidence >= self.confidence).float() * inside * accepted.reshape(-1, 1, 1, 1),
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
        if not features or sum(map(len, features)) < self.k:
            raise DataError(
                f"references: expected gold views with at least k = {self.k} pixels. Got none: reference-guided labels "
                "need some training images with masks (label.yaml: put masks/ beside images/ for some of them)."
            )
        joined, masks = torch.cat(features), torch.cat(labels)
        chosen = self._balanced(masks).to(joined.device)
        return Pool(
            joined[chosen], masks[chosen].float(), torch.cat(image).to(joined.device)[chosen],
            F.normalize(torch.stack(means), dim=1),
        )  # fmt: skip

    def _look(self, batch: Batch, student: StudentNetwork) -> tuple[Tensor, Tensor | None]:
        """Return L2-normalised features (B, D, h, w) of a batch, and what the student answers where it was asked."""
        own = None
        if self.encoder is not None:
            maps = torch.cat([self.encoder(image[None]) for image in batch["image"]])
        else:
            network = network_of(student)
            images = batch["image"].to(next(network.parameters()).device)
            with recorded_features(network, self.layer) as seen:
                answer = predict(network, {"image": images}, self.exclusive)
            # A student that averages its looks would answer otherwise than its network.
            own = answer * _inside(batch).to(answer) if network is student else None
            maps = seen[0][: len(images)]
        if maps.ndim != 4:
            raise ConfigError(
                f"layer: expected an output (B, D, h, w). Got: {tuple(maps.shape)} from '{self.layer}'; take a layer "
                "whose output is a map."
            )
        maps = F.avg_pool2d(maps.float(), self.stride, ceil_mode=True) if self.stride > 1 else maps.float()
        return F.normalize(maps, dim=1), own

    def _balanced(self, labels: Tensor) -> Tensor:
        """Return positions of an equal number of pixels of each combination of classes (M, K), at random."""
        generator = torch.Generator().manual_seed(self.seed)
        _, kind = torch.unique(labels.cpu(), dim=0, return_inverse=True)
        order = torch.randperm(len(kind), generator=generator)
        quota = max(self.pool_size // (int(kind.max()) + 1), self.k)
        return torch.cat([order[kind[order] == number][:quota] for number in range(int(kind.max()) + 1)])

    def _vote(self, pool: Pool, features: Tensor, inside: Tensor) -> Tensor:
        """Return the share (K, h, w) of an image's pixels' neighbours that have each class."""
        votes, labels = pool.features, pool.labels
        if self.near_images is not None and self.near_images < len(pool.images):
            where = _at(inside[None].to(features), features[None])[0, 0] > 0.999
            mean = F.normalize(features[:, where].mean(1), dim=0)
            near = (pool.images @ mean).topk(self.near_images).indices
            chosen = torch.isin(pool.image, near)
            votes, labels = (votes[chosen], labels[chosen]) if int(chosen.sum()) >= self.k else (votes, labels)
        _, index = nearest(features.flatten(1).t(), votes, self.k, self.memory_mb)
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
