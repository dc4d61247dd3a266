"""Draw the documents' pictures into this folder: ``make pictures``.

From synthetic strips: ``predictions.jpg`` (what a network finds on strips that it was not trained on, beside the labels)
and, where there is a browser, ``exploration.png`` (the page of ``Prepare_data.py explore``) and ``inspector.jpg`` (the
page of ``Serve.py``, with the weights of ``-weights_dir``). From a run folder, ``make pictures ARGS="-run runs/first"``:
``learning_curves.png``.
"""

import argparse
import asyncio
import contextlib
import io
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - the project's own modules are found from here on
from PIL import Image  # noqa: E402

from config import ExploreConfig, PredictConfig, ServeConfig, SynthesiseConfig  # noqa: E402
from utils.commands.explore import explore  # noqa: E402
from utils.commands.predict import predict  # noqa: E402
from utils.data.annotation_table import read_annotations  # noqa: E402
from utils.data.annotations import Annotations  # noqa: E402
from utils.data.dataset_folder import Dataset, open_dataset  # noqa: E402
from utils.data.images import read_image  # noqa: E402
from utils.data.synthetic import synthesise  # noqa: E402
from utils.files import replacing  # noqa: E402
from utils.reporting.learning import read_history  # noqa: E402
from utils.reporting.overlays import draw_legend, draw_overlay  # noqa: E402
from utils.reporting.plots import draw_curves, to_png, whole_numbers  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STRIPS = 60  # enough for a page that looks like one about real data
UNSEEN = 24  # strips to predict
KNOWS_STRIPS = "unet-tf_efficientnet_lite0-synthetic"  # published weights, trained on strips of another seed
SHOWN = ("scratches", "patches", "cracks", "pits")
PIECE = 700  # pixels of a strip's width that the picture shows: two pieces lie beside each other
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
        show_predictions(Path(place) / "unseen", options.out / "predictions.jpg")
        with open_browser() as browser:
            if browser is None:
                print("no browser (apt-get install chromium): the pictures of pages stay as they are")
            else:
                show_exploration(browser, found.page, options.out / "exploration.png")
                show_inspector(browser, options.weights_dir, options.out / "inspector.jpg")
    if options.run:
        draw_learning(options.run / "history.csv", options.out / "learning_curves.png")


def show_predictions(folder: Path, path: Path) -> None:
    """Draw strips into a folder, predict them, and draw predictions beside labels."""
    synthesise(SynthesiseConfig(dir=folder, num_of_images=UNSEEN, seed=43))
    weights = {"weights_dir": ROOT / "weights", "weights": KNOWS_STRIPS, "backend": "torch", "precision": "f32"}
    predicted = predict(PredictConfig(dir=folder, out=folder / "results", save=("submission",), **weights))
    dataset = open_dataset(folder)
    answers = read_annotations(predicted.out / "submission.csv", dataset.annotations.class_names)
    draw_predictions(dataset, answers, path)


def draw_predictions(dataset: Dataset, answers: Annotations, path: Path) -> None:
    """Draw predictions at the left and labels at the right: of each class of ``SHOWN`` the strip of median Dice."""
    class_names = dataset.annotations.class_names
    legend = draw_legend(class_names, PIECE).shape[0]
    rows = []
    for name in SHOWN:
        index = class_names.index(name)
        image, masks, truth = median_strip(dataset, answers, index)
        labelled = np.convolve(truth[index].sum(axis=0, dtype=np.int64), np.ones(PIECE, np.int64), "valid")
        best = (labelled == labelled.max()).nonzero()[0]  # where the piece shows most of the defects, in their middle
        start = int(best[len(best) // 2])
        piece = slice(start, start + PIECE)
        drawn = draw_overlay(image[:, piece].copy(), masks[..., piece], class_names, truth[..., piece])
        prediction, labels = np.split(drawn[:-legend], 2)
        pair = np.concatenate([np.pad(prediction, ((0, 0), (0, GAP), (0, 0)), constant_values=255), labels], axis=1)
        rows.append(np.pad(pair, ((0, GAP), (0, 0), (0, 0)), constant_values=255))
    save_jpeg(np.concatenate([*rows, draw_legend(class_names, rows[0].shape[1])]), path)


def median_strip(dataset: Dataset, answers: Annotations, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose the strip with the median Dice of a class, of those that show it.

    Returns:
        The image, ``(H, W, 3)`` uint8, then prediction and labels, ``(C, H, W)`` uint8.
    """
    found = []
    for name in dataset.images:
        if index + 1 not in dataset.annotations.runs(name):
            continue
        image = read_image(dataset.path(name))
        masks, truth = (
            table.mask(name, *image.shape[:2]).transpose(2, 0, 1) for table in (answers, dataset.annotations)
        )
        both, areas = (masks[index] & truth[index]).sum(), masks[index].sum() + truth[index].sum()
        found.append((2 * both / areas, name, image, masks, truth))
    return sorted(found, key=lambda one: one[:2])[len(found) // 2][2:]


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
    """Photograph the page of the inspector with the sample strips, by weights that know them."""
    from utils.inspection.inspector import Inspector
    from utils.web.app import Application
    from utils.web.desk.mounting import mount_desk
    from utils.web.metrics import Metrics
    from utils.web.server import Server
    from utils.web.static_page import page_routes

    config = ServeConfig(weights_dir=weights_dir, weights=KNOWS_STRIPS, backend="torch", precision="f32")
    with Inspector.open(config) as inspector:
        application = Application(inspector, config, Metrics())
        mount_desk(
            application.app, inspector, config, application.api.limits, application.traffic, application.api.count
        )
        application.app.include_router(page_routes())
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(application.guard, application.traffic, application.set_ready, application.close, 5.0)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            view = browser.new_page(viewport={"width": WIDTH, "height": 768}, locale="en-US")
            view.set_default_timeout(PATIENCE)
            view.goto(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=PATIENCE)
            view.locator("#start-samples").click()
            view.locator(".thumb:not(.is-waiting)").nth(5).wait_for()
            view.locator(".thumb", has_text="patches").first.click()
            view.locator("#rows tr").first.wait_for()
            view.locator("#beside").select_option("truth")
            view.wait_for_timeout(2000)  # until both pictures are drawn
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
    series = [
        ("mean Dice", curves["epoch"], curves["valid_dice"]),
        ("defects only", curves["epoch"], curves["valid_defect_dice"]),
        ("predicting nothing", curves["epoch"], curves["valid_empty_baseline"]),
    ]
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
