"""The page about a dataset: what ``utils.data.exploration`` gathered, as sections of a report."""

import io
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from PIL import Image

from utils.data.dataset_folder import Dataset
from utils.data.exploration.examples import choose_clean, choose_examples, shrunk_example
from utils.data.exploration.folder import Exploration
from utils.data.exploration.images import BRIGHT, DARK
from utils.data.exploration.labels import FEW
from utils.data.listing import TRAIN_IMAGES
from utils.reporting import exploration_plots as plots
from utils.reporting.overlays import class_label, draw_legend, draw_masks
from utils.reporting.page import Heading, Numbers, Picture, Plot, Row, Section, Table, Text, cell
from utils.text import plural

GROUPS, MEMBERS = 4, 4  # near-duplicates shown: groups, and images of each
AREA_TITLES = ("", "number", "mean", "std", "min", "2 %", "25 %", "median", "75 %", "98 %", "max")
NEEDS_SIZE = "Not known: there are no images to tell their size. Give it with -image_size H,W."


def sections(found: Exploration, examples: int, seen: Callable[[], object] = lambda: None) -> list[Section]:
    """Make the sections of the page.

    Args:
        found: the figures.
        examples: images to show of each class.
        seen: called after each image that was drawn, for a progress bar.
    """
    names = [class_label(name, k) for k, name in enumerate(found.labels.class_names)]
    return [
        Section("Overview", _overview(found)),
        Section("Classes", _classes(found, names)),
        Section("Areas", _areas(found, names)),
        Section("Classes together", _together(found, names)),
        Section("Places", _places(found, names)),
        Section("Images", _images(found, names)),
        Section("Near-duplicates", _near_duplicates(found, seen)),
        Section("Examples", _examples(found, names, examples, seen)),
    ]


def lead(found: Exploration) -> str:
    """Describe in one sentence what was looked at."""
    what = "images and labels" if found.dataset else "labels alone, there are no images"
    return f"{what} of {found.root}"


def _overview(found: Exploration) -> list:
    labels = found.labels
    with_defect = labels.images - labels.clean
    shown = int(labels.images_per_class().sum())
    values = {
        "images": labels.images,
        "with a defect": with_defect,
        "clean": labels.clean if found.clean_known else None,
        "classes": len(labels.class_names),
        "pairs of image and class": shown,
        "connected defects": None if labels.defects is None else len(labels.defects),
        "defective pixels": None if not labels.pixels else f"{labels.union / labels.pixels:.2%}",
        "empty baseline": 1 - shown / (labels.images * len(labels.class_names)) if found.clean_known else None,
    }
    notes = {
        "with a defect": _share(with_defect, labels.images) if found.clean_known else "",
        "clean": _share(labels.clean, labels.images) if found.clean_known else "not listed in the table",
        "pairs of image and class": "where there is a defect",
        "connected defects": "8 neighbours" if labels.defects is not None else "needs -image_size H,W",
        "defective pixels": _of_which_images(found),
        "empty baseline": "mean Dice of predicting nothing",
    }
    parts: list = [Numbers(values, notes)]
    if found.dataset is None:
        parts.append(Text(f"There is no {TRAIN_IMAGES}/ in {found.root}: what needs pixels of images is left out."))
    return parts


def _classes(found: Exploration, names: Sequence[str]) -> list:
    labels = found.labels
    images, pixels = labels.images_per_class(), labels.pixels_per_class()
    defects = labels.defect_table()
    rows: list[list] = [
        [
            name,
            int(images[k]),
            _percent(images[k], labels.images) if found.clean_known else None,
            None if defects is None else int(defects["count"].iloc[k]),
            int(pixels[k]),
            _percent(pixels[k], labels.pixels),
            _percent(pixels[k], pixels.sum()),
        ]
        for k, name in enumerate(names)
    ]
    if labels.pixels:
        background = labels.background or 0
        clean = [labels.clean, _percent(labels.clean, labels.images)] if found.clean_known else [None, None]
        rows.append(["no defect", *clean, None, background, _percent(background, labels.pixels), None])
    numbers = labels.images_per_number()
    columns = ["class", "images", "% of images", "connected defects", "pixels", "% of pixels", "% of defective pixels"]
    return [
        Table(
            columns,
            rows,
            "Images and pixels of each class; % of pixels: of all images, clean ones included."
            if found.clean_known
            else "Images and pixels of each class; % of pixels: of the images with a defect, since clean ones are not listed.",
            digits=2,
        ),
        Row(
            [
                Plot(plots.images_per_class(labels, names), "images per class", "Images that show the class."),
                Plot(
                    plots.images_per_number(labels, found.clean_known),
                    "images per number of classes",
                    _in_words(numbers, found.clean_known),
                ),
                Plot(
                    plots.pixels(labels, names),
                    "pixels per class",
                    "Pixels of each class and of none; every line of the scale is ten times the one below.",
                ),
            ]
        ),
    ]


