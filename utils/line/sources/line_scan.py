"""Frames of a fixed height out of the lines of a camera that never stops."""

import numpy as np


class LineBuffer:
    """Joins blocks of lines and cuts frames from them; no line is lost and none is shown twice.

    Args:
        height: lines of a frame.
    """

    def __init__(self, height: int) -> None:
        self.height = height
        self._blocks: list[np.ndarray] = []
        self._lines = 0

    @property
    def lines(self) -> int:
        """Lines that wait for the rest of their frame."""
        return self._lines

    def fits(self, block: np.ndarray) -> bool:
        """Check whether lines have the width and kind of those that wait; else ``drop`` them first."""
        return not self._blocks or (block.shape[1:], block.dtype) == (self._blocks[0].shape[1:], self._blocks[0].dtype)

    def add(self, block: np.ndarray) -> list[np.ndarray]:
        """Take a block of lines, ``(h, W)`` or ``(h, W, 3)``, that fits; return the frames that are whole now."""
        self._blocks.append(block)
        self._lines += len(block)
        if self._lines < self.height:
            return []
        joined = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
        whole = self._lines // self.height
        frames = [joined[n * self.height : (n + 1) * self.height].copy() for n in range(whole)]
        rest = joined[whole * self.height :].copy()  # a copy, so that the large block is let go
        self._blocks, self._lines = ([rest] if len(rest) else []), len(rest)
        return frames

    def drop(self) -> int:
        """Forget the lines that wait; return how many there were."""
        count, self._lines, self._blocks = self._lines, 0, []
        return count
