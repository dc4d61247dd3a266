"""Copies among images: how each lies on the other, and how far pixels and labels agree where both show the same."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from tqdm import tqdm

from utils.data.dataset_folder import Dataset
from utils.data.duplicates.candidates import NEIGHBOURS
from utils.data.duplicates.description import Description
from utils.data.duplicates.image_sets import ImageSet
from utils.data.duplicates.pairs import Pair, correlation, describe_images, find_pairs, overlap, scale_for
from utils.data.duplicates.symmetry import TRANSPOSED, lay
from utils.data.images import read_image, read_size

WHOLE = 0.9  # share of the smaller image from which two images are one picture
HALF = 0.5  # the same, from which a part is large enough to say how far labels agree
DISAGREE = (
    0.8  # IoU of the masks below which labels differ; one pixel off costs a defect of 20 x 20 pixels about as much
)
ALIKE = 0.95  # correlation from which labels are to be the same; less where parts show something else
EXACT = 0.98  # correlation from which whole images lie exactly on each other
REFINED = 20_000  # pairs of shrunk images whose shift is measured at full size, the surest: a bound to the time
WINDOW = (256, 1024)  # pixels of the common part that a shift is measured on


@dataclass(frozen=True)
class Member:
    """An image that copies are looked for of.

    Attributes:
        images: the folder.
        name: of the file.
        side: what copies of it are looked for outside of; "" where they are looked for among all.
    """

    images: ImageSet
    name: str
    side: str = ""


@dataclass(frozen=True)
class Masks:
    """How far the labels of two images agree where both show the same; pixels that count for nothing are left out.

    Attributes:
        iou: intersection by union, pixels of all classes summed; 1 where neither has a defect.
        classes: the same of each common class; None where neither image has it.
        differing: pixels that one labels and the other does not, summed over classes.
    """

    iou: float
    classes: tuple[float | None, ...]
    differing: int


@dataclass(frozen=True)
class Copy:
    """Two images that show the same steel.

    Attributes:
        first, second: positions of the image and its copy.
        symmetry: what lays the copy on the image, see ``utils.data.duplicates.symmetry``.
        down, right: where the upper left corner of the copy then is on the image, in pixels.
        share: of the smaller image, that both show, 0..1.
        pixels: correlation of grey levels of the common part, uneven light removed, 0..1.
        masks: agreement of the labels; None where one of the images has none.
    """

    first: int
    second: int
    symmetry: int
    down: int
    right: int
    share: float
    pixels: float
    masks: Masks | None

    @property
    def comparable(self) -> bool:
        """Whether both are labelled, and show the same all over, so that their labels are to be the same."""
        return self.masks is not None and self.pixels >= ALIKE

    @property
    def disagrees(self) -> bool:
        """Whether labels that are to be the same differ by more than the rim of a defect."""
        return self.comparable and self.masks is not None and self.masks.iou < DISAGREE


@dataclass(frozen=True)
class Copies:
    """What was found.

    Attributes:
        members: the images.
        sizes: (N, 2) int64 height and width of each.
        found: the pairs, the surest first.
        class_names: of the classes whose masks are compared.
    """

    members: Sequence[Member]
    sizes: np.ndarray
    found: list[Copy]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """How far two labels of the same steel agree, by the scores that networks have.

    Attributes:
        pairs: of images whose pixels agree.
        mean_dice: over pairs and classes; 1 for a class that neither image has.
        defect_dice: likewise, of the classes that at least one of the two images has; None without any.
    """

    pairs: int
    mean_dice: float
    defect_dice: float | None


def agreement(found: Sequence[Copy], least: float, below: float = 2.0) -> Agreement | None:
    """Score labels by the labels of copies.

    Args:
        found: the pairs.
        least, below: share of the smaller image that both show, from and below which pairs count.

    Returns:
        None where no labelled pair counts.
    """
    classes = [copy.masks.classes for copy in found if copy.masks and copy.comparable and least <= copy.share < below]
    if not classes:
        return None
    iou = np.array(classes, dtype=np.float64)  # nan for None
    dice = 2 * iou / (1 + iou)
    labelled = dice[np.isfinite(dice)]
    defect_dice = float(labelled.mean()) if labelled.size else None
    return Agreement(len(classes), float(np.nan_to_num(dice, nan=1.0).mean()), defect_dice)


def find_copies(members: Sequence[Member], threads: int, progress: bool = True) -> Copies:
    """Find the copies among images: of different sides where they have some, else of all.

    Of an image with more copies, those that are among the ``NEIGHBOURS`` surest of it or of the copy are given.

    Args:
        members: the images.
        threads: that read, search and compare.
        progress: show bars when standard error is a terminal.

    Raises:
        ImageError: an image cannot be read.
        AnnotationError: a label does not fit its image.
    """
    paths = [member.images.path(member.name) for member in members]
    scale = scale_for(paths)
    described = describe_images(paths, lambda path: read_image(path, 1), scale, threads, progress)
    with ThreadPoolExecutor(threads) as pool:
        sizes = np.array(list(pool.map(read_size, paths)), dtype=np.int64).reshape(-1, 2)
    numbers = {side: number for number, side in enumerate(dict.fromkeys(member.side for member in members))}
    sides = [numbers[member.side] for member in members] if len(numbers) > 1 else None
    pairs = surest(find_pairs(described, threads, progress, sides))
    names = _common_classes(members)
    measuring = _Measuring(members, sizes, described, scale, names)
    rank = {pair: number for number, pair in enumerate(pairs)}
    by_first: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_first.setdefault(pair.first, []).append(pair)
    found: dict[int, Copy] = {}
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(pairs), desc="measuring copies", disable=None if progress else True) as bar,
    ):
        work = [(ours, [rank[pair] < REFINED for pair in ours]) for ours in by_first.values()]
        for (ours, _), measured in zip(work, pool.map(lambda one: list(measuring.measure(*one)), work), strict=True):
            found.update((rank[pair], copy) for pair, copy in zip(ours, measured, strict=True))
            bar.update(len(ours))
    return Copies(members, sizes, [found[number] for number in range(len(pairs))], names)


def surest(pairs: Sequence[Pair]) -> list[Pair]:
    """Leave out pairs that are not among the ``NEIGHBOURS`` surest of either image, so that there are at most so many an
    image.

    Args:
        pairs: the surest first.
    """
    counts: dict[int, int] = {}
    kept = []
    for pair in pairs:
        ends = (pair.first, pair.second)
        if any(counts.get(end, 0) < NEIGHBOURS for end in ends):
            kept.append(pair)
            for end in ends:
                counts[end] = counts.get(end, 0) + 1
    return kept


def one_of_each(copies: Copies) -> dict[int, int]:
    """Choose which images are left out so that one of each picture stays.

    An image that shows less than ``WHOLE`` of another is a picture of its own. The larger image stays; of equal ones that
    whose labels agree best with those of its copies, so that of three alike and one wrong the wrong one goes.

    Returns:
        Position of an image that is left out -> that of the one that stays for it.
    """
    whole = [copy for copy in copies.found if copy.share >= WHOLE]
    agreement: dict[int, list[float]] = {}
    for copy in whole:
        for end in (copy.first, copy.second):
            agreement.setdefault(end, []).append(copy.masks.iou if copy.masks else 1.0)
    areas = copies.sizes.prod(axis=1)
    order = sorted(agreement, key=lambda end: (-areas[end], -round(float(np.median(agreement[end])), 2), end))
    linked: dict[int, list[int]] = {end: [] for end in agreement}
    for copy in whole:  # the surest first
        linked[copy.first].append(copy.second)
        linked[copy.second].append(copy.first)
    left: dict[int, int] = {}
    for end in order:
        if end not in left:
            left.update((other, end) for other in linked[end] if other not in left and areas[other] <= areas[end])
    return left


def laid_on(picture: np.ndarray, copy: Copy, size: Sequence[int]) -> np.ndarray:
    """Lay the copy's picture on the image: (H, W, ...) of the image's size, 0 where the copy shows nothing.

    Args:
        picture: (h, w, ...) of the copy.
        copy: how it lies.
        size: height and width of the image.
    """
    turned = lay(picture, copy.symmetry)
    canvas = np.zeros((*size, *turned.shape[2:]), dtype=turned.dtype)
    there, part = overlap(canvas, turned, copy.down, copy.right)
    there[...] = part
    return canvas


def compare_masks(first: np.ndarray, second: np.ndarray, counted: np.ndarray | None = None) -> Masks:
    """Compare the labels of the part that two images share.

    Args:
        first, second: (h, w, C) uint8 of 0 and 1.
        counted: (h, w) bool, pixels that count; None: all.
    """
    one, other = first > 0, second > 0
    if counted is not None:
        one, other = one & counted[..., None], other & counted[..., None]
    both, either = (one & other).sum(axis=(0, 1)), (one | other).sum(axis=(0, 1))
    classes = tuple(int(b) / int(e) if e else None for b, e in zip(both, either, strict=True))
    total = int(either.sum())
    return Masks(int(both.sum()) / total if total else 1.0, classes, total - int(both.sum()))


def _common_classes(members: Sequence[Member]) -> tuple[str, ...]:
    """Return the classes that all labelled folders have, in the order of the first."""
    folders = {id(member.images): member.images for member in members}
    labelled = [images.class_names for images in folders.values() if images.labelled]
    return tuple(name for name in labelled[0] if all(name in others for others in labelled)) if labelled else ()


class _Measuring:
    """Measures pairs: the shift at full size, what both images show, and how far labels agree."""

    def __init__(
        self,
        members: Sequence[Member],
        sizes: np.ndarray,
        described: Sequence[Description],
        scale: float,
        class_names: tuple[str, ...],
    ) -> None:
        self.members, self.sizes, self.described, self.scale = members, sizes, described, scale
        self.class_names = class_names

    def measure(self, pairs: Sequence[Pair], refined: Sequence[bool]) -> Iterator[Copy]:
        """Measure the pairs of one first image."""
        mine = self._masks(pairs[0].first)
        texture = None
        for pair, refine in zip(pairs, refined, strict=True):
            down, right = (round(shift / self.scale) for shift in (pair.down, pair.right))
            value = pair.value
            exact = value >= EXACT and (self.scale == 1 or (down, right) == (0, 0))
            if refine and not exact:
                texture = self._texture(pair.first) if texture is None else texture
                other = lay(self._texture(pair.second), pair.symmetry)
                down, right = best_shift(
                    texture, other, down, right, 2 if self.scale == 1 else ceil(1 / self.scale) + 1
                )
                if self.scale == 1:
                    value = max(value, correlation(*overlap(texture, other, down, right)))
            yield self._copy(pair, down, right, min(value, 1.0), mine)

    def _copy(
        self, pair: Pair, down: int, right: int, value: float, mine: tuple[np.ndarray, np.ndarray] | None
    ) -> Copy:
        laid = self.sizes[pair.second][:: -1 if pair.symmetry & TRANSPOSED else 1]
        first, shift = self.sizes[pair.first], np.array([down, right])
        common = np.maximum(0, np.minimum(first, laid + shift) - np.maximum(0, shift))
        share = float(common.prod() / min(first.prod(), laid.prod()))
        theirs = self._masks(pair.second) if mine is not None else None
        masks = None
        if mine is not None and theirs is not None:
            parts = [
                overlap(one, lay(other, pair.symmetry), down, right) for one, other in zip(mine, theirs, strict=True)
            ]
            masks = compare_masks(*parts[0], ~(parts[1][0] | parts[1][1]))
        return Copy(pair.first, pair.second, pair.symmetry, down, right, share, value, masks)

    def _texture(self, index: int) -> np.ndarray:
        """Return (H, W) float32 grey levels at full size, uneven light removed."""
        if self.scale == 1:
            return self.described[index].texture.astype(np.float32)
        member = self.members[index]
        grey = read_image(member.images.path(member.name), 1)[..., 0].astype(np.float32)
        side = 2 * int(8 / self.scale) + 1
        return grey - cv2.blur(grey, (side, side))

    def _masks(self, index: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the labels of an image, (H, W, C) uint8 of the common classes and (H, W) bool of what does not count."""
        member = self.members[index]
        dataset = member.images.labelled
        return masks_of(dataset, member.name, self.class_names, self.sizes[index].tolist()) if dataset else None