def _areas(found: Exploration, names: Sequence[str]) -> list:
    labels = found.labels
    parts: list = [
        Text(
            "-min_area bounds a connected defect: choose it by the second table, areas of defects. The first table adds up "
            "all defects of a class in an image; published solutions took their limits from such sums. Its 2nd percentile is "
            "above many a whole defect."
        ),
        Text(
            "Take no largest area from here. The largest defects are the longest and gravest ones, and a limit at the 98th "
            "percentile deletes them. -max_area is for what a network makes up: let Evaluate.py -calibrate choose it."
        ),
    ]
    if few := labels.few():
        counts = ", ".join(f"{class_label(name, 0)} {count:,}" for name, count in few.items())
        parts.append(
            Text(
                f"Warning: of fewer than {FEW} areas the 2nd and the 98th percentile are little more than the smallest and the "
                f"largest, and move with every image that is added. Images or defects: {counts}."
            )
        )
    parts += [
        Heading("Area of a class in an image"),
        Table(AREA_TITLES, _area_rows(labels.area_table(), names), "All defects of the class together, px", digits=0),
        Row(
            [Plot(figure, f"areas in an image of {name}") for name, figure in plots.areas(labels.areas, names, "image")]
        ),
        Heading("Area of a connected defect"),
    ]
    defects, deleted = labels.defect_table(), labels.deleted()
    if labels.defects is None or defects is None or deleted is None:
        return [*parts, Text(NEEDS_SIZE)]
    rows = [
        [name, int(count), *map(int, lost)]
        for name, count, lost in zip(names, defects["count"], deleted.to_numpy(), strict=True)
    ]
    columns = [
        "class",
        "labelled defects",
        "below 2 % of an image's sums",
        "below 2 % of defects",
        "above 98 % of defects",
    ]
    return [
        *parts,
        Table(AREA_TITLES, _area_rows(defects, names), "Each defect by itself (8 neighbours), px", digits=0),
        Table(columns, rows, "Labelled defects that such limits would delete"),
        Row(
            [
                Plot(figure, f"areas of defects of {name}")
                for name, figure in plots.areas(labels.defects, names, "defect")
            ]
        ),
    ]


def _together(found: Exploration, names: Sequence[str]) -> list:
    return [
        Plot(
            plots.together(found.labels, names),
            "images with two classes",
            "Images that show both classes; on the diagonal, those that show the class.",
        )
    ]


def _places(found: Exploration, names: Sequence[str]) -> list:
    if found.labels.maps is None:
        return [Text(NEEDS_SIZE)]
    return [
        Text(
            "Where on the image each class lies: the share of the images with the class in which a place belongs to it."
        ),
        Row([Plot(figure, f"places of {name}") for name, figure in plots.places(found.labels, names)]),
    ]


def _images(found: Exploration, names: Sequence[str]) -> list:
    images = found.images
    if images is None:
        return [_no_images(found)]
    sizes = images.sizes()
    colour = int(images.table["colour"].sum())
    rows = [[f"{height} x {width}", count] for height, width, count in sizes.head(10).to_numpy().tolist()]
    if len(sizes) > 10:
        rows.append([f"{len(sizes) - 10} other sizes", int(sizes["images"].iloc[10:].sum())])
    light = images.light_table()
    light.loc[["dark", "bright"]] *= 100
    titles = {
        "mean": "mean grey value, 0..255",
        "std": "standard deviation of the grey values",
        "dark": f"dark pixels (grey value up to {DARK}), %",
        "bright": f"bright pixels (grey value from {BRIGHT} on), %",
    }
    light_rows = [[titles[str(name)], *map(float, row)] for name, row in light.iterrows()]
    grey_rows = [
        [name, row.pixels, row.mean_, row.std_]
        for name, row in zip(
            ["no defect", *names],
            images.grey_table().rename(columns={"mean": "mean_", "std": "std_"}).itertuples(),
            strict=True,
        )
    ]
    return [
        Text(
            "All images are grey (three equal channels count as grey)."
            if not colour
            else f"{colour:,} of {len(images.table):,} images are in colour; their grey value is what is described here."
        ),
        Row(
            [
                Table(["height x width, px", "images"], rows, "Sizes"),
                Table(
                    ["", "pixels", "mean", "std"], grey_rows, "Grey values outside and inside of the defects", digits=1
                ),
            ]
        ),
        Table(
            ["of an image", "mean", "min", "25 %", "median", "75 %", "max"],
            light_rows,
            "Light, over all images",
            digits=1,
        ),
        Row(
            [
                Plot(
                    plots.brightness(images, set(found.labels.areas["image"])),
                    "mean grey value of images",
                    "Mean grey value of the images with and without a defect. Where the curves part, a network may learn the light instead of the defect.",
                ),
                Plot(
                    plots.grey_values(images, names),
                    "grey values of defects",
                    "Grey values of the pixels of each class and of none.",
                ),
            ]
        ),
    ]


