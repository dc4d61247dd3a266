"""Images and masks as the training loop takes them."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from utils.data import rle, transforms
from utils.data.dataset_folder import Dataset
from utils.data.decoded import ImageSource
from utils.data.rectangles import Rectangles, draw, union
from utils.data.soft_masks import CERTAIN, SoftTargets

# In the masks that a network learns from: a pixel of an image whose class nobody knows, in all channels.
NOT_COUNTED = 255


class Key(NamedTuple):
    """Which sample to make.

    Attributes:
        number: of the image among the names, from 0.
        seed: from which everything random about the sample follows.
        share: of the way from the size that training starts at to the full one, 0..1.
    """

    number: int
    seed: int
    share: float


@dataclasses.dataclass(frozen=True)
class LabelledImage:
    """One image on its way to the network.

    Args:
        image: ``(H, W, channels)`` uint8.
        masks: ``(H, W, C)`` uint8 0/1 of the same size, C scored classes; ``NOT_COUNTED`` in all of them where a pixel
            counts for nothing. Beside a teacher float32 probabilities 0..1, or ``NOT_COUNTED``.
        truth: masks at the image's own size when ``masks`` are not and they are asked for, else none.
        name: file name.
    """

    image: np.ndarray
    masks: np.ndarray
    truth: np.ndarray | None
    name: str


class StripDataset(TorchDataset):
    """Cuts and augments one image at a time, and draws its masks.

    Everything random follows from the seed in the sampler's key, so that a sample is the same whatever process makes it
    and after whatever interruption.

    Args:
        dataset: the dataset folder.
        names: images to use.
        task: of the network; ``scored`` says what it makes of the classes.
        target: number of the class of task ``per-class``, from 1.
        images: gives their pixels, at the size that the network sees.
        augment: see ``transforms.augmentation``.
        crop: (H, W) in pixels of a random window, taken after resizing.
        start_size: (H, W) in pixels that images and windows are made smaller to, by the share in the key.
        crop_defect: share of windows placed on a defect, 0..1.
        blackout: probability that a defect is painted black, 0..1.
        keep_truth: carry the masks at the image's own size too, for scoring.
        soft: what a teacher says of the images; none: labels alone are learnt.
    """

    def __init__(
        self,
        dataset: Dataset,
        names: Sequence[str],
        *,
        task: str,
        target: int | None = None,
        images: ImageSource,
        augment: str = "none",
        crop: tuple[int, int] | None = None,
        start_size: tuple[int, int] | None = None,
        crop_defect: float = 0.0,
        blackout: float = 0.0,
        keep_truth: bool = False,
        soft: SoftTargets | None = None,
    ) -> None:
        self.dataset = dataset
        self.names = tuple(names)
        self.task = task
        self.target = target
        self.images = images
        self.augment = transforms.augmentation(augment)
        self.crop = crop
        self.start_size = start_size
        self.crop_defect = crop_defect
        self.blackout = blackout
        self.keep_truth = keep_truth
        self.soft = soft

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: Key) -> LabelledImage:
        number, seed, share = key
        name = self.names[number]
        image, (height, width) = self.images.read(name)
        defects = scored(self.dataset.annotations.defects(name, height, width), self.task, self.target)
        classes = len(defects)
        ignored = self.dataset.annotations.ignored_part(name, height, width)
        answer = None
        if self.soft is not None:
            answer = self.soft.read(name, height, width)
            unsure = (answer == NOT_COUNTED).any(axis=2)
            if unsure.any():  # an image without labels, whose teacher disagrees with itself there
                ignored = _as_rectangles(unsure)
                answer = np.where(answer == NOT_COUNTED, np.uint8(0), answer)
        if ignored is not None:  # one more channel, which goes through the same changes
            defects = [*defects, ignored]
        changed_size = image.shape[:2] != (height, width) or self.crop is not None
        truth = _marked(draw(defects), classes) if self.keep_truth and changed_size else None
        defects = [part.resized(*image.shape[:2]) for part in defects]
        if answer is not None:
            answer = transforms.resize_soft(answer, *image.shape[:2])
        random = np.random.default_rng(seed)
        if self.crop is None:
            masks = self._learnt(name, draw(defects), answer)
        else:
            shown = defects[:classes]
            if answer is not None and self.soft is not None and name in self.soft.unlabelled and self.crop_defect:
                shown = _likely(answer)
            top, left = transforms.crop_window(shown, *self.crop, self.crop_defect, random)
            window = slice(top, top + self.crop[0]), slice(left, left + self.crop[1])
            image, answer = image[window], None if answer is None else np.ascontiguousarray(answer[window])
            masks = self._learnt(name, draw([part.window(top, left, *self.crop) for part in defects]), answer)
            image, masks = transforms.pad(image, masks, *self.crop)
        if self.start_size is not None:
            size = transforms.grown(self.start_size, (image.shape[0], image.shape[1]), share)
            image, masks = transforms.resize_both(image, masks, *size)
        if self.augment is not None:
            self.augment.set_random_seed(seed)
            changed = self.augment(image=image, mask=masks)
            image, masks = changed["image"], changed["mask"]
        if self.blackout:
            image, painted = transforms.black_out(image, masks[..., :classes], self.blackout, random)
            masks = np.concatenate([painted, masks[..., classes:]], axis=2) if masks.shape[2] > classes else painted
        masks = _marked(masks, classes)
        return LabelledImage(image, masks if self.soft is None else _probabilities(masks), truth, name)

    def _learnt(self, name: str, masks: np.ndarray, answer: np.ndarray | None) -> np.ndarray:
        """Mix labels, and the channel of ignored pixels behind them if there is one, with a teacher's answer."""
        if self.soft is None or answer is None:
            return masks
        classes = answer.shape[2]
        mixed = self.soft.mixed(name, masks[..., :classes], answer)
        return np.concatenate([mixed, masks[..., classes:]], axis=2) if masks.shape[2] > classes else mixed


