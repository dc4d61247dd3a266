"""Write a folder of a drawn coil: images, positions, coil.yaml, labels, what a network would list, and the truth."""

import csv
import io
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from config import Side, SynthesiseConfig
from utils.data import rle
from utils.data.annotation_table import write_annotations
from utils.data.annotations import make_rows
from utils.data.coil_truth import Truth, write_truth
from utils.data.folder_layout import IMAGES, LABELS, TEST_TABLE
from utils.data.synthetic.coil import tables
from utils.data.synthetic.coil.layout import Layout, make_layout
from utils.data.synthetic.coil.strip import StripSettings, draw_strip, line_rolls, true_defects
from utils.data.synthetic.coil.view import Line
from utils.data.synthetic.folder import JPEG_QUALITY, LARGEST_SIDE, SMALLEST_SIDE, make_room
from utils.data.tables import write_listed
from utils.errors import InputError
from utils.files import write_text
from utils.text import plural

MOST_FRAMES = 99_999  # names have five digits
LEAST_STEP = 16  # pixels from frame to frame


@dataclass(frozen=True)
class DrawnCoilSummary:
    """What was written.

    Attributes:
        dir: the folder.
        split: "train" or "test".
        layout: the cameras.
        unit: of lengths, "mm" or "px".
        truth: of the coil.
        listed: rows of ``defects.csv``.
        seconds: time it took.
    """

    dir: Path
    split: Side
    layout: Layout
    unit: str
    truth: Truth
    listed: int
    seconds: float

    def text(self) -> str:
        """Return as text for a terminal what was written."""
        layout, truth = self.layout, self.truth
        images = layout.frames * len(layout.cameras)
        if self.unit == "mm":
            size = f"{layout.length / 1000.0:.1f} m of strip, {layout.width:.0f} mm wide"
        else:
            size = f"{layout.length:.0f} pixels of strip, {layout.width:.0f} wide"
        repeats = f", {len(truth.repeats)} series of marks" if len(truth.repeats) else ""
        seen = f"{plural(len(truth.defects), 'defect')} in {self.listed} parts{repeats}"
        where = f"{self.dir / IMAGES[self.split]}: {plural(images, 'frame')} of {plural(len(layout.cameras), 'camera')}"
        return f"{where}, {size}, {seen}, {plural(len(truth.artefacts), 'speck')} on lenses, in {self.seconds:.0f} s"


def draw_coil(config: SynthesiseConfig) -> DrawnCoilSummary:
    """Write a folder of a drawn coil.

    Args:
        config: folder, size and split of the images, and everything under "of -coil".

    Returns:
        What was written.

    Raises:
        InputError: the flags contradict each other, or the folder holds what no earlier run has written.
    """
    start = time.perf_counter()
    layout = _check(config)
    unit = "px" if config.mm_per_px is None else "mm"
    make_room(config.dir, config.split, coil=True)
    rng = np.random.default_rng([config.seed, 0])
    rolls = line_rolls(rng, layout.length, config.repeats)
    settings = StripSettings(config.defects_per_m, config.cut, config.repeats, config.missed, config.contrast)
    placed, repeats = draw_strip(rng, layout, settings, rolls)
    line = Line(config.seed, layout, placed, config.dirt, config.along, config.reversed_along, config.reversed_across)
    views = [0] * len(placed)
    labels: list[tuple[str, int, str, int]] = []
    listed: list[tuple[object, ...]] = []
    names = []

    def work(item: tuple[int, int]) -> tuple[str, tuple[int, ...], dict[int, str], list[tuple[object, ...]]]:
        number, camera = item
        frame = line.frame(camera, number)
        name = tables.image_name(layout.cameras[camera], number)
        _, encoded = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (config.dir / IMAGES[config.split] / name).write_bytes(encoded.tobytes())
        codes = {index + 1: rle.encode(frame.labels[..., index]) for index in range(frame.labels.shape[2])}
        return name, frame.shown, codes, tables.defect_rows(name, frame.seen)

    items = [(number, camera) for number in range(layout.frames) for camera in range(len(layout.cameras))]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        try:
            made = tqdm(pool.map(work, items), total=len(items), desc="frames", unit="frame", disable=None)
            for name, shown, codes, rows in made:
                names.append(name)
                labels += [(name, class_id, code, 0) for class_id, code in codes.items() if code]
                listed += rows
                for index in shown:
                    views[index] += 1
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

    # The tables come last: without them an interrupted folder is not taken for a finished one.
    first = layout.cameras[0]
    scale = max(camera.along for camera in layout.cameras), max(camera.across for camera in layout.cameras)
    truth = Truth(
        unit=unit,
        length=layout.length,
        width=layout.width,
        px_along=scale[0] if unit == "mm" else scale[0] / first.along,
        px_across=scale[1] if unit == "mm" else scale[1] / first.across,
        defects=true_defects(placed, layout, views),
        repeats=repeats,
        artefacts=line.artefacts(),
    )
    _write_tables(config, rng, layout, unit, rolls)
    _write_csv(config.dir / "defects.csv", tables.DEFECT_TABLE, listed)
    write_truth(truth, config.dir / "truth.json")
    write_annotations(make_rows(labels), config.dir / LABELS[config.split])
    if config.split == "test":
        write_listed(names, config.dir / TEST_TABLE)
    return DrawnCoilSummary(config.dir, config.split, layout, unit, truth, len(listed), time.perf_counter() - start)


