"""Find defects in images and write what was found."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from config import PredictConfig, Url
from utils.commands.progress import progress, require_images
from utils.commands.results_folder import PICTURES_OF, left_over, marked, refuse_foreign_pictures
from utils.data.dataset_folder import folder_to_predict, known_classes, open_test_images
from utils.data.images import pages_of
from utils.data.listing import (
    IMAGE_SUFFIXES,
    NOT_UTF8,
    PICTURES,
    SUMMARY,
    TEST_IMAGES,
    about_folders,
    about_links,
    is_utf8,
    list_images,
    name_in,
)
from utils.data.packed import with_local_folder
from utils.data.submission import SAMPLE, Layout, read_layout
from utils.device import versions
from utils.errors import InputError
from utils.files import make_folder, write_text
from utils.inference.backends.choice import FEWEST
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.ground_truth import GroundTruth, class_ids, labels_beside
from utils.inference.inspected import Inspected, Refused
from utils.inference.looking import looking
from utils.inference.opening import open_pipeline
from utils.inference.outputs import (
    SAVES,
    Defects,
    HeatMaps,
    IndexMasks,
    LabelTable,
    Overlays,
    Sink,
    Submission,
    picture_names,
)
from utils.inference.pipeline import InspectionPipeline
from utils.models.class_names import MapError
from utils.text import columns, plural, visible
from utils.weights.appearance import PROPERTIES, Appearance

# A choice that an earlier run has kept is used for any number of images.
WHY_TORCH = f"runs of fewer than {FEWEST} images take torch, unless a larger one has found a faster backend for these weights here"


@dataclass(frozen=True)
class ClassTotal:
    """What was found of one class: in how many images, how many defects, how many pixels."""

    images: int
    defects: int
    area_px: int


# Images of a folder are often of one coil, which looks like no mean of all: what is told is far off all of them.
FAR = 2.0  # standard deviations of the images learnt from, that the mean of these is off
FEWEST_LOOKS, MOST_LOOKS = 5, 500  # images that are looked at


@dataclass(frozen=True)
class PredictResult:
    """What a prediction found and wrote.

    Attributes:
        images: number of images that were predicted.
        skipped: images that could not be read.
        defects: number of connected defects.
        classes: totals by class name.
        out: folder of the results.
        written: what is in it, as a person would name it.
        seconds: for all images, without loading the network.
        network: what ran it.
        overlays: the first few pictures.
        labels: images by label of the whole image, where a network judges that.
        bit_depth: how images with more than 8 bits were read, in words; empty when nothing was known or measured.
        remark: why it was torch that ran the network; empty where that was chosen, or measured on these images.
    """

    images: int
    skipped: tuple[Refused, ...]
    defects: int
    classes: dict[str, ClassTotal]
    out: Path
    written: tuple[str, ...]
    seconds: float
    network: str
    overlays: tuple[Path, ...]
    labels: dict[str, int] = field(default_factory=dict)
    bit_depth: str = ""
    remark: str = ""

    @property
    def images_per_second(self) -> float:
        """Images per second from file to file."""
        return self.images / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """Format what was found for a terminal."""
        if self.classes:
            rows = [["class", "images with it", "defects", "pixels"]]
            for name, total in self.classes.items():
                rows.append([name, str(total.images), str(total.defects), str(total.area_px)])
            lines = []
        else:
            rows = [["label", "images with it"], *([name, str(images)] for name, images in self.labels.items())]
            lines = ["this network judges whole images: it gives probabilities instead of masks and overlays", ""]
        lines.append(columns(rows))
        speed = f"{self.seconds:.1f} s, {self.images_per_second:.1f} images/s, {self.network}"
        found = f"{plural(self.images, 'image')}{', ' + plural(self.defects, 'defect') if self.classes else ''}"
        lines += ["", f"{found}; {speed}"]
        if self.remark:
            lines.append(self.remark)
        if self.bit_depth:
            lines.append(f"images with more than 8 bits: {self.bit_depth}")
        if self.skipped:
            lines.append(f"{plural(len(self.skipped), 'image')} skipped, named in {self.out / SUMMARY}")
        lines.append(f"results in {self.out}: {', '.join(self.written)}")
        return "\n".join(lines)


def predict_folder(config: PredictConfig) -> PredictResult:
    """Find defects in a dataset folder, a folder of images or a single image.

    Args:
        config: the flags of ``Predict_masks.py``.

    Returns:
        What was found and where it was written.

    Raises:
        InputError: flags, weights or images are at fault; nothing was written then.
    """
    config = with_local_folder(config)
    assert not isinstance(config.images, Url)
    assert not isinstance(config.out, Url)
    _check_saves(config.save)
    images = _images(config)
    _warn_of_pages(images.paths)
    chosen = choose_weights(config)
    save = _saves(config.save, chosen)
    out = config.out or images.default_out
    pictures = [out / word for word in PICTURES if word in save]
    refuse_foreign_pictures(out, pictures, images.folder, images.paths)
    numbers = _numbers(config, chosen, save)  # before the labels: one line is enough about other classes
    layout = _layout(config, images.folder, save, numbers)
    labels = _labels(config, images.folder, chosen) if "overlays" in save else None
    skipped: list[Refused] = []
    pipeline = open_pipeline(chosen, config, skipped, describe=True, images=len(images.paths), keep_logits=False)
    make_folder(out)
    with marked(out, pictures, picture_names(images.names).values()) as folder:
        result = _write(chosen, pipeline, images, save, out, labels, skipped, numbers, layout)
        if config.backend == "auto" and len(images.paths) < FEWEST and "torch" in result.network:
            result = replace(result, remark=WHY_TORCH)
        summary = {**_summary(result, chosen, labels), PICTURES_OF: folder.settle(result.written)}
        write_text(out / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    others = left_over(out, result.written)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        said = f"warning: {out} has more than this prediction wrote: {others[0]}{more}, by you or an earlier one"
        print(visible(said), file=sys.stderr)
    return result


def _write(
    chosen: Chosen,
    pipeline: InspectionPipeline,
    images: "_Images",
    save: Sequence[str],
    out: Path,
    labels: GroundTruth | None,
    skipped: list[Refused],
    numbers: Sequence[int],
    layout: Layout | None,
) -> PredictResult:
    """Predict the images, and write everything but the summary."""
    spec, names = chosen.weights.spec, picture_names(images.names)
    overlays = Overlays(out / "overlays", names, chosen.class_names, _truth(labels))
    totals = np.zeros((len(spec.scored_names), 3), dtype=np.int64)
    labelled = np.zeros(len(chosen.label_names), dtype=np.int64)
    done = 0

    with ExitStack() as stack:
        sinks: list[Sink] = []
        if "overlays" in save:
            sinks.append(overlays)
        if "masks" in save:
            sinks.append(IndexMasks(out / "masks", names, spec.task, numbers))
        if "heatmaps" in save:
            sinks.append(HeatMaps(out / "heatmaps", names, spec.task))
        if "submission" in save:
            sinks.append(stack.enter_context(Submission(out / "submission.csv", numbers, layout)))
        if "defects" in save:
            sinks.append(stack.enter_context(Defects(out / "defects.csv", chosen.class_names, numbers)))
        if "labels" in save:
            sinks.append(stack.enter_context(LabelTable(out / "labels.csv", chosen.label_names)))

        appearance, look = chosen.weights.appearance, looking(chosen.weights)
        looks: list[np.ndarray] = []

        def finish(path: Path, result: Inspected) -> tuple[str, np.ndarray, np.ndarray, list[Any]]:
            if appearance is not None and len(looks) < MOST_LOOKS:
                looks.append(appearance.properties(result.image, look(result.image) if look else None))
            has = np.zeros(0) if result.labels is None else result.labels
            pieces = [sink.render(result) for sink in sinks]
            return result.name, _count(result), has >= chosen.label_thresholds, pieces

        start = time.perf_counter()
        with progress(len(images.paths), "predict") as bar:
            for _, (name, found, has, pieces) in pipeline.run(images.paths, finish, images.folder):
                totals += found
                labelled += has
                for sink, piece in zip(sinks, pieces, strict=True):
                    sink.collect(name, piece)
                done += 1
                bar.update()
        require_images(done, skipped)
    if appearance is not None and (unlike := unlike_words(appearance, looks)):
        _warn(unlike)
    return PredictResult(
        images=done,
        skipped=tuple(skipped),
        defects=int(totals[:, 1].sum()),
        classes={name: ClassTotal(*map(int, row)) for name, row in zip(chosen.class_names, totals, strict=True)},
        out=out,
        written=(*_written(save), SUMMARY),
        seconds=time.perf_counter() - start,
        network=pipeline.system.name,
        overlays=tuple(overlays.written),
        labels=dict(zip(chosen.label_names, labelled.tolist(), strict=True)),
        bit_depth=chosen.depth_in_words(pipeline.depth),
    )


def unlike_words(appearance: Appearance, looks: Sequence[np.ndarray]) -> str:
    """Say in what images do not look like those that the network learnt from; "" where they do, or are too few to tell.

    Args:
        appearance: of the images learnt from.
        looks: what ``Appearance.properties`` gave for some images.
    """
    if len(looks) < FEWEST_LOOKS:
        return ""
    means, (learnt, sd) = np.mean(looks, axis=0)[:4], (appearance.mean[:4], appearance.sd[:4])
    off = (means - learnt) / np.maximum(sd, 1e-3)
    off[3] = max(0.0, np.nan_to_num(off[3]))
    words = [
        f"{name} {mean:.3g} (learnt {own:.3g})"
        for name, mean, own, far in zip(PROPERTIES, means, learnt, off, strict=False)
        if abs(far) > FAR
    ]
    if not words:
        return ""
    return f"these images do not look like those that the network learnt from: {', '.join(words)}; check some by eye"


def _count(result: Inspected) -> np.ndarray:
    """Count, for each class, 1 if the image has it, its defects and its pixels: (C, 3) int64."""
    classes = len(result.masks)
    ids = result.defects["class_id"] - 1
    defects = np.bincount(ids, minlength=classes)
    area = np.bincount(ids, weights=result.defects["area_px"], minlength=classes).astype(np.int64)
    return np.stack([defects > 0, defects, area], axis=1).astype(np.int64)


def _check_saves(save: Sequence[str]) -> None:
    unknown = [word for word in save if word not in SAVES]
    if unknown:
        raise InputError(f"-save {','.join(unknown)}: choose from {', '.join(SAVES)}")


def _saves(asked: Sequence[str], chosen: Chosen) -> Sequence[str]:
    """Return what there is to write: a classifier draws no masks, whatever was asked for."""
    if chosen.weights.spec.is_classifier:
        return ("labels",)
    if "labels" in asked and not chosen.label_names:
        raise InputError(f"-save labels: {chosen.path.name} judges no whole images; leave it out, or use a classifier")
    return asked


@dataclass(frozen=True)
class _Images:
    """The images that the flags name.

    Attributes:
        paths: their files.
        folder: that their names are relative to.
        default_out: the folder for the results where no flag names one.
    """

    paths: list[Path]
    folder: Path
    default_out: Path

    @property
    def names(self) -> list[str]:
        """Their names, in the order of the paths."""
        return [name_in(self.folder, path) for path in self.paths]


def _images(config: PredictConfig) -> _Images:
    given = config.images
    assert not isinstance(given, Url)
    if (config.dir is None) == (given is None):
        both = "both were given" if config.dir else "neither was given"
        raise InputError(f"give -dir DATASET_FOLDER or -images FOLDER_OR_FILE, one of them; {both}")
    if config.dir is not None:
        paths, home, folder = open_test_images(config.dir), config.dir, folder_to_predict(config.dir)
    elif given is not None and given.is_file():
        if not is_utf8(given.name):
            raise InputError(f"-images {given}: {NOT_UTF8}")
        paths, home = [given], given.parent
        folder = home
    else:
        assert given is not None
        if not given.exists():
            raise InputError(f"-images {given}: no such file or folder")
        paths, home = list_images(given), given
        folder = home
        if linked := about_links(home):
            _warn(visible(f"{linked}; name that folder with -images"))
        if not paths:
            raise InputError(f"-images {home}: holds no image files ({', '.join(sorted(IMAGE_SUFFIXES))})")
    images = _Images(paths[: config.num_of_images or None], folder, home / "results")
    if within := about_folders(images.names):
        print(visible(f"{plural(len(images.names), 'image')}, {within}"), file=sys.stderr)
    return images


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _warn_of_pages(paths: Sequence[Path]) -> None:
    several = [path for path in paths if pages_of(path) > 1]
    if several:
        others = f" (and {plural(len(several) - 1, 'other image')})" if len(several) > 1 else ""
        _warn(
            f"{several[0]}{others}: holds {pages_of(several[0])} pages, and the first alone is read; save each as a file of"
            " its own"
        )


def _labels(config: PredictConfig, images: Path, chosen: Chosen) -> GroundTruth | None:
    """Find labels to show beside the prediction; labels that do not fit are a remark, since nobody needs them here."""
    if config.dir is None:
        return None
    try:
        return labels_beside(images, chosen.weights.spec, config.class_map)
    except InputError as error:
        print(f"warning: overlays show no ground truth: {error}", file=sys.stderr)
        return None


def _numbers(config: PredictConfig, chosen: Chosen, save: Sequence[str]) -> Sequence[int]:
    """Return the number of each class in the tables: that of the dataset folder where it says, else the network's own.

    Raises:
        InputError: a submission is asked for, and the folder has other classes than the network; or ``-class_map``
            names a class that the folder does not have.
    """
    spec = chosen.weights.spec
    own = range(spec.first_class, spec.first_class + len(spec.scored_names))
    known = None if config.dir is None or spec.is_classifier else known_classes(config.dir)
    if known is None:
        return own
    try:
        return class_ids(known[0], spec, config.class_map, known[1])
    except MapError:
        raise
    except InputError as error:
        if "submission" not in save:
            return own
        others = ",".join(word for word in save if word != "submission") or "overlays"
        raise InputError(f"{error}; or leave out the submission: -save {others}") from None


def _layout(config: PredictConfig, images: Path, save: Sequence[str], numbers: Sequence[int]) -> Layout | None:
    """Return the layout of the folder's ``sample_submission.csv``, where test images are predicted."""
    if config.dir is None or images.name != TEST_IMAGES or "submission" not in save:
        return None
    layout = read_layout(config.dir)
    unknown = sorted({number for _, number in layout.pairs} - {0, *numbers}) if layout else []
    if unknown:
        one = len(unknown) == 1
        _warn(
            f"{config.dir / SAMPLE}: lists {'class' if one else 'classes'} {', '.join(map(str, unknown))}, which the network"
            f" does not know; {'its' if one else 'their'} rows stay empty"
        )
    return layout


def _truth(labels: GroundTruth | None) -> Callable[[Inspected], np.ndarray | None]:
    def truth(result: Inspected) -> np.ndarray | None:
        if labels is None:
            return None
        try:
            return labels.masks(result.name, *result.image.shape[:2])
        except InputError as error:
            print(f"warning: overlay without ground truth: {error}", file=sys.stderr)
            return None

    return truth


def _written(save: Sequence[str]) -> list[str]:
    return [f"{word}/" if word in PICTURES else f"{word}.csv" for word in SAVES if word in save]


def _summary(result: PredictResult, chosen: Chosen, labels: GroundTruth | None) -> dict[str, Any]:
    return {
        **chosen.to_dict(),
        "network": result.network,
        "bit_depth": result.bit_depth or None,
        "images": result.images,
        "defects": result.defects,
        "found": {name: vars(total) for name, total in result.classes.items()},
        **({"images_with_label": result.labels} if result.labels else {}),
        "skipped": [refused.to_dict() for refused in result.skipped],
        "ground_truth": str(labels.annotations.source) if labels else None,
        "written": list(result.written),
        "seconds": round(result.seconds, 3),
        "images_per_second": round(result.images_per_second, 3),
        "versions": versions(),
    }