def masks_of(
    dataset: Dataset, name: str, class_names: Sequence[str], size: Sequence[int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Draw the labels of an image.

    Args:
        dataset: that labels it.
        name: of the image.
        class_names: of the classes wanted, all of which the dataset has.
        size: height and width of the image.

    Returns:
        (H, W, C) uint8 of 0 and 1, and (H, W) bool of the pixels that do not count; None without any class.
    """
    if not class_names:
        return None
    annotations = dataset.annotations
    height, width = size
    places = [annotations.class_names.index(one) for one in class_names]
    ignored = annotations.ignored_mask(name, height, width)
    masks = annotations.mask(name, height, width)[..., places]
    return masks, np.zeros((height, width), np.bool_) if ignored is None else ignored


def best_shift(one: np.ndarray, other: np.ndarray, down: int, right: int, reach: int) -> tuple[int, int]:
    """Find the shift of the second texture, near a given one, at which it lies best on the first.

    Args:
        one, other: (H, W) float32.
        down, right: where the upper left corner of the second is about, in pixels.
        reach: pixels that it may be off.

    Returns:
        Down and right in pixels; as given where the common part is too small to tell.
    """
    mine, its = overlap(one, other, down, right)
    top, left = (max(0, (side - most) // 2) for side, most in zip(mine.shape, WINDOW, strict=True))
    window = (slice(top, top + WINDOW[0]), slice(left, left + WINDOW[1]))
    mine, its = mine[window], its[window]
    inner = mine[reach:-reach, reach:-reach]
    if min(mine.shape) < 2 * reach + 16 or not inner.any() or not its.any():
        return down, right
    agreement = cv2.matchTemplate(np.ascontiguousarray(its), np.ascontiguousarray(inner), cv2.TM_CCOEFF_NORMED)
    y, x = np.unravel_index(int(agreement.argmax()), agreement.shape)
    return down + reach - int(y), right + reach - int(x)
