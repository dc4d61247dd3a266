"""Read index masks: one image per picture whose pixel values are class numbers, 0 for background."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from config import ConvertConfig
from utils.data import rle
from utils.data.convert.labels import Labels, Skipping, by_stem, refuse_other_size, some, upright_size
from utils.data.convert.mask_files import BINARY, REMEDY, MaskFile, number_colours, read_mask, value_numbers
from utils.data.convert.pairs import find_pairs
from utils.data.folder_layout import read_class_names
from utils.data.tables import CLASSES_FILE
from utils.errors import InputError
from utils.text import plural


def read_index_masks(config: ConvertConfig) -> Labels:
    """Pair images and masks by name and encode the masks.

    Args:
        config: ``images``, ``masks`` (may be missing for a test set, may be the same folder), ``class_names`` (None:
            those of the dataset folder that ``dir`` names, or numbers), what the values mean (``mask_threshold``,
            ``mask_values``, ``ignore_value``) and ``skip_bad``.

    Raises:
        InputError: an image without a mask, a mask of another size, or a value that is no class.
    """
    if config.images is None:
        raise InputError("convert -from index-masks needs -images FOLDER")
    numbers = value_numbers(config)
    names = config.class_names or read_class_names(config.dir)
    if config.masks is None:
        if config.split == "train":
            raise InputError("convert -from index-masks needs -masks FOLDER; only -split test may do without")
        listed = by_stem(config.images, apart=[config.dir]).values()
        return Labels({name: config.images / name for name in listed}, {}, names, labelled=False)
    if config.mask_threshold is not None and len(names or ("1",)) > 1:
        raise InputError(f"-mask_threshold: gives one class, but {len(names or ())} have names; take -mask_values")
    folder = config.images
    pairs = find_pairs(folder, config.masks, config.dir)
    images, masks, unused = pairs.images, pairs.masks, pairs.unused
    skipping = Skipping(config.skip_bad)
    missing = [images[stem] for stem in images if stem not in masks and images[stem] not in pairs.good]
    if missing:
        error = InputError(f"{config.masks}: no mask for {some(missing)}; a clean image needs a mask of zeros")
        for name in missing:
            skipping.leave_out(name, error)

    def read(stem: str) -> MaskFile:
        refuse_other_size(masks[stem], images[stem], upright_size(folder / images[stem]))
        return read_mask(masks[stem], config, len(names or ()))

    there = [stem for stem in images if stem in masks]
    found = skipping.try_each(read, there, lambda stem: images[stem], "reading masks")
    found, notes = _numbered_by_colour(found, masks, names is not None)
    values = {value for mask in found.values() for value in mask.codes}
    if values == {BINARY} and len(names or ("1",)) == 1 and numbers is None:
        found = {
            stem: replace(mask, codes={1: mask.codes[BINARY]} if mask.codes else {}) for stem, mask in found.items()
        }
        values = {1}
    if config.mask_threshold is not None and not values:
        _refuse_levels_below(config, config.mask_threshold, {level for mask in found.values() for level in mask.levels})
    found = _check_values(config, names, values, found, lambda stem: images[stem], skipping)
    if numbers is not None and len(numbers) > 2 and any(mask.lossy for mask in found.values()):
        notes.append(
            "JPEG masks: each pixel took the nearest of -mask_values, at borders perhaps that of another class"
        )
    if unused:
        notes.append(f"left out {len(unused)} masks without an image: {some(unused)}")
    ignored = {images[stem]: mask.ignored for stem, mask in found.items() if mask.ignored}
    if ignored:
        notes.append(f"ignored pixels (-ignore_value {config.ignore_value}) in {plural(len(ignored), 'image')}")
    codes = {images[stem]: mask.codes for stem, mask in found.items()}
    if pairs.good:
        codes |= {name: {} for name in pairs.good}
        notes.append(f"{plural(len(pairs.good), 'image')} without a mask in a folder of good ones: {some(pairs.good)}")
    labelled = sum(int(rle.parse(code)[:, 1].sum()) for mask in found.values() for code in mask.codes.values())
    pixels = sum(height * width for height, width in (mask.shape for mask in found.values()))
    if labelled > pixels / 2:
        notes.append(f"warning: {labelled / pixels:.0%} of all pixels are labelled as defects; are the masks inverted?")
    largest = max(values, default=0) if numbers is None else len(numbers) - 1
    names = names or tuple(str(k) for k in range(1, largest + 1))
    kept = {name: folder / name for name in (sorted(codes) if pairs.good else codes)}
    return Labels(kept, codes, names, notes, ignored=ignored, left_out=skipping.left_out)


def _numbered_by_colour(
    found: dict[str, MaskFile], masks: dict[str, Path], named: bool
) -> tuple[dict[str, MaskFile], list[str]]:
    """Give the masks whose palettes differ one numbering, by colour, and tell it."""
    numbered = number_colours({str(masks[stem]): mask for stem, mask in found.items()}, named)
    if numbered is None:
        return found, []
    numbers, base = numbered
    changed = {}
    for stem, mask in found.items():
        colours = mask.colours or {}
        of_value = {0: mask.zeros, **mask.codes}
        codes = {numbers[colour]: of_value[value] for value, colour in colours.items()}
        changed[stem] = replace(mask, codes={number: code for number, code in sorted(codes.items()) if number})
    told = ", ".join(f"{number} = #{bytes(colour).hex()}" for colour, number in sorted(numbers.items(), key=_number))
    return changed, [f"the palettes of the masks differ; numbered by colour as in {Path(base).name}: {told}"]


def _number(item: tuple[tuple[int, ...], int]) -> int:
    return item[1]


def _refuse_levels_below(config: ConvertConfig, threshold: int, levels: set[int]) -> None:
    """Refuse a threshold that finds no defect in masks that are not black."""
    largest = max(levels, default=0)
    if not largest:
        return
    remedy = f"give -mask_threshold {(largest + 1) // 2}"
    if largest >= threshold:  # what reaches it has the value to ignore
        remedy = f"leave out -ignore_value {config.ignore_value}, which all of them from {threshold} on have"
    raise InputError(
        f"{config.masks}: no mask has a defect by -mask_threshold {threshold}, their grey levels are"
        f" {some(map(str, sorted(levels)), 5)}; {remedy}"
    )


def _check_values(
    config: ConvertConfig,
    names: tuple[str, ...] | None,
    values: set[int],
    found: dict[str, MaskFile],
    name_of: Callable[[str], str],
    skipping: Skipping,
) -> dict[str, MaskFile]:
    """Refuse or leave out masks with values that are no class: grey levels are a likelier reading than 200 classes."""
    if not values and not names and config.mask_values is None:
        raise InputError(f"{config.masks}: every mask is empty; name the classes by -class_names")
    most = len(names or values) if config.mask_values is None else max(len(config.mask_values) - 1, len(names or ()))
    most = max(most, 1) if config.mask_threshold is not None else most
    kept = {}
    for stem, mask in found.items():
        wrong = sorted(value for value in mask.codes if value > most)
        if not wrong:
            kept[stem] = mask
            continue
        remedy = f"number the classes 1, 2, 3, ... or name them all; {REMEDY}"
        if config.class_names:
            said = f"-class_names has {most}"
        elif names:
            said = f"{config.dir / CLASSES_FILE} has {','.join(names)}"
            remedy = "correct the masks or choose another -dir"
        else:
            said = f"the masks have {most} values besides 0"
        if wrong[0] == BINARY and config.ignore_value is None:
            remedy += f", or -ignore_value {BINARY} where it marks what does not count"
        error = InputError(f"{config.masks}/{stem}: pixel value {wrong[0]}, but {said}; {remedy}")
        if not names:  # it is not this mask that is wrong, but all of them together
            raise error
        skipping.leave_out(name_of(stem), error)
    return kept
