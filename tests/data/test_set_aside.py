from __future__ import annotations

from labelmine.data.set_aside import Reason, SetAside, reasons_of


def test_reasons_that_differ_in_names_and_numbers_are_one() -> None:
    rows = [
        SetAside("", "notes/", "no format of images"),
        SetAside("a", "images/a.png", "a.png is 10 x 20, its mask a_mask.png 20 x 10"),
        SetAside("b", "images/b.png", "b.png is empty (0 bytes); copy it again"),
        *(SetAside(f"p/{n}", f"p/{n}.png", f"{n}.png is 1{n} x 20, its mask {n}_mask.png 9 x {n}") for n in range(4)),
        SetAside("", "docs/", "no format of images"),
    ]
    same = "0.png is 10 x 20, its mask 0_mask.png 9 x 0"
    found = reasons_of(rows)
    assert found[0] == Reason(same, 4, ("p/0.png", "p/1.png", "p/2.png"), is_loss=True)
    assert [reason.count for reason in found] == [4, 1, 1, 1, 1]
    assert [reason.is_loss for reason in found] == [True, True, True, False, False]
    assert [reason.examples for reason in found[3:]] == [("notes/",), ("docs/",)]


def test_nothing_set_aside_has_no_reasons() -> None:
    assert reasons_of([]) == []
