"""The page about copies: pairs side by side, the copy turned back and shifted, and where their labels differ."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from utils.data.duplicates.copies import ALIKE, DISAGREE, WHOLE, Copies, Copy, laid_on, masks_of
from utils.data.duplicates.symmetry import NAMES
from utils.data.exploration.examples import shrunk
from utils.data.images import read_image
from utils.reporting.overlays import class_label, draw_agreement, draw_legend, draw_masks
from utils.reporting.page import Heading, Numbers, Picture, Row, Section, Table, Text
from utils.text import plural

WORDS = ("both", "image", "copy")  # whose label a pixel has
LONG = 2  # width by height from which pictures stand below each other


def sections(
    copies: Copies, counts: Sequence[tuple[str, int, int]], examples: int, seen: Callable[[], object] = lambda: None
) -> list[Section]:
    """Make the sections of the page.

    Args:
        copies: what was found.
        counts: of sets of images in words, how many have a copy, and how many there are.
        examples: pairs to show of each kind.
        seen: called after each pair that was drawn, for a progress bar.
    """
    found = [Section("Overview", _overview(copies, counts))]
    if copies.found:
        differ, weak, sure = chosen(copies, examples)
        kinds = (
            (
                "Labels that differ",
                differ,
                f"Copies whose pixels agree (correlation from {ALIKE}) and whose labels do not (IoU below {DISAGREE}), those"
                " that differ most first. Both images show the same steel, so that one of the labels is wrong, or both are.",
            ),
            ("Weakest links", weak, "Copies whose pixels agree least: look whether they are copies at all."),
            ("Surest copies", sure, "Copies whose pixels agree best."),
        )
        for title, pairs, words in kinds:
            if title != "Labels that differ" or copies.class_names:
                found.append(Section(title, _shown(copies, pairs, words, seen)))
    return found


def chosen(copies: Copies, examples: int) -> tuple[list[Copy], list[Copy], list[Copy]]:
    """Choose the pairs to show: of labels that differ, the weakest and the surest; no pair twice."""
    differ = sorted((copy for copy in copies.found if copy.disagrees), key=lambda copy: -_difference(copies, copy))
    differ = differ[:examples]
    others = [copy for copy in copies.found if not any(copy is one for one in differ)]
    weak = sorted(others, key=lambda copy: copy.pixels)[: min(examples, len(others) // 2)]
    sure = [copy for copy in others if not any(copy is one for one in weak)][:examples]
    return differ, weak, sure


def _difference(copies: Copies, copy: Copy) -> float:
    """Return the share of the smaller image's pixels whose labels differ."""
    assert copy.masks is not None
    return copy.masks.differing / float(copies.sizes[[copy.first, copy.second]].prod(axis=1).min())


def _overview(copies: Copies, counts: Sequence[tuple[str, int, int]]) -> list:
    comparable = sum(copy.comparable for copy in copies.found)
    differ = sum(copy.disagrees for copy in copies.found)
    whole = sum(copy.share >= WHOLE for copy in copies.found)
    values = {
        **{f"{what} with a copy": count for what, count, _ in counts},
        "pairs": len(copies.found),
        "labels that differ": differ if comparable else None,
    }
    notes = {
        **{f"{what} with a copy": f"of {total:,}" for what, _, total in counts},
        "pairs": f"{whole:,} of whole pictures, {len(copies.found) - whole:,} that overlap in part",
        "labels that differ": f"of {plural(comparable, 'labelled pair', ',')} whose pixels agree",
    }
    parts: list = [Numbers(values, notes)]
    if not copies.found:
        return [*parts, Text("No copies were found.")]
    turned = Counter((copy.symmetry, copy.share >= WHOLE) for copy in copies.found)
    rows = [
        [NAMES[symmetry], turned[symmetry, True], turned[symmetry, False]]
        for symmetry in sorted({one for one, _ in turned})
    ]
    columns = ["copy, to lie on the image", "whole pictures", "overlap in part"]
    caption = f"How copies lie. Whole: at least {WHOLE:.0%} of the smaller image is on both."
    return [*parts, Table(columns, rows, caption), Text("copies.csv beside this page has all pairs.")]


def _shown(copies: Copies, pairs: Sequence[Copy], words: str, seen: Callable[[], object]) -> list:
    if not pairs:
        return [Text("None.")]
    names = copies.class_names
    parts: list = [Text(words)]
    if names:
        parts.append(Picture.of_pixels(draw_legend(names, 800), "colours of the classes"))
    for number, copy in enumerate(pairs, 1):
        ends = (copies.members[copy.first], copies.members[copy.second])
        title = " and ".join(f"{end.name} ({end.side})" if end.side else end.name for end in ends)
        parts += [Heading(f"{number}. {title}"), _pair(copies, copy)]
        seen()
    return parts


def _pair(copies: Copies, copy: Copy) -> Row:
    """Draw a pair: the image, the copy as it lies on it, and where their labels differ."""
    ends = (copies.members[copy.first], copies.members[copy.second])
    sizes = copies.sizes[[copy.first, copy.second]].tolist()
    pictures, planes = [], []
    for end, size in zip(ends, sizes, strict=True):
        drawn = masks_of(end.images.labelled, end.name, copies.class_names, size) if end.images.labelled else None
        pictures.append(read_image(end.images.path(end.name)))
        planes.append(np.zeros((*size, 0), np.uint8) if drawn is None else drawn[0] * ~drawn[1][..., None])
    pictures[1], planes[1] = (laid_on(part, copy, sizes[0]) for part in (pictures[1], planes[1]))
    common = laid_on(np.ones(sizes[1], np.uint8), copy, sizes[0]) > 0
    (image, mine), (laid, its) = (
        shrunk(picture, np.ascontiguousarray(plane.transpose(2, 0, 1)))
        for picture, plane in zip(pictures, planes, strict=True)
    )
    moved = [
        f"{abs(shift)} px {word[shift < 0]}"
        for shift, word in ((copy.down, ("down", "up")), (copy.right, ("right", "left")))
        if shift
    ]
    way = ", ".join([NAMES[copy.symmetry], *([f"shifted {' and '.join(moved)}"] if moved else [])])
    agree = f"pixels correlate by {copy.pixels:.3f}, {copy.share:.0%} of the smaller image is on both"
    drawn_pictures = [
        Picture.of_pixels(draw_masks(image, mine), ends[0].name, ends[0].name),
        Picture.of_pixels(draw_masks(laid, its), ends[1].name, f"{ends[1].name}, {way}; {agree}"),
    ]
    if copy.masks is not None:
        _, (where,) = shrunk(pictures[0], common[None].astype(np.uint8))
        difference = draw_agreement(image, (its * where) > 0, (mine * where) > 0, WORDS)
        parts = [
            f"{class_label(name, k)} {value:.2f}"
            for k, (name, value) in enumerate(zip(copies.class_names, copy.masks.classes, strict=True))
            if value is not None
        ]
        words = f"IoU {copy.masks.iou:.2f} ({', '.join(parts) or 'no defect'}); {plural(copy.masks.differing, 'pixel', ',')}"
        caption = f"Labels of both, of the image alone and of the copy alone: {words} differ"
        drawn_pictures.append(Picture.of_pixels(difference, "difference of the labels", caption))
    height, width = image.shape[:2]
    return Row(drawn_pictures, min(800, max(240, width)) if width >= LONG * height else min(340, max(240, width)))
