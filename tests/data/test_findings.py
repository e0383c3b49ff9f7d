from labelmine.data.findings import Finding, Findings


def test_equal_findings_are_joined_counted_and_bounded() -> None:
    findings = Findings()
    for number in range(5):
        findings.note("levels", "cut at half", f"{number}.png")
    findings.note("pairing", "masks lie in gt/")
    assert findings.rows() == [
        Finding("levels", "cut at half", 5, ("0.png", "1.png", "2.png")),
        Finding("pairing", "masks lie in gt/", 1, ()),
    ]
    assert [str(row) for row in findings.rows()] == ["cut at half (5: 0.png, 1.png, 2.png, ...)", "masks lie in gt/"]
