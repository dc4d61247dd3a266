"""What it costs to bring an image from its file to the network in training, part by part and as a whole.

The parts are timed one after the other on each image, in one thread, by processor time, so that a busy machine does not add to
them; the figure is the median over images and rounds.
Where the project does something otherwise than usual, the usual way stands below it. The loader as a whole is timed over
epochs that take turns with its other settings.

    python benchmarks/loader.py -dir demo/strips -image_size 256,768
    python benchmarks/loader.py -dir demo/strips -image_size native -crop 256,256 -out benchmarks/results/loader.csv
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.data import rle, transforms
from utils.data.dataset import LabelledImage, collate
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.decoded import ImageFiles, decode_once
from utils.data.images import read_image
from utils.data.rectangles import Rectangles, draw
from utils.training.loaders import close, make_loaders

PACKAGES = ("torch", "numpy", "opencv-python-headless", "pillow", "albumentations")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder")
    image_size: tuple[int, int] | None = flag("H,W in pixels, or native", (256, 768))
    crop: tuple[int, int] | None = flag("H,W in pixels of random training crops, or native", None)
    augmentation: str = flag("published, flips or none", "published")
    num_of_images: int = flag("images of an epoch", 64, low=8)
    batch_size: int = flag("images a step", 8, low=1)
    rounds: int = flag("epochs of each setting, in turn", 3, low=1)
    out: Path = flag("CSV file to append to", Path("benchmarks/results/loader.csv"))


class Stopwatch:
    """Milliseconds of each part, image by image."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def __call__(self, part: str, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        started = time.thread_time()
        result = work(*arguments, **named)
        self.times.setdefault(part, []).append(1000 * (time.thread_time() - started))
        return result

    def medians(self) -> dict[str, float]:
        return {part: statistics.median(times) for part, times in self.times.items()}


def parts(config: LoaderConfig, dataset: Dataset, names: list[str]) -> dict[str, float]:
    """Time each part on each image."""
    watch = Stopwatch()
    files = ImageFiles(dataset, 3, config.image_size)
    cached = {where: decode_once(where, files, names, None, progress=False) for where in ("ram", "disk")}
    augmentations = single_augmentations()
    annotations = dataset.annotations
    for name in names * config.rounds:
        decoded = watch("decode the file", read_image, dataset.path(name))
        own = decoded.shape[:2]
        size = config.image_size or own
        image = watch("resize the image", transforms.resize, decoded, *size)
        for where, source in cached.items():
            watch(
                f"instead of both: read from -cache {where}",
                lambda source, name: source.read(name)[0].copy(),
                source,
                name,
            )
        defects = watch("read the runs", annotations.defects, name, *own)
        masks = watch("resize and draw the masks", resize_and_draw, defects, size)
        drawn = watch("usual: draw the masks, then resize them", usual, dataset, name, own, size)
        assert np.array_equal(drawn, masks)
        if config.crop:
            random, whole = np.random.default_rng(0), (image, masks)
            image, masks = watch(
                "choose the crop from the runs, draw it", crop_by_runs, image, defects, size, config.crop, random
            )
            watch("usual: choose the crop from the masks", crop_by_masks, whole[1], config.crop, random)
            non_empty = A.CropNonEmptyMaskIfExists(*config.crop)
            watch("usual: CropNonEmptyMaskIfExists", non_empty, image=whole[0], mask=whole[1])
        for title, augment in augmentations.items():
            watch(f"augmentation {title}", augment, image=image, mask=masks)
        watch("augmentation blackout", transforms.black_out, image, masks, 1.0, np.random.default_rng(0))
        watch("collate (a batch)", collate, [LabelledImage(image, masks, None, name)] * config.batch_size)
    medians = watch.medians()
    medians["collate"] = medians.pop("collate (a batch)") / config.batch_size
    return medians


def resize_and_draw(defects: list[Rectangles], size: tuple[int, int]) -> np.ndarray:
    """Do as ``StripDataset`` does without a crop."""
    return draw([part.resized(*size) for part in defects])