def _near_duplicates(found: Exploration, seen: Callable[[], object]) -> list:
    if found.dataset is None:
        return [_no_images(found)]
    if found.groups is None:
        return [Text("Not looked for, since -near_duplicates was false.")]
    groups = found.largest_groups(len(found.groups))
    if not groups:
        return [Text("None found: no two images show the same piece of strip, flipped or shifted.")]
    inside = sum(map(len, groups))
    parts: list = [
        Text(
            f"{inside:,} of {len(found.groups):,} images show the same piece of strip as another one, flipped, turned or shifted, "
            f"in {plural(len(groups), 'group', ',')}; the largest has {len(groups[0])}. Training keeps a group on one side "
            "of the split, since the validation score flatters otherwise. exploration.json lists them all."
        )
    ]
    for number, group in enumerate(groups[:GROUPS], 1):
        pictures = [_picture(found.dataset, name, name, seen) for name in group[:MEMBERS]]
        parts += [Heading(f"Group {number}: {len(group)} images"), _gallery(pictures)]
    return parts


def _examples(found: Exploration, names: Sequence[str], count: int, seen: Callable[[], object]) -> list:
    dataset, areas = found.dataset, found.labels.areas
    if dataset is None:
        return [_no_images(found)]
    if not count:
        return [Text("Left out, since -examples was 0.")]
    legend = draw_legend(found.labels.class_names, 800)
    parts: list = [
        Text("Images of each class by rising area, from the small to the large ones, with the outlines of the labels."),
        Picture.of_pixels(legend, "colours of the classes"),
    ]
    by_pair = areas.set_index(["class_id", "image"])["area"]
    for class_id, name in enumerate(names, 1):
        chosen = choose_examples(areas, class_id, count)
        pictures = [
            _picture(dataset, image, f"{image}: {cell(int(by_pair[class_id, image]))} px", seen) for image in chosen
        ]
        parts += [Heading(name if chosen else f"{name}: no image shows it"), *([_gallery(pictures)] if chosen else [])]
    clean = choose_clean(list(dataset.images), areas, count)
    if clean:
        parts += [Heading("no defect"), _gallery([_picture(dataset, image, image, seen) for image in clean])]
    return parts


def pictures_to_draw(found: Exploration, examples: int) -> int:
    """Count the images that ``sections`` will draw."""
    if found.dataset is None:
        return 0
    groups = sum(min(len(group), MEMBERS) for group in found.largest_groups(GROUPS))
    return groups + int(np.minimum(found.labels.images_per_class(), examples).sum()) + min(found.labels.clean, examples)


def _picture(dataset: Dataset, name: str, caption: str, seen: Callable[[], object]) -> Picture:
    image, masks = shrunk_example(dataset, name)
    seen()
    return Picture.of_pixels(draw_masks(image, masks), f"{name} with outlines of its defects", caption)


def _gallery(pictures: list[Picture]) -> Row:
    """Put pictures beside each other, four a line when they are small and two when they are long."""
    width = max(_width(picture.data) for picture in pictures)
    return Row(pictures, min(480, max(200, width)))


def _width(data: bytes) -> int:
    return Image.open(io.BytesIO(data)).width


def _no_images(found: Exploration) -> Text:
    return Text(f"Needs the images, and there is no {TRAIN_IMAGES}/ in {found.root}.")


def _area_rows(table: pd.DataFrame, names: Sequence[str]) -> list[list]:
    return [
        [name, int(row["count"]), *map(float, row.iloc[1:])]
        for name, (_, row) in zip(names, table.iterrows(), strict=True)
    ]


def _of_which_images(found: Exploration) -> str:
    """Say over which images the share of defective pixels is."""
    share = found.defective_share()
    if share is None:
        return "" if found.labels.pixels else "needs -image_size H,W"
    with_defect = found.labels.images - found.labels.clean
    if not found.clean_known:
        return f"of the {plural(with_defect, 'image', ',')} with a defect; clean ones are not listed"
    if not found.labels.clean:
        return f"of all {plural(with_defect, 'image', ',')}, none of them clean"
    return f"of all {found.labels.images:,} images; {share:.2%} of the {with_defect:,} with a defect"


def _percent(part: float, whole: float | None) -> float | None:
    return 100 * float(part) / float(whole) if whole else None


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} of the images" if whole else ""


def _in_words(numbers: np.ndarray, clean_known: bool) -> str:
    words = ["no class", "one class", "two classes", "three classes"]
    said = [
        f"{count:,} with {words[k] if k < len(words) else f'{k} classes'}"
        for k, count in enumerate(numbers.tolist())
        if k or clean_known
    ]
    return f"Images by the number of classes that they show: {', '.join(said)}."
