"""Explore a dataset folder: one page to look at and one table of figures."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from config import ExploreConfig
from utils.data.exploration.folder import Exploration, explore_folder
from utils.data.exploration.labels import FEW
from utils.data.tables import write_frame
from utils.errors import InputError
from utils.files import write_text
from utils.reporting.exploration_page import lead, pictures_to_draw, sections
from utils.reporting.page import render

PAGE, IMAGES = "exploration.html", "images.csv"


@dataclass(frozen=True)
class ExploreResult:
    """What was found and where it was written.

    Attributes:
        found: the figures.
        page: the HTML file.
        numbers: the JSON file.
        table: the CSV file with a row an image.
        seconds: time it took.
    """

    found: Exploration
    page: Path
    numbers: Path
    table: Path
    seconds: float

    def text(self) -> str:
        """Return as text for a terminal what was found and where it is."""
        labels = self.found.labels
        clean = f"{labels.clean:,} clean" if self.found.clean_known else "clean ones are not listed"
        counts = zip(labels.class_names, labels.images_per_class().tolist(), strict=True)
        lines = [
            f"images: {labels.images:,}, {labels.images - labels.clean:,} with a defect, {clean}",
            f"images per class: {', '.join(f'{name} {count:,}' for name, count in counts)}",
        ]
        if self.found.groups is not None:
            groups = self.found.largest_groups(labels.images)
            lines.append(f"near-duplicates: {sum(map(len, groups)):,} images in {len(groups):,} groups")
        if few := labels.few():
            counts_of = ", ".join(f"{name} {count}" for name, count in few.items())
            lines.append(
                f"warning: percentiles of areas need {FEW} images and {FEW} defects of a class; the fewer of both: {counts_of}"
            )
        lines.append(f"in {self.seconds:.1f} s: {self.page} (open it in a browser), {self.numbers}, {self.table}")
        return "\n".join(lines)


def explore(config: ExploreConfig, progress: bool = True) -> ExploreResult:
    """Write ``exploration.html``, ``exploration.json`` and ``images.csv`` about a dataset folder.

    Args:
        config: folder, where to write, image size where no image tells it, number of examples.
        progress: show bars when standard error is a terminal.

    Raises:
        InputError: the folder, its table or an image is at fault, or the place to write is; nothing was written.
    """
    start = time.perf_counter()
    page, numbers = _targets(config)
    found = explore_folder(config, progress)
    total = pictures_to_draw(found, config.examples)
    with tqdm(total=total, desc="drawing examples", disable=None if progress else True) as bar:
        text = render("Exploration", lead(found), sections(found, config.examples, bar.update))
    # The page's name, unless it is the usual one: another page in the same folder may be of other images.
    table = page.with_name(IMAGES if page.name == PAGE else f"{page.stem}-{IMAGES}")
    write_text(numbers, _lines(found.to_dict()))
    write_frame(found.image_table(), table)
    write_text(page, text)
    return ExploreResult(found, page, numbers, table, time.perf_counter() - start)


def _targets(config: ExploreConfig) -> tuple[Path, Path]:
    """Return the two files, and refuse a place that cannot be written to before hours are spent on what goes there."""
    out = config.out or config.dir / "exploration"
    page = out if out.suffix.lower() in (".html", ".htm") else out / PAGE
    if page.is_dir():
        raise InputError(f"-out {page}: is a folder; name a file or another folder")
    place = next(folder for folder in page.absolute().parents if folder.exists())
    if config.dir.is_dir() and not place.is_dir():
        raise InputError(f"-out {place}: is a file; name a folder, or a file that ends in .html")
    if config.dir.is_dir() and not os.access(place, os.W_OK):
        raise InputError(f"{place}: no permission to write there; name another place with -out")
    return page, page.with_suffix(".json")


def _lines(figures: dict[str, Any]) -> str:
    """Return figures as JSON with one key a line: the maps alone have thousands of numbers."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in figures.items()]
    return "{{\n{}\n}}\n".format(",\n".join(lines))
