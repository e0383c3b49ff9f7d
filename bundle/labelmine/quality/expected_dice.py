"""From signals to expected Dice: learnt on gold that no student was trained on, judged out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labelmine.errors import ConfigError

Method = Literal["auto", "isotonic", "logistic"]
MIN_LABELS, MIN_GROUPS = 8, 4  # labels, and gold images (or groups) that they belong to, below which nothing is learnt
ISOTONIC_FROM = 200  # labels; isotonic regression overfits on fewer (Niculescu-Mizil and Caruana, ICML 2005: 1000)
FOLDS, BINS = 5, 10


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far expected Dice can be trusted, measured on labels that it was not learnt from.

    Attributes:
        expected: Out-of-fold expected Dice of each label of gold images.
        observed: Their Dice against gold.
        method: ``isotonic`` or ``logistic``.
        n_groups: Number of gold images, or groups of them.
    """

    expected: list[float]
    observed: list[float]
    method: str
    n_groups: int

    @property
    def error(self) -> float:
        """Expected calibration error: mean over labels of abs(mean expected - mean observed) of the label's bin."""
        bins = self.bins()
        return float((bins["n"] * (bins["expected"] - bins["observed"]).abs()).sum() / bins["n"].sum())

    @property
    def rank_correlation(self) -> float:
        """Spearman's correlation of expected and observed Dice; 0 where one of them is constant."""
        if min(np.ptp(self.expected), np.ptp(self.observed)) == 0:
            return 0.0
        return float(spearmanr(self.expected, self.observed).statistic)

    def bins(self) -> pd.DataFrame:
        """Return ``expected``, ``observed`` (means) and ``n`` of up to ten bins of about equal size."""
        table = pd.DataFrame({"expected": self.expected, "observed": self.observed})
        count = max(1, min(BINS, len(table) // 5))
        place = (table["expected"].rank(method="first") - 1) * count // len(table)
        grouped = table.groupby(place)
        return grouped.mean().assign(n=grouped.size()).reset_index(drop=True)

    def summary(self) -> dict[str, Any]:
        """Return what ``metrics.json`` says."""
        numbers = {"error": round(self.error, 4), "spearman": round(self.rank_correlation, 4)}
        return {**numbers, "n": len(self.expected), "n_groups": self.n_groups, "method": self.method}


@dataclass(frozen=True, kw_only=True)
class ExpectedDice:
    """A monotone function of signals: no signal that rises lowers the expected Dice.

    A ridge regression with coefficients >= 0 makes one number of the signals; a logistic curve (Platt), or with many
    labels an isotonic one, turns it into expected Dice.

    Attributes:
        names: Signals, in the order of ``weights``.
        weights: Coefficients >= 0.
        x: Knots of the curve: weighted sums, ascending.
        y: Expected Dice there, ascending, in [0, 1]; linear in between.
        calibration: How good it was out of fold.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    calibration: Calibration | None = field(default=None, compare=False)

    @classmethod
    def fit(
        cls,
        signals: Mapping[str, ArrayLike],
        dice: ArrayLike,
        groups: Sequence[str],
        method: Method = "auto",
    ) -> ExpectedDice | None:
        """Learn from labels of gold images; None where gold is too little (fewer than 8 labels, or 4 groups of images).

        Args:
            signals: (N,) values in [0, 1] by name, higher for better labels.
            dice: (N,) Dice of the labels against gold.
            groups: Image or patient of each label; none is judged by what was learnt from itself.
            method: ``auto``: isotonic from 200 labels on.

        Raises:
            ConfigError: For an unknown method.
        """
        if method not in ("auto", "isotonic", "logistic"):
            raise ConfigError(f"method: expected 'auto', 'isotonic' or 'logistic'. Got: '{method}'")
        n_groups = len(set(groups))
        if n_groups < MIN_GROUPS or len(groups) < MIN_LABELS:
            return None
        names = tuple(signals)
        table = np.stack([np.asarray(signals[name], dtype=float) for name in names], axis=1)
        observed = np.asarray(dice, dtype=float)
        folds = GroupKFold(min(FOLDS, n_groups))
        linear = make_pipeline(StandardScaler(), Ridge(alpha=1.0, positive=True))
        combined = cross_val_predict(linear, table, observed, groups=groups, cv=folds)
        isotonic = method == "isotonic" or (method == "auto" and len(observed) >= ISOTONIC_FROM)
        curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip") if isotonic else _LogisticCurve()
        expected = cross_val_predict(curve, combined[:, None], observed, groups=groups, cv=folds)
        weights, offset = _flattened(linear.fit(table, observed))
        knots = np.linspace(combined.min(), combined.max(), 200)
        values = np.maximum.accumulate(np.clip(curve.fit(combined[:, None], observed).predict(knots[:, None]), 0, 1))
        calibration = Calibration(
            expected=[round(float(v), 6) for v in expected],
            observed=[round(float(v), 6) for v in observed],
            method="isotonic" if isotonic else "logistic",
            n_groups=n_groups,
        )
        return cls(
            names=names,
            weights=tuple(map(float, weights)),
            x=tuple(map(float, knots - offset)),
            y=tuple(map(float, values)),
            calibration=calibration,
        )

    def __call__(self, signals: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Return the expected Dice (N,) in [0, 1].

        Raises:
            ConfigError: When a signal that was learnt from is missing.
        """
        missing = [name for name in self.names if name not in signals]
        if missing:
            raise ConfigError(
                f"expected the signals {', '.join(self.names)}. Missing: {', '.join(missing)}. The labeler is another "
                "than the one the scores were calibrated for: run the gate again (a new output folder of mine.yaml)."
            )
        total = sum(w * np.asarray(signals[n], dtype=float) for n, w in zip(self.names, self.weights, strict=True))
        return np.asarray(np.interp(total, self.x, self.y))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ExpectedDice:
        """Return what ``to_json`` gave."""
        parts = {name: tuple(content[name]) for name in ("names", "weights", "x", "y")}
        calibration = content.get("calibration")
        return cls(**parts, calibration=Calibration(**calibration) if calibration else None)


class _LogisticCurve(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Logistic regression of a fraction: each label counts ``dice`` times as a hit and ``1 - dice`` times as a miss."""

    def fit(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> _LogisticCurve:
        """Fit; a curve that would fall is replaced by the mean."""
        fraction = np.clip(y, 1e-3, 1 - 1e-3)
        hits = np.repeat([1, 0], len(y))
        model = LogisticRegression(C=10.0).fit(
            np.concatenate([x, x]), hits, sample_weight=np.concatenate([fraction, 1 - fraction])
        )
        rises = model.coef_[0, 0] > 0
        self.slope_ = float(model.coef_[0, 0]) if rises else 0.0
        self.offset_ = float(model.intercept_[0]) if rises else float(np.log(fraction.mean() / (1 - fraction.mean())))
        return self

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return expected fractions."""
        return np.asarray(1 / (1 + np.exp(-(self.slope_ * x[:, 0] + self.offset_))))


def _flattened(pipeline: Any) -> tuple[NDArray[np.float64], float]:
    """Return the coefficients and the offset of scaler and ridge in one."""
    scaler, ridge = pipeline[0], pipeline[1]
    weights = ridge.coef_ / scaler.scale_
    return weights, float(ridge.intercept_ - weights @ scaler.mean_)
