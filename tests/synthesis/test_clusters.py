from __future__ import annotations

import numpy as np
import pytest

from labelmine.errors import ConfigError
from labelmine.synthesis.clusters import cluster


def test_kinds_that_lie_apart_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(centre, 0.1, (20, 5)) for centre in (0.0, 3.0, -3.0)])
    found = cluster(features, 3)
    assert [len(set(found[i : i + 20])) for i in (0, 20, 40)] == [1, 1, 1]
    assert set(found) == {0, 1, 2}
    np.testing.assert_array_equal(found, cluster(features, 3))


@pytest.mark.parametrize("count", [0, 6])
def test_too_small_clusters_are_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=r"clusters: expected 1 to 5, so that each has some 4 of the 20 gold images"):
        cluster(np.zeros((20, 3)), count)