def _write_tables(
    config: SynthesiseConfig, rng: np.random.Generator, layout: Layout, unit: str, rolls: list[tables.DrawnRoll]
) -> None:
    """Write coil.yaml, positions.csv and speed.csv, as far as they are wanted."""
    write_text(config.dir / "coil.yaml", tables.coil_yaml(config, layout, rolls, unit) + tables.RULES)
    if config.positions == "none":
        return
    metres = 1000.0 if unit == "mm" else 1.0
    speed = tables.speed_table(rng, layout.length / metres + 1.0)
    positions = tables.positions_table(rng, layout, config.positions, unit, speed, config.spoil)
    if config.positions == "time":
        _write_csv(config.dir / "speed.csv", list(speed.columns), speed.to_numpy().tolist())
    _write_csv(config.dir / "positions.csv", list(positions.columns), positions.to_numpy().tolist())


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _check(config: SynthesiseConfig) -> Layout:
    """Refuse what cannot be drawn, before anything is written."""
    size = ",".join(map(str, config.image_size))
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in config.image_size):
        raise InputError(f"-image_size {size}: each side must be {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    if config.frames > MOST_FRAMES:
        raise InputError(f"-frames {config.frames}: give {MOST_FRAMES} at most")
    if config.mm_per_px is not None and not all(0.001 <= one <= 100.0 for one in config.mm_per_px):
        given = ",".join(f"{one:g}" for one in config.mm_per_px)
        raise InputError(f"-mm_per_px {given}: each must be 0.001 to 100 millimetres, or none")
    rows, columns = config.image_size if config.along == "y" else config.image_size[::-1]
    if config.frame_overlap > rows - LEAST_STEP:
        raise InputError(f"-frame_overlap {config.frame_overlap}: a frame has {rows} pixels along; give fewer")
    if 2 * config.camera_overlap > columns:
        raise InputError(f"-camera_overlap {config.camera_overlap}: an image has {columns} pixels across; give fewer")
    seen = config.cameras * columns - (config.cameras - 1) * config.camera_overlap
    if 4 * config.dark > seen:
        raise InputError(f"-dark {config.dark}: leaves less than half of {seen} pixels for the strip; give fewer")
    if config.positions == "none" and (config.cameras > 1 or config.frame_overlap):
        raise InputError("-positions none: only for one camera without overlap: -cameras 1 -frame_overlap 0")
    if config.mm_per_px is None and config.positions in ("time", "count"):
        raise InputError(f"-positions {config.positions}: needs a scale; give -mm_per_px, or -positions start_m")
    if config.mm_per_px is None and config.camera_scale != 1.0:
        raise InputError("-camera_scale: without -mm_per_px all cameras have the same pixels; leave it out")
    if not 0.5 <= config.camera_scale ** (config.cameras - 1) <= 2.0:
        raise InputError(
            f"-camera_scale {config.camera_scale:g}: the last of {config.cameras} cameras would see less than half, or more"
            " than twice, what the first one sees; give a number nearer to 1"
        )
    scale = config.mm_per_px or (1.0, 1.0)
    return make_layout(
        config.cameras,
        config.frames,
        rows,
        columns,
        scale,
        config.camera_scale,
        config.frame_overlap,
        config.camera_overlap,
        config.dark * scale[1],
        config.seams,
        uneven=config.positions != "none",
    )
