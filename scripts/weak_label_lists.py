"""Write an image set whose images have roles (gold, weakly labelled, other) as a listing that labelmine reads.

python scripts/weak_label_lists.py ../shared/data/busi /tmp/lists/busi_s0.csv --seed 0
python scripts/weak_label_lists.py ../shared/data/isic2016 /tmp/lists/isic_f0.csv --fold 0 --folds 5
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import fire
import pandas as pd

from labelmine.data import Item, Pair, Split, find_items, near_duplicates, read_image
from labelmine.data.listings import COLUMNS
from labelmine.errors import ConfigError, DataError

ROLES_FILE = "roles.csv"
#: How a role's name begins, and what it stands for; the numbers that follow (``gold25``) only count the images.
ROLES = ("gold", "weak", "other")
GOLD, WEAK, OTHER = ROLES


def main(dataset_dir: str, output: str, seed: int = 0, n_val: int = 5, fold: int | None = None, folds: int = 5) -> None:
    """Write the listing and print how many images each split holds.

    Args:
        dataset_dir: Folder with ``images/``, ``masks/`` and ``roles.csv`` (``name,role``).
        output: CSV file to write (``id,image,label,group,split``, absolute paths).
        seed: Seed of the draw of validation images and of the folds.
        n_val: Gold images that validate.
        fold: Part of the gold that tests, counted from 0; left out, the images of role ``other`` test.
        folds: Number of parts that the gold is cut into.
    """
    items = find_items(dataset_dir)
    pairs = near_duplicates(items, read_image)
    table = listing(items, read_roles(dataset_dir, items), pairs, seed, n_val, fold, folds)
    target = Path(output).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(target, index=False)
    counts = ", ".join(f"{split} {count}" for split, count in table["split"].value_counts().sort_index().items())
    why = "a part of the gold tests" if fold is not None else "near-duplicates of training, validation or weak images"
    print(f"{target}: {counts}; {len(items) - len(table)} images of role {OTHER} left out ({why})")


def read_roles(dataset_dir: str | Path, items: Sequence[Item]) -> dict[str, str]:
    """Read each image's role: ``gold``, ``weak`` or ``other``.

    Raises:
        DataError: A missing file or column, an unknown role, or an image without a role.
    """
    path = Path(dataset_dir).expanduser() / ROLES_FILE
    if not path.is_file():
        raise DataError(f"{path}: does not exist; list the images there as name,role with roles {ROLES}")
    table = pd.read_csv(path, dtype=str)
    if not {"name", "role"} <= set(table.columns):
        raise DataError(f"{path}: expected the columns name,role; got {','.join(table.columns)}")
    roles = {str(name): _role(str(role), path) for name, role in zip(table["name"], table["role"], strict=True)}
    lacking = [item["id"] for item in items if item["id"] not in roles]
    if lacking:
        raise DataError(f"{path}: {len(lacking)} images have no role, first {lacking[0]!r}; add a row for each")
    return roles


def _role(name: str, path: Path) -> str:
    role = name.rstrip("0123456789")
    if role not in ROLES:
        raise DataError(f"{path}: expected roles that begin with one of {ROLES}, got {name!r}")
    return role


def listing(
    items: Sequence[Item],
    roles: dict[str, str],
    pairs: Sequence[Pair],
    seed: int = 0,
    n_val: int = 5,
    fold: int | None = None,
    folds: int = 5,
) -> pd.DataFrame:
    """Give each image its group and split; images of role ``other`` that look like any used image are left out.

    Near-duplicates, also through a third image, share a group, and no group is cut between training, validation and
    test. Weakly labelled images are ``unlabeled``; their gold, where there is any, only measures what is mined.

    Args:
        items: Images, with masks where there is gold.
        roles: ``gold``, ``weak`` or ``other`` by id.
        pairs: Near-duplicates.
        seed: Seed of the draw.
        n_val: Gold images that validate (a whole group more or less where the gold holds near-duplicates).
        fold: Part of the gold that tests; None: the images of role ``other`` test.
        folds: Number of parts.

    Returns:
        Table with the columns id, image, label, group, split, ordered by id.

    Raises:
        ConfigError: A fold out of range, or too little gold for ``n_val``.
        DataError: No test image, or gold without a mask.
    """
    groups = _groups([item["id"] for item in items], pairs)
    splits = _gold_splits(items, roles, groups, seed, n_val, fold, folds)
    used = {groups[name] for name, role in roles.items() if role != OTHER and name in groups}
    rows = []
    for item in sorted(items, key=lambda item: item["id"]):
        name, role = item["id"], roles[item["id"]]
        if role != OTHER:
            split: Split = splits.get(name, "unlabeled")
        elif fold is None and groups[name] not in used and "label" in item:
            split = "test"
        else:
            continue
        rows.append((name, item["image"], item.get("label", ""), groups[name], split))
    if not any(row[-1] == "test" for row in rows):
        raise DataError(f"no image of role {OTHER!r} can test: give --fold, so that a part of the gold tests")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _gold_splits(
    items: Sequence[Item],
    roles: dict[str, str],
    groups: dict[str, str],
    seed: int,
    n_val: int,
    fold: int | None,
    folds: int,
) -> dict[str, Split]:
    if fold is not None and not 0 <= fold < folds:
        raise ConfigError(f"fold: expected 0 to {folds - 1} (folds is {folds}), got {fold}")
    gold: dict[str, list[str]] = {}
    for item in sorted(items, key=lambda item: item["id"]):
        if roles[item["id"]] == GOLD:
            if "label" not in item:
                raise DataError(f"{item['id']}: has the role {GOLD} but no mask; add masks/{item['id']}.png")
            gold.setdefault(groups[item["id"]], []).append(item["id"])
    order = random.Random(seed).sample(sorted(gold), len(gold))
    tests = [] if fold is None else order[fold::folds]
    splits: dict[str, Split] = {name: "test" for group in tests for name in gold[group]}
    for group in (group for group in order if group not in tests):
        short = n_val > sum(split == "val" for split in splits.values())
        splits |= dict.fromkeys(gold[group], "val" if short else "train")
    if n_val < 1 or "train" not in splits.values():
        raise ConfigError(f"n_val: expected 1 or more and fewer than the {len(splits)} gold images, got {n_val}")
    return splits


def _groups(names: Sequence[str], pairs: Sequence[Pair]) -> dict[str, str]:
    """Name of the first image that each image is joined with by near-duplicates."""
    groups = {name: name for name in names}
    for first, second, _ in pairs:
        kept, lost = sorted((groups[first], groups[second]))
        groups = {name: kept if group == lost else group for name, group in groups.items()}
    return groups


if __name__ == "__main__":
    fire.Fire(main)
