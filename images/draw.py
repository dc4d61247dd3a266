"""Draw the documents' pictures into this folder: ``make pictures``.

From synthetic strips: ``strips.jpg`` (each class with its outlines) and, where there is a browser, ``exploration.png``
(the page of ``Prepare_data.py explore`` about them) and ``inspector.jpg`` (the page of ``Serve.py``, with the weights of
``-weights_dir``). From a run folder, ``make pictures ARGS="-run runs/first"``: ``learning_curves.png``.
"""

import argparse
import contextlib
import io
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - the project's own modules are found from here on
from PIL import Image  # noqa: E402

from config import ExploreConfig, ServeConfig, SynthesiseConfig  # noqa: E402
from utils.commands.explore import ExploreResult, explore  # noqa: E402
from utils.data.annotations import open_dataset  # noqa: E402
from utils.data.exploration.examples import choose_examples, shrunk_example  # noqa: E402
from utils.data.synthetic import synthesise  # noqa: E402
from utils.files import replacing  # noqa: E402
from utils.reporting.learning import read_history  # noqa: E402
from utils.reporting.overlays import draw_legend, draw_masks  # noqa: E402
from utils.reporting.plots import draw_curves, to_png, whole_numbers  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STRIPS = 60  # enough for a page that looks like one about real data
WIDTH, HEIGHT = 1366, 1110  # of the screenshot: the first sections of the page
PATIENCE = 120_000  # milliseconds that a page may take on a busy machine
GAP = 6  # pixels between pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-run", type=Path, help="run folder whose learning curves are drawn too")
    parser.add_argument("-out", type=Path, default=ROOT / "images", help="folder to write (default images)")
    parser.add_argument(
        "-weights_dir", type=Path, default=ROOT / "weights", help="that the inspector shows (default weights)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        strips = Path(place) / "strips"
        synthesise(SynthesiseConfig(dir=strips, num_of_images=STRIPS, class_floor=0.2))
        found = explore(ExploreConfig(dir=strips, out=Path(place) / "exploration", near_duplicates=False))
        draw_strips(found, options.out / "strips.jpg")
        with open_browser() as browser:
            if browser is None:
                print("no browser (apt-get install chromium): the pictures of pages stay as they are")
            else:
                show_exploration(browser, found.page, options.out / "exploration.png")
                show_inspector(browser, options.weights_dir, options.out / "inspector.jpg")
    if options.run:
        draw_learning(options.run / "history.csv", options.out / "learning_curves.png")


def draw_strips(found: ExploreResult, path: Path) -> None:
    """Draw a strip of each class with the outlines of the labels, and the legend."""
    labels, dataset = found.found.labels, open_dataset(found.found.root)
    rows = []
    for class_id in range(1, len(labels.class_names) + 1):
        for name in choose_examples(labels.areas, class_id, 4)[1:2]:
            picture = draw_masks(*shrunk_example(dataset, name))
            rows.append(np.pad(picture, ((0, GAP), (0, 0), (0, 0)), constant_values=255))
    save_jpeg(np.concatenate([*rows, draw_legend(labels.class_names, rows[0].shape[1])]), path)


@contextlib.contextmanager
def open_browser() -> "Iterator[Browser | None]":
    """Open a browser; None when the machine has none."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome") or playwright.chromium.executable_path
        try:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except Error:
            yield None
            return
        yield browser
        browser.close()


def show_exploration(browser: "Browser", page: Path, path: Path) -> None:
    """Photograph the first sections of the page about a dataset folder."""
    view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    view.goto(page.as_uri(), timeout=PATIENCE)
    # The folder was a temporary one, of no interest to a reader.
    view.evaluate("document.querySelector('header p').textContent = 'images and labels of DATA'")
    photograph(view, path)


def show_inspector(browser: "Browser", weights_dir: Path, path: Path) -> None:
    """Photograph the page of the inspector with its sample strips."""
    import uvicorn
    from fastapi import FastAPI

    from utils.web.inspector import Inspector
    from utils.web.page import mount

    config = ServeConfig(weights_dir=weights_dir, backend="torch", precision="f32")
    with Inspector.open(config) as inspector:
        app = mount(FastAPI(), inspector, config)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while app.state.page.made is None:
                time.sleep(0.1)
            view = browser.new_page(viewport={"width": WIDTH, "height": 1000})
            view.goto(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=PATIENCE)
            view.wait_for_selector(".wb-thumb >> nth=5", timeout=PATIENCE)
            view.wait_for_function(
                "[...document.querySelectorAll('.wb img')].every(i => i.complete && i.naturalWidth)", timeout=PATIENCE
            )
            height = view.evaluate("document.querySelector('#about').getBoundingClientRect().bottom + 12")
            view.set_viewport_size({"width": WIDTH, "height": round(height)})
            photograph(view, path)
            view.close()
        finally:
            server.should_exit = True
            thread.join()


def photograph(view: "Page", path: Path) -> None:
    """Save what a browser shows: as PNG in few colours, or as JPEG where there are photographs in it."""
    shot = Image.open(io.BytesIO(view.screenshot(timeout=PATIENCE))).convert("RGB")
    with replacing(path) as temporary:
        if path.suffix == ".png":
            shot.quantize(64).save(temporary, optimize=True)
        else:
            shot.save(temporary, quality=85, optimize=True)
    print(path)


def draw_learning(history: Path, path: Path) -> None:
    """Draw how the Dice of the validation images went."""
    curves = read_history(history)
    if not curves:
        sys.exit(f"error: {history}: no numbers of epochs; -run expects a run folder")
    series = {
        "mean Dice": (curves["epoch"], curves["valid_dice"]),
        "where there is a defect": (curves["epoch"], curves["valid_defect_dice"]),
        "predicting nothing": (curves["epoch"], curves["valid_empty_baseline"]),
    }
    figure = draw_curves(series, "epoch", "Dice on validation images, 0 to 1", colours=(3, 0, 4))
    whole_numbers(figure.axes[0])
    with replacing(path) as temporary:
        temporary.write_bytes(to_png(figure))
    print(path)


def save_jpeg(picture: np.ndarray, path: Path) -> None:
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, quality=85)
    print(path)


if __name__ == "__main__":
    main()
