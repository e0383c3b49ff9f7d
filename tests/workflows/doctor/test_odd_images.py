from __future__ import annotations

import pytest

from labelmine.data import Item
from labelmine.data.findings import Finding
from labelmine.evaluation.image_facts import ImageFacts
from labelmine.workflows.doctor.odd_images import PICTURES, choose_odd


def facts_of(name: str, *shares: float, gold: bool = True, border: bool = False) -> ImageFacts:
    area = (sum(shares),) if gold else ()
    return ImageFacts(
        id=name, format="PNG", modality="grey", size=(64, 64), areas=area, lesions=(shares,) if gold else (),
        touches_border=border,
    )  # fmt: skip


@pytest.fixture
def facts() -> list[ImageFacts]:
    """40 plain images with a mask, 10 without, and one of each oddity."""
    plain = [facts_of(f"plain_{number:02d}", 0.1 + number / 1000) for number in range(40)]
    bare = [facts_of(f"bare_{number}", gold=False) for number in range(10)]
    odd = [
        facts_of("empty"), facts_of("huge", 0.8), facts_of("speck", 0.0001, 0.1), facts_of("edge", 0.1, border=True),
        facts_of("many", *[0.02] * 5),
    ]  # fmt: skip
    return plain + bare + odd


def items_of(facts: list[ImageFacts], group: str | None = None) -> list[Item]:
    return [
        Item(id=one.id, image=f"images/{one.id}.png", label=f"masks/{one.id}.png", group=group or one.id)
        for one in facts
    ]


def test_what_is_odd_comes_first_and_the_rest_at_random(facts: list[ImageFacts]) -> None:
    findings = [
        Finding("reading", "taken to the nearest", 1, ("plain_07.png",)),
        Finding("pairing", "paired", 45, ("masks/plain_01.png",)),
        Finding("display", "shown by percentiles", 50, ("plain_02",)),
    ]
    pairs = [("plain_10", "plain_11", 40), ("plain_12", "plain_13", 2)]
    chosen = choose_odd(items_of(facts), facts, findings, pairs, seed=0)
    why = dict(chosen)
    assert len(chosen) == len(why) == PICTURES
    assert [name for name, _ in chosen[:6]] == ["plain_07", "empty", "huge", "speck", "edge", "many"]
    assert why["plain_07"] == "reading: see the assumptions"
    assert why["huge"] == "largest mask, 80 %"
    assert why["speck"] == "smallest lesion, 0.01 %"
    assert why["many"] == "5 separate parts"
    assert (why["plain_12"], why["plain_13"]) == ("looks like plain_13", "looks like plain_12")
    assert why.get("plain_02", "at random") == "at random", "what holds for most images is not odd"
    reasons = [reason for _, reason in chosen]
    first = reasons.index("at random")
    assert set(reasons[first:]) == {"at random"}
    assert not any(name.startswith("bare") for name in why), "images with a mask come first"
    assert chosen == choose_odd(items_of(facts), facts, findings, pairs, seed=0)
    assert chosen != choose_odd(items_of(facts), facts, findings, pairs, seed=1)


def test_slices_of_one_volume_are_shown_once_for_each_reason(facts: list[ImageFacts]) -> None:
    why = [reason for _, reason in choose_odd(items_of(facts, group="volume"), facts, [], [], seed=0)]
    assert sum(reason.startswith("largest mask") for reason in why) == 1


def test_a_small_set_is_shown_whole() -> None:
    facts = [facts_of("a", 0.1), facts_of("b", gold=False)]
    assert {name for name, _ in choose_odd(items_of(facts), facts, [], [], seed=0)} == {"a", "b"}
    assert choose_odd([], [], [], [], seed=0) == []
