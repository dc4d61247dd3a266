"""Map the defects of a coil, from its images or from a table of an earlier prediction."""

import dataclasses
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from config import MapCoilConfig, Url
from utils.coil.coil import Coil
from utils.coil.crops import take_pictures
from utils.coil.defect_table import clipped, images_of, read_defects
from utils.coil.edges import Profile
from utils.coil.frames import Frames, Size
from utils.coil.grading import check_rules
from utils.coil.mapping import map_coil_of, read_earlier
from utils.coil.outputs import FILES, PAGE, PICTURE, SUMMARY, write_coil
from utils.coil.plan import CoilPlan
from utils.coil.plan_file import check_classes, read_plan
from utils.coil.positions import read_frames
from utils.coil.truth import CoilScores, score
from utils.data.coil_truth import read_truth
from utils.data.images import ImageError, read_image, read_size
from utils.data.listing import TEST_IMAGES, TRAIN_IMAGES, image_names
from utils.data.packed import open_pack
from utils.errors import InputError
from utils.files import alone_in, make_folder, write_text
from utils.reporting.coil_map import map_png
from utils.reporting.coil_page import coil_page
from utils.settings import to_plain
from utils.text import columns, plural, visible

if TYPE_CHECKING:
    from utils.inference.inspected import Inspected

DEFAULT_OUT = "coil_map"
# Images that edges are looked for in, evenly along the strip, where the defects come from a table.
_PROFILED = 200


@dataclass(frozen=True)
class Skipped:
    """An image that is not on the map, and why."""

    image: str
    reason: str


@dataclass(frozen=True, eq=False)
class MapCoilResult:
    """The map of a coil and where it was written.

    Attributes:
        coil: all of it.
        out: folder of the results.
        written: what is in it.
        skipped: images that are not on the map.
        notes: what the user has to know beside the map's own notes.
        scores: against the truth; none: nobody asked.
        network: what ran it; empty: the defects came from a table.
        seconds: for all of it.
    """

    coil: Coil
    out: Path
    written: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    scores: CoilScores | None
    network: str
    seconds: float

    def text(self) -> str:
        """Format the map for a terminal."""
        coil = self.coil
        rows = [["class", "defects"], *([name, str(number)] for name, number in coil.counts.items())]
        lines = [columns(rows), ""] if coil.counts else []
        seen = f"{coil.units.place(coil.length)} of strip, {plural(len(coil.frames), 'image', ',')}"
        found = f"{plural(int(coil.real.sum()), 'defect', ',')}, {len(coil.repeats)} series of repeating marks"
        lines.append(f"{seen}: {found}; {self.seconds:.1f} s{f', {self.network}' if self.network else ''}")
        for row in coil.repeats.to_dict("records"):
            roll = f", {row['roll']}" if row["roll"] else ""
            lines.append(
                f"repeats every {coil.units.size(row['period'])} at {coil.units.size(row['across'])} across:"
                f" {int(row['hits'])} marks, {coil.units.stretch(row['onset'], row['end'])}{roll}"
            )
        grade = coil.grade
        if grade.verdict:
            lines.append(f"verdict: {grade.verdict}")
            lines += [f"  {outcome.rule.name}: {outcome.text}" for outcome in grade.fired]
        else:
            lines.append(f"no verdict: {grade.why}")
        if missing := grade.not_seen:
            first = ", ".join(coil.units.stretch(begin, end) for begin, end in missing[:3])
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            lines.append(f"not seen: {coil.units.place(sum(b - a for a, b in missing))}, {first}{more}")
        lines += [f"note: {note}" for note in (*coil.notes, *self.notes)]
        if self.scores is not None:
            lines.append(self.scores.text())
        if self.skipped:
            lines.append(f"{plural(len(self.skipped), 'image')} not on the map, named in {self.out / SUMMARY}")
        lines.append(f"results in {self.out}: {', '.join(self.written)}")
        return "\n".join(visible(line) for text in lines for line in text.split("\n"))


