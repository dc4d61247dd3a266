"""Read index masks: one image per picture whose pixel values are class numbers, 0 for background."""

import numpy as np

from config import ConvertConfig
from utils.data import rle
from utils.data.annotations import read_class_names
from utils.data.convert.labels import Labels, by_stem, in_threads, some, upright_size
from utils.data.images import read_index_mask
from utils.data.tables import CLASSES_FILE
from utils.errors import InputError

BINARY = 255  # what black and white masks have instead of 1


def read_index_masks(config: ConvertConfig) -> Labels:
    """Pair images and masks by name and encode the masks.

    Args:
        config: ``images``, ``masks`` (may be missing for a test set) and ``class_names`` (None: those of the dataset
            folder that ``dir`` names, or numbers).

    Raises:
        InputError: an image without a mask, a mask of another size, or a value that is no class.
    """
    if config.images is None:
        raise InputError("convert -from index-masks needs -images FOLDER")
    images = by_stem(config.images)
    names = config.class_names or read_class_names(config.dir)
    if config.masks is None:
        if config.split == "train":
            raise InputError("convert -from index-masks needs -masks FOLDER; only -split test may do without")
        return Labels(list(images.values()), {}, names, labelled=False)
    masks = by_stem(config.masks)
    missing = [images[stem].name for stem in images if stem not in masks]
    if missing:
        raise InputError(f"{config.masks}: no mask for {some(missing)}; a clean image needs a mask of zeros")

    def encode(stem: str) -> dict[int, str]:
        mask = read_index_mask(masks[stem])
        size = upright_size(images[stem])
        if mask.shape != size:
            is_size = "x".join(map(str, mask.shape))
            raise InputError(
                f"{masks[stem]}: is {is_size}, but {images[stem].name} is {size[0]}x{size[1]}; they must match"
            )
        return {int(value): rle.encode(mask == value) for value in np.unique(mask) if value}

    stems = list(images)
    encoded = dict(zip(stems, in_threads(encode, stems, "reading masks"), strict=True))
    values = {value for codes in encoded.values() for value in codes}
    if values == {BINARY} and len(names or ("1",)) == 1:
        encoded = {stem: {1: codes[BINARY]} if codes else {} for stem, codes in encoded.items()}
        values = {1}
    _check_values(config, names, values, encoded)
    unused = [masks[stem].name for stem in masks if stem not in images]
    notes = [f"left out {len(unused)} masks without an image: {some(unused)}"] if unused else []
    codes = {images[stem].name: encoded[stem] for stem in stems}
    names = names or tuple(str(k) for k in range(1, max(values, default=0) + 1))
    return Labels(list(images.values()), codes, names, notes)


def _check_values(
    config: ConvertConfig, names: tuple[str, ...] | None, values: set[int], encoded: dict[str, dict[int, str]]
) -> None:
    """Refuse values that are no class: grey levels are a likelier reading than 200 classes."""
    if not values and not names:
        raise InputError(f"{config.masks}: every mask is empty; name the classes by -class_names")
    most = len(names or values)
    wrong = sorted(value for value in values if value > most)
    if wrong:
        stem = next(stem for stem, codes in encoded.items() if wrong[0] in codes)
        remedy = "number the classes 1, 2, 3, ... or name them all"
        if config.class_names:
            said = f"-class_names has {most}"
        elif names:
            said = f"{config.dir / CLASSES_FILE} has {','.join(names)}"
            remedy = "correct the masks or choose another -dir"
        else:
            said = f"the masks have {most} values besides 0"
        raise InputError(f"{config.masks}/{stem}: pixel value {wrong[0]}, but {said}; {remedy}")
