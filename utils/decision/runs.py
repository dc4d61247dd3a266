"""Connected defects as horizontal runs of pixels, from which areas, boxes and sums follow quickly."""

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

# Pixels of a box whose components are found at once; the image of labels takes four bytes for each.
BAND = 2**22

_Labelled = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]


@dataclass(frozen=True)
class Runs:
    """Connected defects of one class as horizontal runs of pixels, in reading order, inside the box that holds them.

    Areas and boxes from runs cost a quarter of ``cv2.connectedComponentsWithStats``, which adds up every pixel's
    position for the centroids that nobody asked for. In noise nearly all runs belong to one component, of which everything
    is known by what the others leave: ``others`` spares the slow way, run by run, for it.
    """

    corner: tuple[int, int]  # of the box: x, y
    size: tuple[int, int]  # of the box: width, height
    row: np.ndarray  # (R,) in the box
    begin: np.ndarray  # (R,) column of the first pixel in the box
    length: np.ndarray  # (R,) pixels
    labels: np.ndarray  # (R,) component of each run, from 1
    count: int  # components, and one for the background
    largest: int  # component that has more than half of the runs; 0: there is none
    others: np.ndarray  # runs of the other components

    @classmethod
    def of(cls, box: np.ndarray, corner: tuple[int, int]) -> "Runs":
        """Find the components of a (H, W) uint8 array of 0 and 1, with 8 neighbours."""
        height, width = box.shape
        rows = max(1, BAND // width)
        bands = [_label(box[top : top + rows]) for top in range(0, height, rows)]
        row, begin, length, labels, count = bands[0] if len(bands) == 1 else _join(bands, rows)
        # Found in a sample: a component of more than half of the runs cannot hide from it.
        largest = int(np.bincount(labels[:: max(labels.size // 256, 1)]).argmax())
        others = np.flatnonzero(labels != largest)
        if 2 * others.size > labels.size:
            largest, others = 0, np.arange(labels.size)
        return cls(corner, (width, height), row, begin, length, labels, count, largest, others)

    def areas(self) -> np.ndarray:
        """Return the pixels of each component; (count,) int64, 0 for the background."""
        labels, lengths = self.labels[self.others], self.length[self.others]
        areas = np.bincount(labels, weights=lengths, minlength=self.count).astype(np.int64)
        if self.largest:
            areas[self.largest] = self.length.sum() - areas.sum()
        return areas

    def window(self, plane: np.ndarray) -> np.ndarray:
        """Cut the box out of a (H, W) array."""
        (x, y), (width, height) = self.corner, self.size
        return np.ascontiguousarray(plane[y : y + height, x : x + width])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum a value of each pixel, in reading order, over each component; (count,) float64."""
        end, length = np.cumsum(self.length)[self.others], self.length[self.others]
        pixels = values[_spread(end - length, length)]
        labels = np.repeat(self.labels[self.others], length)
        # Of nothing, NumPy counts in whole numbers, weights or not.
        sums = np.bincount(labels, weights=pixels, minlength=self.count).astype(np.float64)
        if self.largest:
            sums[self.largest] = values.sum(dtype=np.float64) - sums.sum()
        return sums

    def meets(self, box: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Return which components of the (H, W) box of 0 and 1 have one of some (H, W) bool pixels; (count,) bool."""
        return self.sums(pixels[box.view(np.bool_)]) > 0

    def boxes(self) -> np.ndarray:
        """Return left, top, right and bottom of each component; (4, count), right and bottom one past the last pixel."""
        boxes = np.zeros((4, self.count), dtype=np.int64)
        left, top, right, bottom = boxes
        labels, row, begin = (each[self.others] for each in (self.labels, self.row, self.begin))
        bottom[labels] = row + 1  # runs are in reading order: the last one to write is the lowest
        top[labels[::-1]] = row[::-1]
        left[labels] = self.size[0]
        np.minimum.at(left, labels, begin)
        np.maximum.at(right, labels, begin + self.length[self.others])
        if self.largest:
            runs = np.flatnonzero(self.labels == self.largest)
            begin = self.begin[runs]
            end = (begin + self.length[runs]).max()
            boxes[:, self.largest] = begin.min(), self.row[runs[0]], end, self.row[runs[-1]] + 1
        return boxes + np.array([*self.corner, *self.corner])[:, None]

    def erase(self, box: np.ndarray, dropped: np.ndarray) -> None:
        """Set the pixels of some components, marked in a (count,) bool array, to 0."""
        runs = self.others if not dropped[self.largest] else np.arange(self.labels.size)
        runs = runs[dropped[self.labels[runs]]]
        length = self.length[runs]
        box[np.repeat(self.row[runs], length), _spread(self.begin[runs], length)] = 0


def _label(box: np.ndarray) -> _Labelled:
    """Find the runs of a box and the component of each: row, begin, length, labels, and the count of labels."""
    height, width = box.shape
    count, label_image = cv2.connectedComponents(box, connectivity=8, ltype=cv2.CV_32S)
    # A column of zeros on both sides ends every run at its row's end.
    padded = np.zeros((height, width + 2), dtype=bool)
    padded[:, 1:-1] = box
    flat = padded.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    if flat.size < 2**31:
        edges = edges.astype(np.int32)  # half as long to calculate with
    start, length = edges[::2], edges[1::2] - edges[::2]
    row = start // (width + 2)
    begin = start - row * (width + 2)
    return row, begin, length, label_image.ravel().take(row * width + begin), count


def _join(bands: list[_Labelled], rows: int) -> _Labelled:
    """Put the runs of bands of so many rows together; components that touch across a border become one."""
    firsts = np.cumsum([0, *(count - 1 for *_, count in bands)])
    parent = np.arange(firsts[-1] + 1)

    def root(label: int) -> int:
        while parent[label] != label:
            parent[label] = label = parent[parent[label]]
        return label

    for number, (above, below) in enumerate(itertools.pairwise(bands)):
        last, first = above[0] == rows - 1, below[0] == 0
        begin, end, upper = above[1][last], (above[1] + above[2])[last], above[3][last] + firsts[number]
        starts, ends, lower = below[1][first], (below[1] + below[2])[first], below[3][first] + firsts[number + 1]
        # Runs are apart and in order: those above that touch one, also by a corner, follow each other.
        touching = zip(np.searchsorted(end, starts), np.searchsorted(begin, ends, side="right"), lower, strict=True)
        for left, right, label in touching:
            for other in upper[left:right]:
                one, two = sorted((root(int(other)), root(int(label))))
                parent[two] = one
    numbers = np.array([root(label) for label in range(len(parent))])
    labels = np.concatenate([part[3] + first for part, first in zip(bands, firsts, strict=False)])
    _, labels = np.unique(numbers[labels], return_inverse=True)
    row = np.concatenate([part[0] + number * rows for number, part in enumerate(bands)])
    count = int(labels.max(initial=-1)) + 2
    return (
        row,
        np.concatenate([part[1] for part in bands]),
        np.concatenate([part[2] for part in bands]),
        labels + 1,
        count,
    )


def _spread(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return all whole numbers from each start on, as many as its length says."""
    ends = np.cumsum(length)
    return np.repeat(start - ends + length, length) + np.arange(int(ends[-1]) if ends.size else 0)
