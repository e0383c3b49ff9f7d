"""The page in a real browser (Debian's chromium, driven by playwright): by mouse, by touch, by keyboard alone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelmine.review import ReviewSession
from labelmine.review.steps import by_hand, redrawn

pytestmark = pytest.mark.browser
#: What the browser itself reports of two answers that a test asks for.
EXPECTED = ("409 (Conflict)", "net::ERR_CONNECTION_REFUSED")
#: Where pictures of the page go, to be looked at; nowhere without it.
PICTURES = os.environ.get("LABELMINE_PICTURES")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: apt-get install -y chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open the page in a window of its own; whatever goes wrong in it, or leaves the machine, fails the test."""
    opened: list[tuple[Any, list[str]]] = []

    def open_(served: Any, width: int = 1280, height: int = 900, context: Any = None, **options: Any) -> Any:
        context = context or chromium.new_context(viewport={"width": width, "height": height}, **options)
        page, wrong = context.new_page(), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: f"127.0.0.1:{served.port}/" not in r.url and wrong.append(r.url))
        page.on("console", lambda m: m.type == "error" and not m.text.endswith(EXPECTED) and wrong.append(m.text))
        page.goto(served.address)
        page.wait_for_selector("body[data-ready=true]")
        opened.append((context, wrong))
        return page

    yield open_
    for context, _ in opened:
        context.close()
    assert [wrong for _, wrong in opened if wrong] == []


