"""The tables of a drawn coil: where each frame lies, how fast the strip ran, what a network would list, and coil.yaml."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from config import CoilPositions, SynthesiseConfig
from utils.data.synthetic.coil.layout import DrawnCamera, Layout
from utils.data.synthetic.coil.series import DrawnRoll
from utils.data.synthetic.noise import Mask
from utils.data.synthetic.statistics import CLASS_NAMES

COUNTS_A_METRE = 4096.0  # of the encoder
SAMPLES_A_SECOND = 20
# Rules of grading, so that a drawn coil has a verdict.
RULES = """rules:
  - {name: roll marks, verdict: hold, measure: repeats}
  - {name: long scratch, verdict: downgrade, measure: longest, at_least: 300, classes: [scratches]}
  - {name: patches, verdict: downgrade, measure: count, at_least: 20, classes: [patches]}
"""
# Of each defect as utils.inference.outputs lists it.
DEFECT_TABLE = ("image", "class_id", "name", "area_px", "x", "y", "width", "height", "mean_probability")


def image_name(camera: DrawnCamera, frame: int) -> str:
    """Return the file name of a frame, from 0."""
    return f"c{camera.name}_{frame + 1:05d}.jpg"


def speed_table(rng: np.random.Generator, length: float) -> pd.DataFrame:
    """Return a drawn ride: ``time`` in seconds and ``speed`` in metres a second, until the strip has run off.

    The line starts from rest, changes its speed a few times, stands still once, and slows down at the tail.

    Args:
        rng: source of chance.
        length: metres that have to run.
    """
    usual = max(0.2, length / 60.0)
    parts: list[NDArray[np.float64]] = []
    speed, run = 0.0, 0.0
    targets = [usual * rng.uniform(0.5, 1.5) for _ in range(200)]
    targets[2] = 0.0
    for target in targets:
        ramp = np.linspace(speed, target, int(rng.integers(1, 4)) * SAMPLES_A_SECOND)
        hold = np.full(int(rng.integers(2, 12)) * SAMPLES_A_SECOND, target)
        parts += [ramp, hold]
        run += float(ramp.sum() + hold.sum()) / SAMPLES_A_SECOND
        speed = target
        if run > 1.05 * length:
            break
    speeds = np.concatenate([*parts, np.linspace(speed, 0.2 * usual, 2 * SAMPLES_A_SECOND)])
    return pd.DataFrame({"time": np.arange(len(speeds)) / SAMPLES_A_SECOND, "speed": speeds.round(5)})


def times_at(places: NDArray[np.float64], speed: pd.DataFrame) -> NDArray[np.float64]:
    """Return the seconds at which the strip has run some metres; the speed is a straight line between two rows."""
    time, rate = speed["time"].to_numpy(), speed["speed"].to_numpy()
    run = np.concatenate([[0.0], np.cumsum(np.diff(time) * (rate[1:] + rate[:-1]) / 2.0)])
    # The first row from which on the strip has run so far: not while it stands still.
    at = np.clip(np.searchsorted(run, places, side="right") - 1, 0, len(run) - 2)
    left = np.maximum(0.0, places - run[at])
    slope = (rate[at + 1] - rate[at]) / (time[at + 1] - time[at])
    # Time t since the row: rate t + slope t^2 / 2 = left, in the form that also bears slope 0.
    root = np.sqrt(np.maximum(0.0, rate[at] ** 2 + 2.0 * slope * left))
    return time[at] + np.divide(2.0 * left, rate[at] + root, out=np.zeros(len(at)), where=rate[at] + root > 0.0)


def positions_table(
    rng: np.random.Generator, layout: Layout, kind: CoilPositions, unit: str, speed: pd.DataFrame, spoil: float
) -> pd.DataFrame:
    """Return ``positions.csv``.

    Args:
        rng: source of chance.
        layout: the cameras.
        kind: what says where a frame begins.
        unit: ``mm`` or ``px``.
        speed: of the ride; used for times.
        spoil: share of the rows that are missing, and share that are doubled; the rest comes in any order.
    """
    metres = 1000.0 if unit == "mm" else 1.0
    rows = [
        (image_name(camera, frame), camera.name, camera.begin(frame) / metres, camera.left)
        for frame in range(layout.frames)
        for camera in layout.cameras
    ]
    begins = np.array([row[2] for row in rows])
    table = pd.DataFrame({"ImageId": [row[0] for row in rows], "camera": [row[1] for row in rows]})
    if kind == "time":
        table["time"] = [f"{time:.6f}" for time in times_at(begins, speed)]
    elif kind == "count":
        table["count"] = np.rint(begins * COUNTS_A_METRE).astype(np.int64)
    else:
        table["start_m" if unit == "mm" else "start_px"] = [f"{begin:.6f}" for begin in begins]
    table["left_mm" if unit == "mm" else "left_px"] = [f"{row[3]:.3f}" for row in rows]
    if spoil:
        order = rng.permutation(len(table))
        gone = round(spoil * len(table))
        kept = np.concatenate([order[gone:], order[gone : 2 * gone]])
        table = table.iloc[rng.permutation(kept)]
    return table


def defect_rows(name: str, seen: Mask) -> list[tuple[object, ...]]:
    """Return the rows of ``defects.csv`` for one image, as a network without fault lists them.

    Args:
        name: of the image.
        seen: (H, W, classes) uint8 of 0/1.
    """
    rows: list[tuple[object, ...]] = []
    for index, class_name in enumerate(CLASS_NAMES):
        channel = np.ascontiguousarray(seen[..., index])
        if channel.any():
            _, _, stats, _ = cv2.connectedComponentsWithStats(channel, connectivity=8)
            rows += [
                (name, index + 1, class_name, int(area), int(x), int(y), int(width), int(height), "0.9000")
                for x, y, width, height, area in stats[1:]
            ]
    return rows


def coil_yaml(config: SynthesiseConfig, layout: Layout, rolls: Sequence[DrawnRoll], unit: str) -> str:
    """Return the text of ``coil.yaml``."""
    lines = [
        "# Drawn by Prepare_data.py synthesise -coil: simulation.",
        f"coil: drawn-{config.seed}",
        "line: drawn",
        f"along: {config.along}",
        f"reversed_along: {str(config.reversed_along).lower()}",
        f"reversed_across: {str(config.reversed_across).lower()}",
    ]
    first = layout.cameras[0]
    if unit == "mm":
        lines.append(f"mm_per_pixel: {{along: {first.along!r}, across: {first.across!r}}}")
    lines += [f"width: {layout.width:.3f}", f"edges: [0, {layout.width:.3f}]"]
    if config.positions == "count" and unit == "mm":
        lines.append(f"m_per_count: {1.0 / COUNTS_A_METRE!r}")
    lines.append("cameras:")
    for camera in layout.cameras:
        own = [f"left: {camera.left:.3f}"]
        if unit == "mm" and (camera.along, camera.across) != (first.along, first.across):
            own.append(f"mm_per_pixel: {{along: {camera.along!r}, across: {camera.across!r}}}")
        if camera.sensor_ends:
            ends = [camera.columns - end if config.reversed_across else end for end in camera.sensor_ends]
            own.append(f"seams: {sorted(ends)}")
        lines.append(f"  {camera.name}: {{{', '.join(own)}}}")
    if rolls and unit == "mm":
        lines.append("rolls:")
        for roll in rolls:
            sizes = f"smallest: {roll.smallest:.3f}, largest: {roll.largest:.3f}, elongation: {roll.elongation:g}"
            lines.append(f"  - {{name: {roll.name}, {sizes}}}")
    return "\n".join(lines) + "\n"