def _likely(levels: np.ndarray) -> list[Rectangles]:
    """Return where each class is as likely as not, from ``(H, W, C)`` levels."""
    return [_as_rectangles(mask) for mask in (2 * levels.astype(np.int16) >= CERTAIN).transpose(2, 0, 1)]


def _as_rectangles(mask: np.ndarray) -> Rectangles:
    """Return the pixels of ``(H, W)`` bool."""
    return Rectangles.of_runs(rle.parse(rle.encode(mask), *mask.shape), *mask.shape)


def _probabilities(levels: np.ndarray) -> np.ndarray:
    """Turn levels into float32 probabilities; ``NOT_COUNTED`` stays."""
    return np.where(levels == NOT_COUNTED, np.float32(NOT_COUNTED), levels.astype(np.float32) / CERTAIN)


def _marked(masks: np.ndarray, classes: int) -> np.ndarray:
    """Turn a last channel of ignored pixels, where there is one, into ``NOT_COUNTED`` in all others."""
    if masks.shape[2] == classes:
        return masks
    ignored = masks[..., classes:].astype(np.bool_)
    return np.where(ignored, np.uint8(NOT_COUNTED), masks[..., :classes])


def scored(defects: list[Rectangles], task: str, target: int | None = None) -> list[Rectangles]:
    """Return the classes that a network of this task learns from; a classifier learns which of them have a pixel.

    Args:
        defects: of one image, an entry for each class of the dataset.
        task: ``binary`` and ``classify-binary`` merge all classes into one, ``per-class`` takes that of ``target``.
        target: number of the class, from 1.
    """
    if task in ("binary", "classify-binary"):
        return [union(defects)]
    return defects if target is None else [defects[target - 1]]


def collate(samples: Sequence[LabelledImage]) -> dict[str, Any]:
    """Put samples into one batch, mirrored up to the largest height and width among them.

    Returns:
        ``images`` ``(N, channels, H, W)`` uint8 in channels-last memory, ``masks`` ``(N, C, H, W)`` as theirs, ``truth`` a
        list of ``(C, h, w)`` uint8 at each image's own size, ``sizes`` a list of each sample's (H, W) before padding,
        ``names`` a list.
    """
    height = max(sample.image.shape[0] for sample in samples)
    width = max(sample.image.shape[1] for sample in samples)
    padded = [transforms.pad(sample.image, sample.masks, height, width) for sample in samples]
    images = torch.from_numpy(np.stack([image for image, _ in padded])).permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.stack([mask for _, mask in padded])).permute(0, 3, 1, 2)
    return {
        "images": images,
        "masks": masks.contiguous(),
        "truth": [
            torch.from_numpy(
                np.ascontiguousarray((sample.masks if sample.truth is None else sample.truth).transpose(2, 0, 1))
            )
            for sample in samples
        ],
        "sizes": [sample.image.shape[:2] for sample in samples],
        "names": [sample.name for sample in samples],
    }
