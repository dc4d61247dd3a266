"""Numbers of many images, gathered batch by batch: what ``Counts`` and ``SoftCounts`` share."""

from collections.abc import Collection, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor


class ImageRows:
    """Some numbers of each image and class, in the order in which the images were added.

    Batches are put together when they are read: an evaluation adds tens of thousands and reads once.

    Args:
        images: the N names of the images.
        table: ``(KINDS, N, C)`` numbers; None where there is no image yet.
    """

    KINDS: ClassVar[int]  # numbers of an image and class
    DTYPE: ClassVar[torch.dtype]
    WORD: ClassVar[str]  # for the numbers, in errors

    def __init__(self, images: Sequence[str] = (), table: Tensor | None = None) -> None:
        self.images = list(images)
        self._parts = [] if table is None else [table]

    @property
    def table(self) -> Tensor:
        """All numbers, ``(KINDS, N, C)`` on the CPU; ``(KINDS, 0, 0)`` before the first image."""
        if not self._parts:
            return torch.zeros(self.KINDS, 0, 0, dtype=self.DTYPE)
        if len(self._parts) > 1:
            self._parts = [torch.cat(self._parts, dim=1)]
        return self._parts[0]

    def _append(self, images: Sequence[str], numbers: Sequence[Tensor]) -> None:
        """Append the numbers of one batch, each ``(N, C)`` on any device.

        Raises:
            ValueError: a shape does not fit the names or the classes so far, or the dtype is another.
        """
        # One transfer instead of one for each kind: on a GPU each one waits for the kernels before it.
        batch = torch.stack(tuple(numbers)).cpu()
        classes = self._parts[0].shape[2] if self._parts else batch.shape[-1]
        if batch.dtype != self.DTYPE or batch.shape != (self.KINDS, len(images), classes):
            raise ValueError(
                f"expected ({len(images)}, {classes}) {self.DTYPE} {self.WORD}, got {tuple(batch.shape[1:])} {batch.dtype}"
            )
        self.images.extend(images)
        self._parts.append(batch)

    def merge(self, other: Self) -> None:
        """Append the numbers of another process or of another part of the images."""
        if other.images:
            self._append(other.images, tuple(other.table))

    def without(self, images: Collection[str]) -> Self:
        """Return the numbers of all images but these."""
        return self._of([row for row, image in enumerate(self.images) if image not in images])

    def sorted_by_image(self) -> Self:
        """Return the numbers in order of the images' names, each image once.

        Several processes score images in another order than one process does, and a distributed sampler repeats some
        images to fill the last batch. In this order, and without the repetitions, sums over images are bit-equal.

        Returns:
            New rows; of an image that was added several times, the first.
        """
        first: dict[str, int] = {}
        for row, image in enumerate(self.images):
            first.setdefault(image, row)
        return self._of([first[image] for image in sorted(first)])

    def _of(self, rows: list[int]) -> Self:
        return type(self)([self.images[row] for row in rows], self.table[:, torch.tensor(rows, dtype=torch.int64)])