@dataclass
class _Seen:
    """What is known of the images before they are mapped."""

    defects: pd.DataFrame
    frames: Frames
    profiles: dict[str, Profile] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    images: Path | None = None
    network: str = ""
    about: dict[str, Any] = field(default_factory=dict)


def map_coil(config: MapCoilConfig) -> MapCoilResult:
    """Map a coil.

    Args:
        config: the flags of ``Map_coil.py``.

    Returns:
        The map and where it was written.

    Raises:
        InputError: flags, tables, weights or images are at fault; nothing was written then.
    """
    start = time.perf_counter()
    plan = _plan(config)
    truth = read_truth(config.truth) if config.truth else None
    earlier = read_earlier(config.against, plan) if config.against else None
    if config.dir is None and config.defects is None:
        raise InputError("give -dir FOLDER of the coil's images, or -defects TABLE of an earlier prediction, or both")
    out = config.out or (config.dir if config.dir is not None else _beside(config.defects)) / DEFAULT_OUT
    _check_out(out, config)
    seen = _from_images(config, plan, out) if config.defects is None else _from_table(config, plan, config.defects, out)
    coil = map_coil_of(
        seen.defects,
        seen.frames,
        plan,
        seen.profiles,
        keep_static=config.keep_static,
        earlier=earlier,
        notes=seen.notes,
    )
    made = f"{seen.network or config.defects}"
    coil = dataclasses.replace(coil, made=made)
    if seen.images is not None and config.crops:
        coil = dataclasses.replace(
            coil, crops=take_pictures(coil.defects, coil.order, _reader(seen.images), config.crops)
        )
    scores = score(coil.defects, coil.repeats, truth, coil.plan, coil.artefacts) if truth else None
    picture, page = map_png(coil), coil_page(coil)  # before anything is written: all files tell of one coil
    make_folder(out)
    with alone_in(out) as alone:
        if not alone:
            raise InputError(f"-out {out}: another map is written there; wait for it, or name another folder")
        results: list[MapCoilResult] = []

        def finish(place: Path, notes: list[str]) -> None:
            (place / PICTURE).write_bytes(picture)
            write_text(place / PAGE, page)
            written = (PAGE, PICTURE, *(name for name in FILES if (place / name).is_file()), SUMMARY)
            seconds = time.perf_counter() - start
            result = MapCoilResult(coil, out, written, tuple(seen.skipped), tuple(notes), scores, seen.network, seconds)
            write_text(place / SUMMARY, json.dumps(_summary(result, config, seen), indent=2, ensure_ascii=False) + "\n")
            results.append(result)

        write_coil(out, coil, finish)
    return results[0]


def _plan(config: MapCoilConfig) -> CoilPlan:
    plan = read_plan(config.coil)
    if config.join_mm is not None:
        if plan.unit == "px":
            raise InputError("-join_mm: needs mm_per_pixel in the file of -coil; or give join there, in pixels")
        plan = dataclasses.replace(plan, join=config.join_mm)
    check_rules(plan)
    return plan


