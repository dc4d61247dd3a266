"""A server with the desk and its page, before a network that sees what is bright and what is dark, and a browser on it."""

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from config import ServeConfig
from tests.conftest import open_browser
from tests.web.red import Red, Running, make_application, running
from utils.web.desk.mounting import mount_desk
from utils.web.static_page import page_routes

LATE = int(os.environ.get("LATE", 120_000))  # milliseconds: a busy machine is not the page's fault


@dataclasses.dataclass
class Served:
    """A server with the page on it."""

    running: Running
    red: Red

    @property
    def url(self) -> str:
        return self.running.address + "/"


@contextlib.contextmanager
def serving(port: int = 0, **flags: Any) -> Iterator[Served]:
    """Run a server with the desk and its page."""
    red = Red()
    config = ServeConfig(**flags)
    application = make_application(red, config)
    app, api = application.app, application.api
    mount_desk(app, application.inspector, config, api.limits, application.traffic, api.count)
    app.include_router(page_routes())
    with running(application, red, port=port) as server:
        yield Served(server, red)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that may share it: each begins a visit of its own. Its folder holds labelled strips."""
    folder = tmp_path_factory.mktemp("browse")
    (folder / "train_images").mkdir()
    for number in range(5):
        (folder / "train_images" / f"f{number}.png").write_bytes(strip((20, 10, 30, 20, 240 + number)))
    runs = " ".join(f"{64 * x + 11} 20" for x in range(20, 50))
    (folder / "train.csv").write_text(f"ImageId,ClassId,EncodedPixels\nf0.png,1,{runs}\n")
    with serving(weights_dir=tmp_path_factory.mktemp("weights"), dir=folder) as served:
        yield served


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One browser for the files of this folder that are tested one after the other: to start it takes two seconds."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens the page; it must ask nobody else for anything, nor complain."""
    contexts, asked, complaints = [], [], []
    allowed: list[str] = []

    def open_one(url: str, quiet: bool = True, **settings: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1366, "height": 768}, "locale": "en-US", "accept_downloads": True, **settings}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LATE)
        allowed.append("/".join(url.split("/")[:3]))
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if quiet:
            page.on("console", lambda one: complaints.append(one.text) if one.type in ("error", "warning") else None)
        page.goto(url)
        page.wait_for_selector("#start h2:not(:empty)", state="attached")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith((*allowed, "data:", "blob:"))] == []
    assert complaints == []


@pytest.fixture
def page(desk: Served, open_page: Callable[..., Any]) -> Any:
    """The first page, open and ready."""
    return open_page(desk.url)


def strip(*blocks: tuple[int, int, int, int, int], size: tuple[int, int] = (64, 400), seed: int = 0) -> bytes:
    """Draw a grey strip with blocks (x, y, width, height, grey value) and give it as PNG; from 200 it is bright, to 9 dark."""
    image = np.random.default_rng(seed).integers(110, 140, size, np.uint8)
    for x, y, width, height, value in blocks:
        image[y : y + height, x : x + width] = value
    return cv2.imencode(".png", image)[1].tobytes()


def send(page: Any, **files: bytes) -> None:
    """Give files to the page, and wait until they are inspected and the first one is in sight."""
    upload(page, {name.replace("_", "."): data for name, data in files.items()})
    settled(page, len(files))
    page.wait_for_selector(".thumb.shown")
    pixels_are_there(page)


def upload(page: Any, files: dict[str, bytes]) -> None:
    sent = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files.items()]
    page.set_input_files("#file-input", sent)


def settled(page: Any, count: int, image: str = "image") -> None:
    """Wait until so many images of the visit are inspected; the word is that of the page's language.

    While some are still to come, "0 of 1 · 3.1 images/s" has the words too, but does not begin with them.
    """
    page.locator("#progress", has_text=re.compile(rf"^\s*{count} {image}")).wait_for()


def pixels_are_there(page: Any) -> None:
    """Wait until the picture in sight is drawn."""
    until(page, f"{VIEWER} return v.first.viewer.world.getItemAt(0)?.getFullyLoaded()")


VIEWER = "const v = await import(new URL('page/modules/viewer.js', document.baseURI));"


def until(page: Any, body: str, value: Any = None) -> Any:
    """Wait until the body of a function gives something true; the page's policy forbids Playwright's own way."""
    for _ in range(LATE // 50):
        found = page.evaluate(f"async (value) => {{ {body} }}", value)
        if found:
            return found
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {body}")


def at_rest(page: Any) -> None:
    """Wait until the picture has arrived where it goes to."""
    until(page, f"{VIEWER} const p = v.first.viewer.viewport; return p.getZoom(true) === p.getZoom(false)")


def on_screen(page: Any, x: float, y: float) -> tuple[float, float]:
    """Return where a pixel of the image lies in the window."""
    found = page.evaluate(
        f"""async ([x, y]) => {{ {VIEWER}
            const frame = v.first.layer.frame(), box = v.first.layer.canvas.getBoundingClientRect();
            return [box.left + frame.x + x * frame.scale, box.top + frame.y + y * frame.scale]; }}""",
        [x, y],
    )
    return tuple(found)


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a line over the picture, from pixel to pixel."""
    page.mouse.move(*on_screen(page, *start))
    page.mouse.down()
    page.mouse.move(*on_screen(page, *end), steps=8)
    page.mouse.up()


def slide(page: Any, name: str, value: float) -> None:
    """Move a slider as a hand does: while it moves, and when it is let go."""
    page.get_by_role("slider", name=name, exact=True).evaluate(
        """(slider, value) => { slider.value = value;
            for (const name of ["input", "change"]) slider.dispatchEvent(new Event(name, {bubbles: true})); }""",
        value,
    )


def rows(page: Any) -> list[list[str]]:
    """Return number, class, area and probability of the defects in the table."""
    return [row.locator("td").all_inner_texts()[:4] for row in page.locator("#rows tr").all()]


def names(page: Any) -> list[str]:
    """Return the names in the gallery, in their order."""
    return page.evaluate(
        "[...document.querySelectorAll('.thumb')].sort((a, b) => a.dataset.place - b.dataset.place)"
        ".map((thumb) => thumb.querySelector('.name').textContent)"
    )


def listed(page: Any, *wanted: str) -> None:
    """Wait until the gallery has these names."""
    for _ in range(LATE // 50):
        found = names(page)
        if found == list(wanted):
            return
        page.wait_for_timeout(50)
    raise AssertionError(found)


def shows(page: Any, name: str) -> None:
    """Wait until an image is in sight."""
    page.locator("#image-name", has_text=name).wait_for()


def count_rows(page: Any, count: int) -> None:
    """Wait until the table has so many defects."""
    until(page, "return document.querySelectorAll('#rows tr').length === value", count)


def download(page: Any, name: str) -> bytes:
    """Fetch a result by its name in the menu."""
    page.click("#results-menu > button")
    with page.expect_download() as coming:
        page.locator(f"#results a[download='{name}']").click()
    assert coming.value.suggested_filename == name
    return Path(coming.value.path()).read_bytes()
