"""Exact nearest neighbours of the reference labeler against naive ``torch.cdist``, faiss and scikit-learn.

50,000 query pixels, 20,000 reference pixels, 64 dimensions, 5 neighbours by cosine, all sides on the same L2-normalised
vectors. labelmine takes faiss on a CPU and torch on a GPU.

    uv run python scripts/benchmarks/neighbours.py [--queries 50000] [--pool 20000] [--rounds 3]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from side_by_side import Comparison, machine, print_verdict, time_side_by_side
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from labelmine.labelers.neighbours import by_torch, nearest

BAR = 3.0
DIMS, K = 64, 5


def sides_of(query: Tensor, pool: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return what is compared; each side gives the similarities (Q, K), descending."""

    def cdist() -> Tensor:
        distance = torch.cdist(query, pool).topk(K, largest=False).values
        return 1 - distance.square() / 2

    def ours() -> Tensor:
        return nearest(query, pool, K)[0]

    def torch_alone() -> Tensor:
        return by_torch(query, pool, K)[0]

    def scikit_learn() -> Tensor:
        found = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(pool.cpu().numpy())
        return 1 - torch.from_numpy(found.kneighbors(query.cpu().numpy())[0])

    return {"torch.cdist": cdist, "labelmine": ours, "torch": torch_alone, "scikit-learn": scikit_learn}


def main() -> None:
    """Time all in turns and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=50000)
    parser.add_argument("--pool", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    query, pool = (F.normalize(torch.randn(n, DIMS, device=device), dim=1) for n in (args.queries, args.pool))
    sides = sides_of(query, pool)
    exact = (query[:500].double() @ pool.double().t()).topk(K).values.float()
    apart = {name: float((side()[:500].to(exact) - exact).abs().max()) for name, side in sides.items()}
    seconds = time_side_by_side(sides, args.rounds, warm_up=0)
    print(f"{args.queries} x {args.pool} x {DIMS}, {machine()}")
    for name, values in seconds.items():
        gain = Comparison.of(seconds["torch.cdist"], values)
        print(f"{name}: {min(values):.2f} s, cdist by it {gain}, similarities within {apart[name]:.1e} of float64")
    gain = Comparison.of(seconds["torch.cdist"], seconds["labelmine"])
    best = {name: round(min(values), 3) for name, values in seconds.items()}
    print_verdict("neighbours", gain.ratio, BAR, device, spread=gain.spread, seconds=best, apart=apart)


if __name__ == "__main__":
    main()