def _check_out(out: Path, config: MapCoilConfig) -> None:
    """Refuse, before hours of work, a folder that cannot be written to or that holds the map to compare with."""
    if config.against is not None and out.exists():
        earlier = config.against if config.against.is_dir() else config.against.parent
        if earlier.exists() and earlier.samefile(out):
            raise InputError(f"-out {out}: is the map of -against, which would be lost; name another folder with -out")
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise InputError(f"-out {out}: {there} is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"-out {out}: no right to write in {there}; name another folder")


def _beside(table: Path | Url | None) -> Path:
    assert table is not None, "-dir or -defects was given"
    if isinstance(table, Url):
        raise InputError("-out: name a folder for the map")
    return table.parent


def _from_images(config: MapCoilConfig, plan: CoilPlan, out: Path) -> _Seen:
    """Find the defects of images with a network."""
    from utils.commands.progress import progress, require_images
    from utils.inference.chosen import choose_weights
    from utils.inference.inspected import Refused
    from utils.inference.opening import open_pipeline

    assert config.dir is not None
    folder, names = _images(config.dir, out)
    if not names:
        raise InputError(f"-dir {config.dir}: holds no images, neither itself nor in {TEST_IMAGES}/ or {TRAIN_IMAGES}/")
    every, not_asked = len(names), names[config.num_of_images or len(names) :]
    names = names[: config.num_of_images or None]
    chosen = choose_weights(config)
    if chosen.weights.spec.is_classifier:
        raise InputError(f"{chosen.path.name}: judges whole images and finds no defects; choose weights with masks")
    check_classes(plan, chosen.class_names, config.coil, chosen.path.name)
    sizes, unread = _sizes(folder, names)
    lost = [one.image for one in unread]
    frames = read_frames(config.dir, plan, sizes, _cameras([*sizes, *lost]), lost, not_asked)
    skipped = [*unread, *(Skipped(name, reason) for name, reason in frames.unplaced.items())]
    refused: list[Refused] = []
    pipeline = open_pipeline(chosen, config, refused, describe=True, images=len(frames.table))
    cameras = {
        image: plan.camera(camera) for image, camera in zip(frames.table["image"], frames.table["camera"], strict=True)
    }
    rows: list[tuple[Any, ...]] = []
    profiles: dict[str, Profile] = {}

    def finish(path: Path, result: "Inspected") -> tuple[str, list[tuple[Any, ...]], Profile]:
        camera = cameras[result.name]
        assert camera is not None, "frames were placed by the plan"
        return result.name, result.defects.tolist(), Profile.of(result.image, camera)

    paths = [folder / name for name in frames.table["image"]]
    with progress(len(paths), "map") as bar:
        for _, (name, found, profile) in pipeline.run(paths, finish, folder):
            profiles[name] = profile
            rows += [
                (name, chosen.class_names[number - 1], x, y, width, height, area, probability)
                for number, area, x, y, width, height, probability in found
            ]
            bar.update()
    require_images(len(profiles), refused)
    failed = {_name(folder, one.name): one.reason for one in refused}
    skipped += [Skipped(name, reason) for name, reason in failed.items()]
    notes = [f"{name}: {reason}; the strip has a gap there" for name, reason in list(failed.items())[:3]]
    if len(failed) > 3:
        notes.append(f"{len(failed) - 3} more images could not be read, named in {SUMMARY}")
    order = ["image", "class_name", "x", "y", "width", "height", "area_px", "probability"]
    if len(names) < every:
        notes.insert(0, f"-num_of_images: the first {len(names)} of {every} images alone; map and verdict are of these")
    return _Seen(
        defects=pd.DataFrame(rows, columns=order),
        frames=frames.without(failed, plan),
        profiles=profiles,
        notes=[*(f"{one.image}: {one.reason}; left out" for one in unread), *notes],
        skipped=skipped,
        images=folder,
        network=pipeline.system.name,
        about=chosen.to_dict(),
    )


def _from_table(config: MapCoilConfig, plan: CoilPlan, file: Path | Url, out: Path) -> _Seen:
    """Take the defects from a table; the images, where they are at hand, tell their sizes, edges and pictures."""
    table = read_defects(file, config.where or ())
    if len(table.defects):
        # A class that the table lacks may be one that this coil is clean of.
        notes = [*table.notes, *_unknown_classes(plan, table.class_names, config)]
    else:
        notes = list(table.notes)
    skipped, profiles = list[Skipped](), dict[str, Profile]()
    folder, names = _images(config.dir, out) if config.dir is not None else (None, [])
    if folder is not None and names and not table.by_frame:
        sizes, skipped = _sizes(folder, names)
        cameras = _cameras([*sizes, *(one.image for one in skipped)])
        told = dict(zip(table.defects["image"], table.defects["camera"], strict=True))
        if any(told.values()):
            cameras = {name: told.get(name, camera) for name, camera in cameras.items()}
        unknown = sorted(set(told) - set(names))
        if unknown and len(unknown) == len(told):
            raise InputError(
                f"{file}: none of its images is in {folder} (the first: {unknown[0]}); give the right -dir"
            )
        if unknown:
            notes.append(f"{file}: {plural(len(unknown), 'image')} not in {folder}: {', '.join(unknown[:3])}")
    else:
        folder = None
        sizes, cameras, guessed = images_of(table, config.dir, config.frame_size)
        notes += guessed
        skipped = [Skipped(image, reason) for image, reason in table.skipped]
        cameras |= _cameras(one.image for one in skipped)
    frames = read_frames(config.dir, plan, sizes, cameras, [one.image for one in skipped])
    skipped += [Skipped(name, reason) for name, reason in frames.unplaced.items()]
    if folder is not None and plan.edges == "found":
        profiles = _profiles(folder, frames, plan)
    boxes, cut = clipped(table.defects, sizes)
    notes += [f"{file}: {note}" for note in cut]
    return _Seen(
        defects=boxes,
        frames=frames,
        profiles=profiles,
        notes=notes,
        skipped=skipped,
        images=folder,
        about={"defects": str(file)},
    )


def _unknown_classes(plan: CoilPlan, known: list[str], config: MapCoilConfig) -> list[str]:
    """Say which class of the plan the table lacks: its rule counts nothing."""
    try:
        check_classes(plan, known, config.coil, str(config.defects))
    except InputError as error:
        return [f"{error}; the rule counts nothing of it"]
    return []


def _images(home: Path, out: Path) -> tuple[Path, list[str]]:
    """Return the folder of a coil's images, and their names."""
    if not home.is_dir():
        raise InputError(f"-dir {home}: no such folder; name the folder of the coil")
    if open_pack(home) is not None:
        raise InputError(f"-dir {home}: is packed; give the folder that it was made of")
    folder = next((home / name for name in (TEST_IMAGES, TRAIN_IMAGES) if (home / name).is_dir()), home)
    return folder, image_names(folder, [out])


def _sizes(folder: Path, names: Iterable[str]) -> tuple[dict[str, Size], list[Skipped]]:
    """Read the sizes of images from their headers."""
    sizes, unread = {}, []
    for name in names:
        try:
            sizes[name] = read_size(folder / name)
        except ImageError as error:
            unread.append(Skipped(name, error.reason))
    if not sizes and unread:
        raise InputError(
            f"no image could be read, {len(unread)} tried; the first: {unread[0].image}: {unread[0].reason}"
        )
    return sizes, unread


def _cameras(names: Iterable[str]) -> dict[str, str]:
    """Return the camera of each image by the folder within that it lies in, for coils without a table."""
    return {name: name.rpartition("/")[0] for name in names}


def _profiles(folder: Path, frames: Frames, plan: CoilPlan) -> dict[str, Profile]:
    """Read the light of some images, evenly along the strip."""
    found = {}
    table = frames.table
    for place in np.unique(np.linspace(0, len(table) - 1, min(_PROFILED, len(table))).astype(int)):
        image, camera = str(table["image"].iloc[place]), plan.camera(str(table["camera"].iloc[place]))
        assert camera is not None, "frames were placed by the plan"
        try:
            found[image] = Profile.of(read_image(folder / image, 1), camera)
        except ImageError:
            continue
    return found


def _reader(folder: Path) -> Any:
    def read(name: str) -> np.ndarray | None:
        try:
            return read_image(folder / name, 3)
        except ImageError:
            return None

    return read


def _name(folder: Path, path: str) -> str:
    return Path(path).relative_to(folder).as_posix()


def _summary(result: MapCoilResult, config: MapCoilConfig, seen: _Seen) -> dict[str, Any]:
    coil = result.coil
    versions: dict[str, str] = {}
    if seen.network:  # a table is mapped without torch
        from utils import device

        versions = device.versions()
    return {
        **seen.about,
        "settings": to_plain(config),
        "coil": str(config.coil) if config.coil else None,
        "unit": coil.plan.unit,
        "images": len(coil.frames),
        "defects": int(coil.real.sum()),
        "repeats": len(coil.repeats),
        "verdict": coil.grade.verdict or None,
        "notes": [*coil.notes, *result.notes],
        "skipped": [{"image": one.image, "reason": one.reason} for one in result.skipped],
        "written": list(result.written),
        "seconds": round(result.seconds, 3),
        "versions": versions,
    }
