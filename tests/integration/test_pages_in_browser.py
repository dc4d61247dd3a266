"""The pages as a browser shows them, opened from disk; skipped where there is no browser."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from config import EvaluateConfig, ExploreConfig
from utils.commands.evaluate import evaluate
from utils.commands.explore import explore

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")

SCREENS = [(1366, 768), (1920, 1080), (390, 844)]


def exploration(make_dataset, make_weights, tmp_path: Path) -> Path:
    return explore(ExploreConfig(dir=make_dataset(count=8), out=tmp_path / "out", examples=2), progress=False).page


def exploration_of_labels(make_dataset, make_weights, tmp_path: Path) -> Path:
    table = tmp_path / "train.csv"
    table.write_text("ImageId,ClassId,EncodedPixels\na.jpg,1,1 5\na.jpg,3,20 4\nb.jpg,3,1 900\n")
    return explore(ExploreConfig(dir=tmp_path, image_size=(32, 64)), progress=False).page


def evaluation(make_dataset, make_weights, tmp_path: Path) -> Path:
    config = EvaluateConfig(dir=make_dataset(count=6), weights_dir=make_weights(min_area=3), split="all", out=tmp_path)
    return evaluate(config).out / "report.html"


@pytest.mark.parametrize(
    ("make", "pictures"),
    [pytest.param(exploration, 15, marks=pytest.mark.slow), (exploration_of_labels, 7), (evaluation, 15)],
)
def test_page_renders_whole_without_errors_and_without_a_network(
    browser, make, pictures, make_dataset, make_weights, tmp_path
):
    path = make(make_dataset, make_weights, tmp_path)
    complaints: list[str] = []
    asked: list[str] = []
    page = browser.new_page()
    page.context.set_offline(True)
    page.set_default_timeout(120_000)  # a busy machine is not the page's fault
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]

    titles = page.locator("main section h2").all_inner_texts()
    assert titles == page.locator("nav a").all_inner_texts()
    assert len(titles) >= 7
    # Every picture was decoded, and every section shows something below its title.
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.locator("main img").count() >= pictures
    for section in page.locator("main section").all():
        assert section.bounding_box()["height"] > section.locator("h2").bounding_box()["height"] + 20

    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
        shot = cv2.imdecode(np.frombuffer(page.screenshot(full_page=True), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert shot.shape[1] == width
        # No screenful of it is empty.
        rows = (shot != shot[0, 0]).any(axis=1)
        last = max(len(rows) - height, 0)
        empty = [top for top in (*range(0, last, height), last) if not rows[top : top + height].any()]
        assert empty == [], f"of {len(rows)} rows at {width}x{height}"
    page.close()
