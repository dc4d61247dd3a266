"""A strip while defects are painted on it, and the labels that go with them."""

from dataclasses import dataclass

import numpy as np

from utils.data.synthetic.noise import FloatImage, Mask
from utils.data.synthetic.surface import Surface

# A label of which less than this share lies on the strip, or on free steel, is not worth painting the defect.
LEAST_VISIBLE = 0.3
PLACES_TRIED = 24


@dataclass(frozen=True)
class Window:
    """A rectangle of the image; it may hang over the image's border.

    Attributes:
        top, left: first row and column in pixels, possibly negative.
        height, width: in pixels, 1 or more.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width


class Canvas:
    """A strip with labels.

    Attributes:
        surface: the strip; painting changes its image.
        labels: (H, W) uint8, 0 or the class id of the defect there.
        contrast: what every painted gain is multiplied by; 1 is as drawn after the real ones.
    """

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.contrast = np.float32(1.0)
        self.labels: Mask = np.zeros(surface.image.shape, np.uint8)

    def limit(self, height: float, width: float) -> tuple[int, int]:
        """Largest window size (height, width) in pixels that fits the strip, for a wanted one."""
        rows, columns = self.surface.bottom, self.surface.right - self.surface.left
        return int(np.clip(round(height), 5, max(5, rows))), int(np.clip(round(width), 5, max(5, columns)))

    def place(
        self,
        rng: np.random.Generator,
        size: tuple[int, int],
        centre: float | None = None,
        spread: float = 0.0,
        overhang: float = 0.0,
    ) -> Window:
        """Find a free window on the strip.

        Args:
            rng: source of chance.
            size: (height, width) in pixels.
            centre: wanted column of the middle in pixels; none: anywhere.
            spread: standard deviation in pixels around ``centre``.
            overhang: share of the height that may lie above or below the strip.

        Returns:
            The window with the least overlap of those tried.
        """
        height, width = size
        first, last = self.surface.left, max(self.surface.left, self.surface.right - width)
        above = -int(overhang * height)
        below = max(above, self.surface.bottom - height - above)
        best, least = Window(above, first, height, width), np.inf
        for _ in range(PLACES_TRIED):
            if centre is None:
                left = int(rng.integers(first, last + 1))
            else:
                left = int(np.clip(round(rng.normal(centre, spread) - width / 2), first, last))
            window = Window(int(rng.integers(above, below + 1)), left, height, width)
            rows, columns, _, _ = self._slices(window, border=3)
            taken = float(np.count_nonzero(self.labels[rows, columns]))
            if taken < least:
                best, least = window, taken
            if taken == 0:
                break
        return best

    def paint(self, window: Window, gain: FloatImage) -> None:
        """Multiply the strip's grey values by 1 + ``contrast`` * ``gain``, (h, w) of the window; the dark stays."""
        rows, columns, window_rows, window_columns = self._slices(window)
        part = self.contrast * gain[window_rows, window_columns] * self.surface.steel[rows, columns]
        self.surface.image[rows, columns] *= np.maximum(1.0 + part, 0.04)

    def label(self, window: Window, mask: Mask, class_id: int) -> bool:
        """Label free steel under ``mask``, (h, w) of the window.

        Returns:
            False, with nothing labelled, when too little of the mask lies on free steel.
        """
        rows, columns, window_rows, window_columns = self._slices(window)
        on_steel = self.surface.steel[rows, columns] > 0.5
        free = (mask[window_rows, window_columns] > 0) & on_steel & (self.labels[rows, columns] == 0)
        if np.count_nonzero(free) < max(4, LEAST_VISIBLE * np.count_nonzero(mask)):
            return False
        self.labels[rows, columns][free] = class_id
        return True

    def _slices(self, window: Window, border: int = 0) -> tuple[slice, slice, slice, slice]:
        """The part of a window (grown by ``border`` pixels) inside the image: image rows and columns, its own rows and columns."""
        height, width = self.labels.shape
        top, bottom = max(0, window.top - border), max(0, min(height, window.top + window.height + border))
        left, right = max(0, window.left - border), max(0, min(width, window.left + window.width + border))
        own_rows = slice(top - window.top, bottom - window.top)
        own_columns = slice(left - window.left, right - window.left)
        return slice(top, bottom), slice(left, right), own_rows, own_columns