def picture(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def lines(session: ReviewSession) -> list[dict[str, Any]]:
    return [json.loads(line) for line in session.log.path.read_text().splitlines()]


def spot(page: Any, x: float, y: float) -> dict[str, float]:
    """Where a pixel of the image of 96 lies on the canvas, which shows it whole."""
    box = page.locator("#stage").bounding_box()
    scale = min(box["width"], box["height"]) / 96
    return {
        "x": (box["width"] - 96 * scale) / 2 + (x + 0.5) * scale,
        "y": (box["height"] - 96 * scale) / 2 + (y + 0.5) * scale,
    }


def at_case(page: Any, place: int) -> None:
    page.wait_for_selector(f"body[data-place='{place}']")


def said(page: Any, text: str) -> None:
    page.wait_for_function("text => document.getElementById('said').textContent.includes(text)", arg=text)


def inside_of(session: ReviewSession, place: int) -> tuple[int, int]:
    """(x, y) deep in the label of a case."""
    rows, columns = np.nonzero(session.cases.label(place)[0])
    middle = np.argmin(abs(rows - rows.mean()) + abs(columns - columns.mean()))
    return int(columns[middle]), int(rows[middle])


def test_by_mouse(session: ReviewSession, serve_page: Callable[..., Any], open_page: Callable[..., Any]) -> None:
    served = serve_page(session)
    page = open_page(served)
    assert page.url == f"http://127.0.0.1:{served.port}/"  # the token does not stay in the history
    at_case(page, 0)
    for box in ("show-gold", "show-student", "show-fill"):
        page.check(f"#{box}")
    page.wait_for_selector("#student-pane[data-place='0']")
    picture(page, "layers")
    for box in ("show-student", "show-gold"):
        page.uncheck(f"#{box}")

    page.locator("#stage").click(position=spot(page, 60, 60))
    said(page, "The teacher expects an IoU")
    assert "tiny answered in" in page.inner_text("#latency")
    page.locator("#stage").click(position=spot(page, 62, 62), modifiers=["Shift"])
    page.wait_for_function("() => document.getElementById('accept').textContent.startsWith('Save')")
    picture(page, "clicked")
    page.click("#accept")
    at_case(page, 1)
    corrected = lines(session)[0]
    assert (corrected["verdict"], corrected["tools"]) == ("corrected", {"click": 1, "negative click": 1})
    ((x0, y0), (x1, y1)) = corrected["prompts"][0]["points"]
    assert (x0, y0, x1, y1) == pytest.approx((60.5, 60.5, 62.5, 62.5), abs=0.5)
    assert corrected["prompts"][0]["point_labels"] == [1, 0]
    assert corrected["teacher"]["teacher"] == "tiny"
    assert corrected["seconds"] > 0
    assert session.log.mask(session.log.decisions[0]).shape == (1, 96, 96)

    page.click("#accept")
    at_case(page, 2)
    page.click("#reject")
    at_case(page, 3)
    page.click("#next")
    at_case(page, 4)
    page.click("#previous")
    at_case(page, 3)
    assert [line["verdict"] for line in lines(session)] == ["corrected", "accepted", "rejected"]
    assert "3 of 6: 1 accepted, 1 corrected, 1 rejected" in page.inner_text("#progress-text")
    page.click("#undo")  # nothing was drawn here, so the last decision is taken back
    at_case(page, 2)
    assert lines(session)[-1]["verdict"] == "undone"
    assert "2 of 6" in page.inner_text("#progress-text")

    page.reload()
    page.wait_for_selector("body[data-ready=true]")
    at_case(page, 2)  # the first that is open
    page.select_option("#f-decision", "corrected")
    assert page.inner_text("#shown") == "(1 of 6 shown)"
    page.locator("#strip li:not([hidden]) button").click()
    at_case(page, 0)
    page.wait_for_function("() => document.getElementById('caption').textContent === 'label, corrected'")
    picture(page, "filtered")


def test_brush_eraser_box_and_undo(
    session: ReviewSession, serve_page: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    page = open_page(serve_page(session))
    label = session.cases.label(0)[0]

    def drag(x0: float, y0: float, x1: float, y1: float) -> None:
        box = page.locator("#stage").bounding_box()
        (a, b) = (spot(page, x0, y0), spot(page, x1, y1))
        page.mouse.move(box["x"] + a["x"], box["y"] + a["y"])
        page.mouse.down()
        page.mouse.move(box["x"] + b["x"], box["y"] + b["y"], steps=4)
        page.mouse.up()

    page.click("[data-tool=brush]")
    page.fill("#brush-size", "5")
    drag(60, 80, 85, 80)
    page.wait_for_function("() => document.getElementById('accept').textContent.startsWith('Save')")
    picture(page, "brushed")
    page.click("[data-tool=eraser]")
    drag(60, 80, 70, 80)
    page.click("#smooth")
    said(page, "The outline is smoother.")
    page.click("#fill-holes")
    said(page, "Holes are filled.")
    page.click("#undo")
    said(page, "Undone.")
    page.click("[data-tool=box]")
    drag(10, 10, 50, 50)
    said(page, "The teacher expects an IoU")
    page.click("#undo")
    page.click("#accept")
    at_case(page, 1)
    (line,) = lines(session)
    drawn = session.log.mask(session.log.decisions[0])[0]
    assert drawn[80, 84]
    assert not drawn[80, 60]  # erased
    assert (drawn & label).sum() > 0.8 * label.sum()
    assert line["tools"]["brush"] == line["tools"]["eraser"] == 1
    assert line["prompts"] == []  # the box was undone


def test_a_correction_comes_out_again_from_its_steps(
    session: ReviewSession, serve_page: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    page = open_page(serve_page(session))
    at_case(page, 0)
    x, y = inside_of(session, 0)
    for place, keys in (((x, y), []), ((x + 3, y + 3), []), ((x, y), ["Shift"]), ((20, 70), [])):
        page.evaluate("() => (document.getElementById('said').textContent = '')")
        page.locator("#stage").click(position=spot(page, *place), modifiers=keys)
        said(page, "The teacher expects an IoU")
    page.click("#undo")
    page.click("#smooth")
    said(page, "The outline is smoother.")
    page.click("[data-tool=box]")
    stage = page.locator("#stage").bounding_box()
    for move, (a, b) in (("down", (8, 8)), ("up", (90, 88))):
        at = spot(page, a, b)
        page.mouse.move(stage["x"] + at["x"], stage["y"] + at["y"])
        getattr(page.mouse, move)()
    said(page, "The teacher expects an IoU")
    page.click("#accept")
    at_case(page, 1)
    (decision,) = session.log.decisions
    assert [step["tool"] for step in decision.steps] == ["click", "click", "click", "smooth", "box"]
    assert [step.get("continues", False) for step in decision.steps[:3]] == [False, True, True]
    ask = lambda prompt: session.ask(0, prompt).mask  # noqa: E731
    again = redrawn(session.cases.label(0), decision.steps, ask, session.cases.predictor.student.exclusive)
    assert (again == session.log.mask(decision)).all()
    assert (again != session.cases.label(0)).any()

    page.click("#previous")  # it goes on from what was kept
    at_case(page, 0)
    page.click("#fill-holes")
    said(page, "Holes are filled.")
    page.click("[data-tool=brush]")
    page.locator("#stage").click(position=spot(page, 5, 90))
    page.click("#accept")
    page.wait_for_function("() => document.getElementById('said').textContent.startsWith('Corrected')")
    later = session.log.decisions[-1]
    assert later.begun_from == decision.mask_sha256
    assert [step["tool"] for step in later.steps] == ["fill", "brush"]
    assert by_hand(later.steps) == 1


def test_labels_are_found_by_their_size(
    session: ReviewSession, serve_page: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    page = open_page(serve_page(session))
    sizes = [100 * session.cases.label(place).mean() for place in range(6)]
    assert session.cases.sizes == pytest.approx(sizes, abs=1e-3)
    middle = sorted(sizes)[2] + 1e-2
    page.fill("#f-largest", f"{middle:.3f}")
    page.wait_for_function("() => document.getElementById('shown').textContent === '(3 of 6 shown)'")
    shown = page.eval_on_selector_all("#strip li", "all => all.flatMap((li, n) => (li.hidden ? [] : [n]))")
    assert shown == [place for place, size in enumerate(sizes) if size <= middle]
    picture(page, "sizes")
    page.fill("#f-largest", "100")
    page.fill("#f-smallest", f"{middle:.3f}")
    page.wait_for_function("n => document.querySelectorAll('#strip li')[n].hidden", arg=shown[0])
    hidden = page.eval_on_selector_all("#strip li", "all => all.flatMap((li, n) => (li.hidden ? [n] : []))")
    assert hidden == shown


def test_the_wheel_goes_through_the_slices_of_a_volume(
    volume_session: ReviewSession, serve_page: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    session = volume_session
    page = open_page(serve_page(session))
    frames = [session.cases.summary(place)["frame"] for place in range(len(session.cases))]
    assert frames == [2, 0, 3, 1]  # the ranking's order is not that of the slices
    assert page.inner_text("#name").endswith("frame0002")
    stage = page.locator("#stage").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    seen = [2]
    for step in (100, 100, -100, -100, -100, -100):  # past both ends it stays
        before = page.get_attribute("body", "data-place")
        page.mouse.wheel(0, step)
        if seen[-1] + step // 100 in frames:
            page.wait_for_function("place => document.body.dataset.place !== place", arg=before)
        else:
            page.wait_for_timeout(200)
        seen.append(frames[int(page.get_attribute("body", "data-place"))])
    assert seen == [2, 3, 3, 2, 1, 0, 0]
    picture(page, "slice")
    shown = page.evaluate("() => document.getElementById('width').value")
    page.locator("#stage").focus()
    page.keyboard.press(",")  # values are those of the volume: the window can be moved
    assert page.evaluate("() => document.getElementById('width').value") != shown
    page.click("#reject")
    page.wait_for_function("() => document.getElementById('said').textContent.includes('rejected')")
    (line,) = lines(session)
    assert (line["id"], line["verdict"]) == (session.cases[1].item["id"], "rejected")


def test_keyboard_alone(session: ReviewSession, serve_page: Callable[..., Any], open_page: Callable[..., Any]) -> None:
    page = open_page(serve_page(session))
    order = []
    for _ in range(12):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.tool"))
    assert order == [
        "reviewer", "help-open", "stage", "accept", "reject", "previous", "next", "undo", "click", "box", "brush",
        "eraser",
    ]  # fmt: skip
    page.keyboard.press("a")
    at_case(page, 1)
    page.keyboard.press("r")
    at_case(page, 2)
    page.locator("#stage").focus()
    for _ in range(2):
        page.keyboard.press("Shift+ArrowLeft")
    picture(page, "keyboard")
    page.keyboard.press(" ")
    said(page, "The teacher expects an IoU")
    page.keyboard.press("a")
    at_case(page, 3)
    page.locator("#stage").focus()
    page.keyboard.press("d")
    page.keyboard.press(" ")
    page.wait_for_function("() => document.getElementById('accept').textContent.startsWith('Save')")
    page.keyboard.press("z")
    page.wait_for_function("() => document.getElementById('accept').textContent.startsWith('Accept')")
    page.keyboard.press("?")
    assert page.evaluate("document.getElementById('help').open")
    picture(page, "help")
    page.keyboard.press("Escape")
    assert [line["verdict"] for line in lines(session)] == ["accepted", "rejected", "corrected"]
    assert lines(session)[2]["prompts"][0]["points"][0] == [28, 48]


def test_phone(session: ReviewSession, serve_page: Callable[..., Any], open_page: Callable[..., Any]) -> None:
    page = open_page(serve_page(session), 390, 780, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("accept", "reject", "stage"):
        box = page.locator(f"#{name}").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    picture(page, "phone")
    page.tap("#accept")
    at_case(page, 1)
    page.locator("#stage").tap(position=spot(page, 50, 50))
    said(page, "The teacher expects an IoU")
    assert [line["verdict"] for line in lines(session)] == ["accepted"]


def test_killed_server_goes_on_and_two_windows_do_not_overwrite(
    make_session: Callable[..., ReviewSession], serve_page: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    first = serve_page(make_session())
    page = open_page(first)
    other = open_page(first, context=page.context)  # the same reviewer's second window
    page.click("#accept")
    at_case(page, 1)
    other.click("#reject")
    said(other, "decided in another window of yours")
    first.stop()
    session = make_session()
    served = serve_page(session, first.port)
    page.reload()
    page.wait_for_selector("body[data-ready=true]")
    at_case(page, 1)
    page.click("#reject")
    at_case(page, 2)
    assert [line["verdict"] for line in lines(session)] == ["accepted", "rejected"]
    served.stop()
    with page.expect_event("requestfailed"):
        page.click("#accept")
    said(page, "The server does not answer.")
    assert len(lines(session)) == 2


def test_script_in_names_is_text(
    make_session: Callable[..., ReviewSession], serve_page: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    evil = "<img src=x onerror=document.title='broken'>"
    session = make_session(name="{}" + evil, classes={f"{evil}<script>document.title='broken'</script>": 1, "cyst": 2})
    page = open_page(serve_page(session))
    assert page.inner_text("#name") == f"0{evil}"
    assert evil in page.inner_text("#classes")
    assert evil in page.inner_text("#strip")
    assert page.title() == "labelmine review"
    assert page.locator("#name img, #about img, #classes img, script:not([src])").count() == 0
    page.keyboard.press("2")
    page.click("[data-tool=brush]")
    page.locator("#stage").click(position=spot(page, 48, 48))
    picture(page, "classes")
    page.click("#accept")
    at_case(page, 1)
    assert session.log.mask(session.log.decisions[0])[1, 48, 48]


def test_contrast_and_labels(
    session: ReviewSession, serve_page: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    """WCAG 2.1: text 4.5 : 1 against its ground (1.4.3); every control has a name (4.1.2)."""
    page = open_page(serve_page(session))
    pairs = page.evaluate(
        """() => [...document.querySelectorAll('h1,h2,p,label,button,dt,dd,legend,summary,figcaption,select')]
          .filter((e) => e.offsetParent && e.textContent.trim()).map((e) => {
            let ground = e;
            const back = (one) => getComputedStyle(one || document.body).backgroundColor;
            while (ground && back(ground) === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
            return [getComputedStyle(e).color, back(ground), e.textContent];
          })"""
    )
    assert len(pairs) > 30
    assert [text for color, ground, text in pairs if contrast(color, ground) < 4.5] == []
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, canvas[tabindex]')]
          .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.id)"""
    )
    assert unnamed == []


def contrast(color: str, ground: str) -> float:
    def luminance(text: str) -> float:
        levels = [float(v) / 255 for v in text[text.index("(") + 1 : -1].split(",")[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    a, b = sorted((luminance(color), luminance(ground)))
    return (b + 0.05) / (a + 0.05)
