"""Draw the README's pictures into this folder: ``make pictures``.

From synthetic strips: ``strips.jpg`` (each class with its outlines) and, where there is a browser, ``exploration.png``
(the page of ``Prepare_data.py explore`` about them). From a run folder, ``make pictures ARGS="-run runs/first"``:
``learning_curves.png``.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - the project's own modules are found from here on
from PIL import Image  # noqa: E402

from config import ExploreConfig, SynthesiseConfig  # noqa: E402
from utils.data.annotations import open_dataset  # noqa: E402
from utils.data.exploration.examples import choose_examples, shrunk_example  # noqa: E402
from utils.data.synthetic import synthesise  # noqa: E402
from utils.files import replacing  # noqa: E402
from utils.reporting.explore import ExploreResult, explore  # noqa: E402
from utils.reporting.learning import read_history  # noqa: E402
from utils.reporting.overlays import draw_legend, draw_masks  # noqa: E402
from utils.reporting.plots import draw_curves, to_png, whole_numbers  # noqa: E402

STRIPS = 60  # enough for a page that looks like one about real data
WIDTH, HEIGHT = 1366, 1110  # of the screenshot: the first sections of the page
GAP = 6  # pixels between pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-run", type=Path, help="run folder whose learning curves are drawn too")
    parser.add_argument("-out", type=Path, default=ROOT / "images", help="folder to write (default images)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        strips = Path(place) / "strips"
        synthesise(SynthesiseConfig(dir=strips, num_of_images=STRIPS, class_floor=0.2))
        found = explore(ExploreConfig(dir=strips, out=Path(place) / "exploration", near_duplicates=False))
        draw_strips(found, options.out / "strips.jpg")
        photograph(found.page, options.out / "exploration.png")
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


def photograph(page: Path, path: Path) -> None:
    """Save what a browser shows of a page, in few colours."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        browser = shutil.which("chromium") or shutil.which("google-chrome") or playwright.chromium.executable_path
        try:
            window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        except Error:
            print(f"no browser (apt-get install chromium): {path.name} stays as it is")
            return
        view = window.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        view.goto(page.as_uri(), timeout=120_000)
        # The folder was a temporary one, of no interest to a reader.
        view.evaluate("document.querySelector('header p').textContent = 'images and labels of DATA'")
        with replacing(path) as temporary:
            view.screenshot(path=temporary, timeout=120_000)
            Image.open(temporary).convert("RGB").quantize(64).save(temporary, optimize=True)
        window.close()
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
