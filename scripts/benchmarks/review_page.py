"""How fast the page of a review is: the next label, fetched ahead, and the answer to a click, in Debian's Chromium.

    uv run python scripts/benchmarks/review_page.py [--labels 24] [--side 512] [--teacher general]

Phantoms with gold for labels; the student has learnt nothing and is not asked. Embeddings are in memory, as the page
prepares the label that is looked at and the next one. Times are those that the page itself measures and shows.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import uvicorn
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from labelmine.data import LabelStore, find_images, read_label
from labelmine.data.phantom import phantom
from labelmine.exchange.decisions import DecisionLog
from labelmine.networks import Student
from labelmine.prediction import Predictor
from labelmine.review import Cases, Corrector, ReviewSession
from labelmine.review.server import build_app
from labelmine.teachers import build_compact_teacher

LOOK = 2.0  # seconds that someone looks at a label, in which the next one is fetched


def session_in(folder: Path, count: int, side: int, teacher: str) -> ReviewSession:
    """Write phantoms and their labels; return their review."""
    for part in ("images", "masks"):
        (folder / "set" / part).mkdir(parents=True)
    for number in range(count):
        image, mask = phantom(0, number, side)
        Image.fromarray(image).save(folder / "set" / "images" / f"{number:03d}.png")
        Image.fromarray(((np.asarray(mask) > 0) * 255).astype(np.uint8)).save(
            folder / "set" / "masks" / f"{number:03d}.png"
        )
    images = find_images(str(folder / "set"), str(folder / "found"), None)
    store = LabelStore(folder / "run" / "labels", images.classes, images.root)
    asked = build_compact_teacher(teacher)
    facts = {"labeler": "prompted", "accepted": True, "score": 0.5, "view_size": 256, "prompts": [], "signals": {}}
    for item in images.items:
        store.write(item, np.asarray(read_label(item, item["label"], images.classes) > 0), facts)
    rows = pd.DataFrame([{"id": item["id"], "gain": 0.5, "reason": "accepted"} for item in images.items])
    predictor = Predictor(Student(["foreground"], encoder="mobilenet_v2"), 64)
    log = DecisionLog(folder / "run" / "review", images.classes)
    return ReviewSession(Cases(images, store, rows, predictor), log, Corrector(asked, images))


def measured(page: Page, count: int) -> tuple[list[float], list[float]]:
    """Return milliseconds of each next label, and of a click into each."""
    shown, answered = [], []
    box = page.locator("#stage").bounding_box()
    if box is None:
        raise RuntimeError("the page shows no image")
    for place in range(1, count):
        time.sleep(LOOK)
        page.keyboard.press("n")
        page.wait_for_selector(f"body[data-place='{place}']")
        shown.append(float(page.get_attribute("body", "data-shown-ms") or "nan"))
        time.sleep(LOOK)
        page.evaluate("() => delete document.body.dataset.answerMs")
        page.locator("#stage").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
        page.wait_for_selector("body[data-answer-ms]")
        answered.append(float(page.get_attribute("body", "data-answer-ms") or "nan"))
    return shown, answered


def main() -> None:
    """Serve, drive, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=24)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--teacher", default="general")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listening:
        session = session_in(Path(folder), args.labels, args.side, args.teacher)
        app = build_app(session, "token", "page")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        threading.Thread(target=server.run, args=([listening],), daemon=True).start()
        before = os.getloadavg()[0]
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/?token=token")
            page.wait_for_selector("body[data-ready=true]")
            times = measured(page, args.labels)
            browser.close()
        server.should_exit = True
        time.sleep(1)
    print(f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after; {torch.get_num_threads()} threads of torch")
    for name, values in zip(("next label", "click"), times, strict=True):
        p50, p95 = np.percentile(values, [50, 95])
        print(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, largest {max(values):.0f} ms, n {len(values)}")


if __name__ == "__main__":
    main()
