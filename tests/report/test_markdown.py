from __future__ import annotations

from labelmine.report import Code, Columns, Fold, Notes, Page, Pairs, Plot, Section, Stack, Table, Text, as_markdown
from labelmine.report import embed as embedded


def test_words_and_tables_are_laid_out_as_github_reads_them() -> None:
    page = Page(
        title="Can it be mined?",
        about="Image set polyps.",
        lead=[Text(["Yes."]), Text(["one", "two"], "list"), Notes(["Few masks."], label="Problem")],
        sections=[
            Section("Masks", [Table("Values", ("", "a|b"), [("one\nline", "1")]), Plot(embedded(b"", "png", "p"))]),
            Section("More", [Fold("open me", [Columns([Stack([Pairs("Counts", [("images", 3)])])])]), Code("run it")]),
        ],
    )
    assert (
        as_markdown(page)
        == """# Can it be mined?

Image set polyps.

Yes.

- one
- two

> **Problem:** Few masks.

## Masks

**Values**

|  | a\\|b |
| --- | ---: |
| one line | 1 |

## More

**Counts**

- images: 3

```
run it
```
"""
    )
