"""Defects drawn on the image at its own size, prediction above ground truth, with a legend that covers nothing."""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import cv2
import numpy as np

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color), RGB, in the order that keeps the first n of them furthest
# apart from each other and from grey steel, for normal sight and for every kind of colour blindness.
COLOURS: tuple[tuple[int, int, int], ...] = (
    (213, 94, 0),  # vermillion
    (86, 180, 233),  # sky blue
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (204, 121, 167),  # reddish purple
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
)
# Where prediction and labels agree and where not: no class has these colours, and their brightness tells them apart.
AGREEMENT: dict[str, tuple[int, int, int]] = {
    "hit": (120, 230, 210),  # light turquoise
    "partly": (250, 190, 210),  # light pink
    "missed": (225, 0, 60),  # crimson
    "false": (75, 0, 160),  # dark violet
}
FILL = 0.25  # share of the class's colour inside a defect: the steel stays visible
STRIP, TEXT = (32, 32, 32), (235, 235, 235)  # legend and titles: background and letters
FONT = cv2.FONT_HERSHEY_SIMPLEX


def class_colour(index: int) -> tuple[int, int, int]:
    """Return the RGB colour of class ``index + 1``; from the eighth class on, lighter copies of the first seven."""
    lighter = 1 - 0.5 ** (index // len(COLOURS))
    red, green, blue = (round(part + (255 - part) * lighter) for part in COLOURS[index % len(COLOURS)])
    return red, green, blue


def as_hex(colour: tuple[int, int, int]) -> str:
    """Return an RGB colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def class_label(name: str, index: int) -> str:
    """Return the name of class ``index + 1`` as a reader wants it: a bare number becomes "class 3"."""
    return f"class {name}" if name.isdecimal() else name or f"class {index + 1}"


def draw_legend(class_names: Sequence[str], width: int) -> np.ndarray:
    """Draw a colour patch and a name per class: ``(h, width, 3)`` RGB uint8, as many lines as they need."""
    return _legend(tuple(class_names), width)


def draw_overlay(
    image: np.ndarray, masks: np.ndarray, class_names: Sequence[str], truth: np.ndarray | None = None
) -> np.ndarray:
    """Draw what was found, and below it what is labelled, each at the image's own size.

    Args:
        image: ``(H, W, 3)`` RGB or ``(H, W, 1)`` grey uint8; it is not changed.
        masks: ``(C, H, W)`` bool or uint8 of 0 and 1, the prediction.
        class_names: C names for the legend.
        truth: ``(C, H, W)`` like ``masks``, or none when there are no labels.

    Returns:
        ``(H + legend, W, 3)`` RGB uint8; with truth, two pictures below each other, each under its title.
    """
    names = tuple(class_names)
    width = image.shape[1]
    legend = _legend(names, width)
    if truth is None:
        return np.concatenate([draw_masks(image, masks), legend])
    drawn = [
        part
        for title, panel in (("prediction", masks), ("ground truth", truth))
        for part in (_title(title if panel.any() else f"{title}: no defect", width), draw_masks(image, panel))
    ]
    return np.concatenate([*drawn, legend])


def overlay_bands(
    image: np.ndarray, masks: np.ndarray, class_names: Sequence[str], rows: int
) -> tuple[int, Iterator[np.ndarray]]:
    """Draw what ``draw_overlay`` draws without labels, in bands: a large picture is never in memory as a whole.

    Args:
        image: as in ``draw_overlay``.
        masks: as in ``draw_overlay``.
        class_names: as in ``draw_overlay``.
        rows: of a band.

    Returns:
        The height of the picture in pixels, and its bands from the top down, ``(h, W, 3)`` RGB uint8.
    """
    height, width = image.shape[:2]
    legend = _legend(tuple(class_names), width)
    kernel = _outline_kernel(height, width)
    beyond = len(kernel)  # rows that decide where a defect's edge is

    def bands() -> Iterator[np.ndarray]:
        for top in range(0, height, rows):
            first, last = max(top - beyond, 0), min(top + rows + beyond, height)
            drawn = _draw_masks(image[first:last], masks[:, first:last], kernel)
            yield drawn[top - first : top - first + rows]
        yield legend

    return height + len(legend), bands()


def draw_agreement(
    image: np.ndarray, masks: np.ndarray, truth: np.ndarray, words: tuple[str, str, str] = ("hit", "missed", "false")
) -> np.ndarray:
    """Draw where prediction and labels agree: pixels that are hit, missed and false, of all classes.

    Args:
        image: ``(H, W, 3)`` RGB or ``(H, W, 1)`` grey uint8; it is not changed.
        masks: ``(C, H, W)`` bool, the prediction.
        truth: ``(C, H, W)`` bool.
        words: what the legend calls pixels of both, of the truth alone and of the prediction alone.

    Returns:
        ``(H + title, W, 3)`` RGB uint8; a pixel that is right for one class and wrong for another is wrong, and one that is
        missed and false is missed.
    """
    shaded = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[2] == 1 else image
    picture = shaded.copy()
    predicted, labelled = np.asarray(masks, np.bool_), np.asarray(truth, np.bool_)
    for kind, where in (
        ("hit", (predicted & labelled).any(axis=0)),
        ("false", (predicted & ~labelled).any(axis=0)),
        ("missed", (~predicted & labelled).any(axis=0)),
    ):
        picture[where] = (0.35 * shaded[where] + 0.65 * np.array(AGREEMENT[kind])).round().astype(np.uint8)
    return np.concatenate([_agreement_legend(image.shape[1], words), picture])


@lru_cache(maxsize=16)
def _agreement_legend(width: int, words: tuple[str, str, str]) -> np.ndarray:
    height = _text_height(width)
    strip = np.full((2 * height, width, 3), STRIP, np.uint8)
    x = height // 2
    for kind, word in zip(("hit", "missed", "false"), words, strict=True):
        cv2.rectangle(strip, (x, height // 2), (x + 2 * height - 1, height // 2 + height), AGREEMENT[kind], cv2.FILLED)
        _write(strip, word, x + 2 * height + height // 2, height * 3 // 2, height)
        x += 2 * height + _text_width(word, height) + 2 * height
    return strip


def draw_masks(image: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Draw each class as a light fill with an outline along the inside of its edge.

    Args:
        image: ``(H, W, 3)`` RGB or ``(H, W, 1)`` grey uint8; it is not changed.
        masks: ``(C, H, W)`` bool or uint8 of 0 and 1.

    Returns:
        ``(H, W, 3)`` RGB uint8; pixels outside of all masks are those of ``image``.
    """
    return _draw_masks(image, masks, _outline_kernel(image.shape[0], image.shape[1]))


def _draw_masks(image: np.ndarray, masks: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.shape[2] == 1 else image.copy()
    outlines = []
    for index, mask in enumerate(masks):
        plane = np.ascontiguousarray(mask).view(np.uint8)
        x, y, width, height = cv2.boundingRect(plane)
        if not width:
            continue
        inside = plane[y : y + height, x : x + width]
        part = picture[y : y + height, x : x + width]
        colour = np.empty(part.shape, np.uint8)
        # np.full_like takes 28 times as long: 8 ms for 1.6 megapixels.
        cv2.rectangle(colour, (0, 0), (width - 1, height - 1), class_colour(index), cv2.FILLED)
        cv2.copyTo(cv2.addWeighted(part, 1 - FILL, colour, FILL, 0), inside, part)
        outlines.append((part, colour, _outline(inside, kernel)))
    for part, colour, outline in outlines:  # after all fills, or a later class would tint an earlier one's outline
        cv2.copyTo(colour, outline, part)
    return picture


def _outline(plane: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    # Outside of the picture counts as background, so that defects at its border get a closed outline.
    return plane - cv2.erode(plane, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def _outline_kernel(height: int, width: int) -> np.ndarray:
    return _square(int(np.clip(round(min(height, width) / 128), 1, 4)))


def _square(thickness: int) -> np.ndarray:
    return np.ones((2 * thickness + 1, 2 * thickness + 1), np.uint8)


def _text_height(width: int) -> int:
    """Height of a capital letter in pixels: readable at 200 pixels of width, not lost at 1600."""
    return int(np.clip(width // 100, 9, 16))


def _scale(height: int) -> float:
    return height / cv2.getTextSize("H", FONT, 1.0, 1)[0][1]


def _legend_name(name: str, index: int) -> str:
    """Spell a name with the letters that OpenCV's font has; a number, or a name that it cannot spell, is "class k"."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    return class_label(name if name.isdecimal() else letters, index)


def _text_width(text: str, height: int) -> int:
    return cv2.getTextSize(text, FONT, _scale(height), 1)[0][0]


def _fitting(text: str, height: int, width: int) -> str:
    """Shorten a text that is wider than ``width`` pixels."""
    if _text_width(text, height) <= width:
        return text
    while len(text) > 1 and _text_width(f"{text}...", height) > width:
        text = text[:-1]
    return f"{text}..."


def _write(strip: np.ndarray, text: str, x: int, baseline: int, height: int) -> None:
    cv2.putText(strip, text, (x, baseline), FONT, _scale(height), TEXT, 1, cv2.LINE_AA)


@lru_cache(maxsize=64)
def _title(text: str, width: int) -> np.ndarray:
    height = _text_height(width)
    strip = np.full((2 * height, width, 3), STRIP, np.uint8)
    _write(strip, _fitting(text, height, width - height), height // 2, height * 3 // 2, height)
    return strip


@lru_cache(maxsize=64)
def _legend(names: tuple[str, ...], width: int) -> np.ndarray:
    """Draw a colour patch and a name per class, in as many lines as they need."""
    height = _text_height(width)
    gap, line_height = height, 2 * height
    patch = 2 * height
    lines: list[list[tuple[int, int, str]]] = [[]]
    x = gap // 2
    for index, name in enumerate(names):
        shown = _fitting(_legend_name(name, index), height, width - patch - 2 * gap)
        needed = patch + gap // 2 + _text_width(shown, height)
        if lines[-1] and x + needed > width - gap // 2:
            lines.append([])
            x = gap // 2
        lines[-1].append((x, index, shown))
        x += needed + 2 * gap
    strip = np.full((line_height * len(lines), width, 3), STRIP, np.uint8)
    for row, line in enumerate(lines):
        top = row * line_height + height // 2
        for x, index, shown in line:
            cv2.rectangle(strip, (x, top), (x + patch - 1, top + height), class_colour(index), cv2.FILLED)
            _write(strip, shown, x + patch + gap // 2, top + height, height)
    return strip
