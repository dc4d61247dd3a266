"""The page about labels that may be wrong: label, answer of the network and their difference side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from utils.data.exploration.examples import shrunk
from utils.reporting.overlays import draw_agreement, draw_legend, draw_masks
from utils.reporting.page import Heading, Numbers, Picture, Row, Section, Table, Text
from utils.text import plural

WORDS = ("both", "label", "network")  # whose mask a pixel has
LONG = 2  # width by height from which pictures stand below each other
MEANT = {
    "class": "the network sees another class where the mask lies",
    "place": "the mask fits better some pixels away",
    "missing": "the network sees a defect that is not labelled",
    "nothing": "the network sees nothing where a defect is labelled",
    "outline": "the network draws other outlines; often it is the network that errs",
    "copies": "copies of the image are labelled otherwise",
    "whole": "a mask covers nearly all of the image; it may be inverted",
    "twice": "two classes have the same pixels",
    "cleanlab": "cleanlab finds single pixels whose label the network denies most",
}


@dataclass(frozen=True, eq=False)
class Shown:
    """An image on the page.

    Attributes:
        name: of the image.
        score: 0..1.
        kind: of the strongest evidence, see ``MEANT``.
        why: in words.
        image: (H, W, 3) uint8.
        label: (C, H, W) bool.
        answer: likewise, of the network; (1, H, W) where it tells no classes; None: none was asked.
    """

    name: str
    score: float
    kind: str
    why: str
    image: np.ndarray
    label: np.ndarray
    answer: np.ndarray | None


def sections(
    shown: Sequence[Shown],
    class_names: Sequence[str],
    counts: Mapping[str, int],
    images: int,
    notes: Sequence[str] = (),
) -> list[Section]:
    """Make the sections of the page.

    Args:
        shown: the images to look at, the likeliest mistake first.
        class_names: of the labels.
        counts: clear suspects by kind; there may be fewer than are shown.
        images: number that was looked at.
        notes: more lines.
    """
    total = sum(counts.values())
    parts: list = [
        Numbers(
            {"suspects": total, "shown": len(shown)},
            {"suspects": f"of {plural(images, 'image', ',')}", "shown": "the likeliest mistakes come first"},
        )
    ]
    if not total:
        parts.append(Text("Nothing speaks clearly against any label."))
    else:
        rows = [[kind, count, MEANT[kind]] for kind, count in sorted(counts.items(), key=lambda item: -item[1])]
        parts.append(
            Table(
                ["kind", "images", "what it means"], rows, "A suspect is no proof. Look at each before you change it."
            )
        )
    parts += [Text(note) for note in notes]
    found = [Section("Overview", parts)]
    if shown:
        pictures: list = [Picture.of_pixels(draw_legend(class_names, 800), "colours of the classes")]
        for number, one in enumerate(shown, 1):
            pictures += [Heading(f"{number}. {one.name}"), Text(f"{one.why} (score {one.score:.2f})"), _row(one)]
        found.append(Section("Look through", pictures))
    return found


def _row(one: Shown) -> Row:
    """Draw the label, the answer, and where they differ."""
    image, label = shrunk(one.image, one.label.astype(np.uint8))
    words = "label" if label.any() else "label: no defect"
    drawn = [Picture.of_pixels(draw_masks(image, label), f"label of {one.name}", words)]
    if one.answer is not None:
        _, answer = shrunk(one.image, one.answer.astype(np.uint8))
        words = "answer of the network that has not learnt it" + ("" if answer.any() else ": no defect")
        drawn.append(Picture.of_pixels(draw_masks(image, answer), f"answer about {one.name}", words))
        mine = label if len(label) == len(answer) else label.max(0, keepdims=True)
        difference = draw_agreement(image, np.asarray(answer > 0), np.asarray(mine > 0), WORDS)
        drawn.append(
            Picture.of_pixels(
                difference, "where they differ", "pixels of both, of the label alone, of the network alone"
            )
        )
    height, width = image.shape[:2]
    return Row(drawn, min(800, max(240, width)) if width >= LONG * height else min(340, max(240, width)))
