"""Images that an export is compared on, and others that 8-bit integers are calibrated on and their layers chosen on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from config import ExportConfig
from utils.data.dataset_folder import open_dataset, open_test_images
from utils.data.images import measure_depth
from utils.data.listing import list_images
from utils.errors import InputError
from utils.inference.chosen import depth_of
from utils.inference.export.parity import ParityImage, draw_parity_images, read_parity_images
from utils.inference.ground_truth import GroundTruth
from utils.inference.systems.system import Size
from utils.weights.weights_file import WeightsFile

COMPARED, COMPARED_INT8 = 16, 128  # images, unless -num_of_images says otherwise
# Of those to calibrate on: NNCF looks at each number of each layer, some 10 s for a megapixel.
MOST_CALIBRATED, FEWEST_CALIBRATED = 4_000_000, 16  # pixels, images

One = TypeVar("One")


@dataclass(frozen=True)
class Others:
    """Images for 8-bit integers that the export is not compared on.

    Attributes:
        calibrated: whose numbers fix the ranges.
        chosen_on: by which layers are chosen that stay in floating point.
    """

    calibrated: Sequence[ParityImage] = ()
    chosen_on: Sequence[ParityImage] = ()


def read_examples(config: ExportConfig, weights: WeightsFile) -> tuple[list[ParityImage], Others]:
    """Read the images to compare on, and for 8-bit integers as many others for either purpose.

    Raises:
        InputError: no images, too few of them, or none that can be read.
    """
    channels, number = weights.spec.channels, config.num_of_images or (COMPARED_INT8 if config.int8 else COMPARED)
    if config.dir is not None and config.images is not None:
        raise InputError("give -dir DATASET_FOLDER or -images FOLDER_OR_FILE, one of them; both were given")
    labels, folder, with_defects = None, None, 0
    if config.dir is not None and (config.dir / "train.csv").is_file():
        dataset = open_dataset(config.dir)
        labels = GroundTruth(dataset.annotations, weights.spec, config.class_map)
        # Those with defects say more about a network than the many without.
        names = sorted(dataset.images, key=lambda name: not dataset.annotations.classes(name))
        paths, folder = [dataset.path(name) for name in names], dataset.image_dir
        with_defects = sum(bool(dataset.annotations.classes(name)) for name in names)
    elif config.dir is not None:
        paths = open_test_images(config.dir)
    elif config.images is not None:
        paths = [config.images] if config.images.is_file() else list_images(config.images)
        if not paths:
            raise InputError(f"-images {config.images}: holds no image files")
    else:
        return draw_parity_images(number, channels), Others()
    if config.int8 and len(paths) < 2:
        raise InputError("-int8: needs at least two images, one to calibrate on and one to compare on")
    wanted = 3 * number if config.int8 else number
    chosen = spread(paths[:with_defects], wanted)
    chosen += spread(paths[with_defects:], wanted - len(chosen))
    depth = measure_depth(chosen, depth_of(weights, config.bit_depth))
    if not config.int8:
        return read_parity_images(chosen, channels, labels, depth, folder), Others()
    compared, calibrated, chosen_on = (
        read_parity_images(chosen[turn::3], channels, labels, depth, folder) for turn in range(3)
    )
    return compared, Others(calibrated, chosen_on or calibrated)


def spread(listed: Sequence[One], count: int) -> list[One]:
    """Choose evenly from all over a list: neighbours may show the same, as the strips of a coil do."""
    if count >= len(listed):
        return list(listed)
    return [listed[index * len(listed) // count] for index in range(count)]


def of_size(examples: Sequence[ParityImage], size: Size) -> list[ParityImage]:
    """Leave out what a network that fixes the size cannot take."""
    return [example for example in examples if size in (None, example.pixels.shape[:2])]


def for_calibration(others: Sequence[ParityImage], size: Size) -> list[np.ndarray]:
    """Return ``(H, W, channels)`` uint8 images to calibrate on, no more than NNCF looks at in minutes.

    Raises:
        InputError: the network fixes the size, and no image has it.
    """
    fitting = of_size(others, size)
    if size is not None and not fitting:
        raise InputError(
            f"-int8: this architecture fixes the size, to {size[0]}x{size[1]} here, and no image to calibrate on has it;"
            " give more images of this size with -dir or -images"
        )
    pixels = max((example.pixels[..., 0].size for example in fitting), default=1)
    kept = spread(fitting, max(FEWEST_CALIBRATED, MOST_CALIBRATED // pixels))
    return [example.pixels for example in kept]