def usual(dataset: Dataset, name: str, own: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Draw whole masks and resize them."""
    height, width = own
    masks = np.zeros((height, width, dataset.annotations.num_classes), np.uint8)
    for class_id, code in dataset.annotations.runs(name).items():
        masks[..., class_id - 1] = rle.decode(code, height, width)
    if (height, width) == size:
        return masks
    rows = np.minimum((np.arange(size[0]) + 0.5) * height / size[0], height - 1).astype(np.intp)
    columns = np.minimum((np.arange(size[1]) + 0.5) * width / size[1], width - 1).astype(np.intp)
    return masks[rows[:, None], columns]


def crop_by_runs(image, defects, size, crop, random) -> tuple[np.ndarray, np.ndarray]:
    """Cut as ``StripDataset`` does, always on a defect."""
    resized = [part.resized(*size) for part in defects]
    top, left = transforms.crop_window(resized, *crop, 1.0, random)
    window = image[top : top + crop[0], left : left + crop[1]]
    return transforms.pad(window, draw([part.window(top, left, *crop) for part in resized]), *crop)


def crop_by_masks(masks: np.ndarray, crop: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Draw a class, one of its pixels, and a window around it, from the whole masks."""
    present = np.flatnonzero(masks.any(axis=(0, 1)))
    row = column = 0
    if present.size:
        row, column = divmod(int(random.choice(np.flatnonzero(masks[:, :, random.choice(present)]))), masks.shape[1])
    top, left = min(row, max(masks.shape[0] - crop[0], 0)), min(column, max(masks.shape[1] - crop[1], 0))
    return masks[top : top + crop[0], left : left + crop[1]]


def single_augmentations() -> dict[str, A.Compose]:
    """Each augmentation on its own, always applied, and the recipes with their probabilities."""
    border = cv2.BORDER_REFLECT_101
    shift = {"x": (-0.0625, 0.0625), "y": (-0.0625, 0.0625)}
    alone = {
        "HorizontalFlip": A.HorizontalFlip(p=1),
        "VerticalFlip": A.VerticalFlip(p=1),
        "Affine": A.Affine(scale=(0.9, 1.1), translate_percent=shift, border_mode=border, p=1),
        "RandomBrightnessContrast": A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=1),
        "GridDistortion": A.GridDistortion(p=1),
        "OpticalDistortion": A.OpticalDistortion(p=1),
    }
    made = {title: A.Compose([step]) for title, step in alone.items()}
    for name in ("published", "flips"):
        whole = transforms.augmentation(name)
        assert whole is not None
        whole.set_random_seed(0)
        made[f"{name} (a mixture, by chance)"] = whole
    return made


def wholes(config: LoaderConfig, dataset: Dataset, names: list[str]) -> dict[tuple[int, str], float]:
    """Return images per second of the loader by workers and cache; the first epoch of each, which starts workers, is left out."""
    files = ImageFiles(dataset, 3, config.image_size)
    caches = {
        where: None if where == "none" else decode_once(where, files, names, None, progress=False)
        for where in ("none", "ram", "disk")
    }
    loaders = {}
    for workers in (0, 1, 2):
        for where, images in caches.items():
            settings = TrainConfig(
                dir=config.dir,
                image_size=config.image_size,
                crop=config.crop,
                augmentation=config.augmentation,  # type: ignore[arg-type]
                batch_size=config.batch_size,
                num_of_workers=workers,
            )
            loaders[workers, where] = make_loaders(settings, dataset, names, names[:1], 0, 1, False, images)
    speeds: dict[tuple[int, str], list[float]] = {setting: [] for setting in loaders}
    for number in range(config.rounds + 1):
        for setting, made in loaders.items():
            made["train"].batch_sampler.set_epoch(number + 1)
            started = time.perf_counter()
            count = sum(len(batch["names"]) for batch in made["train"])
            if number:
                speeds[setting].append(count / (time.perf_counter() - started))
    for made in loaders.values():
        close(made)
    return {setting: statistics.median(values) for setting, values in speeds.items()}


def main(argv: Sequence[str]) -> int:
    """Measure, print and append to the CSV."""
    config = parse(
        LoaderConfig, argv, "loader.py", "Time the way of an image from its file to the network in training."
    )
    cv2.setNumThreads(1)
    dataset = open_dataset(config.dir)
    # Images with a defect first: a clean one costs nothing where masks are concerned.
    defective = [name for name in dataset.images if dataset.annotations.runs(name)]
    clean = [name for name in dataset.images if not dataset.annotations.runs(name)]
    names = [*defective, *clean][: config.num_of_images]
    what = {
        "image_size": "native" if config.image_size is None else "{}x{}".format(*config.image_size),
        "crop": "none" if config.crop is None else "{}x{}".format(*config.crop),
        "classes": dataset.annotations.num_classes,
        "images": len(names),
    }
    machine = facts(1, *PACKAGES)
    rows = []
    for part, milliseconds in parts(config, dataset, names).items():
        print(f"{milliseconds:9.3f} ms  {part}")
        rows.append(
            {
                "part": part,
                **what,
                "workers": "",
                "ms_per_image": f"{milliseconds:.3f}",
                "images_per_second": "",
                **machine,
            }
        )
    for (workers, where), speed in wholes(config, dataset, names).items():
        print(f"{speed:9.1f} images/s  {workers} workers, -cache {where}, augmentation {config.augmentation}")
        part = f"loader, -cache {where}, augmentation {config.augmentation}"
        row = {"ms_per_image": f"{1000 / speed:.3f}", "images_per_second": f"{speed:.1f}"}
        rows.append({"part": part, **what, "workers": workers, **row, **machine})
    write_rows(config.out, rows)
    return DONE


if __name__ == "__main__":
    run(main)
