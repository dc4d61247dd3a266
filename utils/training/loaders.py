"""Which images make up which batch, the same for one process and for many."""

import contextlib
import functools
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from config import TrainConfig
from utils.data.dataset import Key, LabelledImage, StripDataset, collate
from utils.data.dataset_folder import Dataset
from utils.data.decoded import ImageFiles, ImageSource
from utils.data.packed_blocks import Batches, BlockOrder, PackedFiles
from utils.data.soft_masks import SoftTargets
from utils.errors import InputError
from utils.text import plural
from utils.training import growing

MOST_WORKERS = 64  # even on a small machine, for slow network disks; each takes some 200 MB


class EpochBatches(Sampler[list[Key]]):
    """Batches of keys, fixed by the run's seed and the epoch alone.

    All processes make the same list of batches and each takes its own, so that a batch holds the same images whatever
    the number of processes, and validation sums are equal for one process and for many.

    Args:
        count: number of images.
        batch_size: images a batch.
        seed: of the run.
        shuffle: a new order each epoch, leaving out the last batch when it is not full (training).
        rank: of this process.
        processes: how many share the batches; training leaves out what does not go round.
        shares: for each epoch how far images have grown, see ``Key``; where there is none, they are full-sized.
        blocks: of a packed dataset, in whose order images come; none: any image may come at any time.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        shuffle: bool,
        rank: int,
        processes: int,
        shares: Sequence[float] = (),
        blocks: BlockOrder | None = None,
    ) -> None:
        self.blocks = blocks
        self.count, self.batch_size, self.seed, self.shuffle = count, batch_size, seed, shuffle
        self.rank, self.processes, self.shares = rank, processes, shares
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 1, whose batches come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        batches = self._batches()
        return batches // self.processes if self.shuffle else len(range(self.rank, batches, self.processes))

    def __iter__(self) -> Iterator[list[Key]]:
        # Seeds are 31 bits, which is what albumentations takes.
        random = np.random.default_rng((self.seed, self.epoch))
        chosen: np.ndarray | Batches
        if self.blocks is None:
            chosen = random.permutation(self.count) if self.shuffle else np.arange(self.count)
        else:
            chosen = self.blocks.batches(self._batches(), self.batch_size, random if self.shuffle else None)
        seeds = random.integers(0, 2**31, self.count)
        share = self.shares[self.epoch - 1] if self.shares else 1.0
        for number in range(len(self)):
            batch = number * self.processes + self.rank
            if isinstance(chosen, Batches):
                images = chosen[batch]
            else:
                images = chosen[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [Key(int(index), int(seeds[index]), share) for index in images]

    def smallest(self) -> int:
        """Return the number of images in the smallest training batch of any process."""
        last = len(self) * self.processes - 1
        return min(self.batch_size, self.count - last * self.batch_size)

    def _batches(self) -> int:
        if self.shuffle and self.count >= self.batch_size * self.processes:
            return self.count // self.batch_size
        return -(-self.count // self.batch_size)


def make_loaders(
    config: TrainConfig,
    dataset: Dataset,
    train: list[str],
    valid: list[str],
    rank: int,
    processes: int,
    pin: bool,
    images: ImageSource | None = None,
    soft: SoftTargets | None = None,
) -> dict[str, DataLoader]:
    """Make the loaders of training and validation.

    Args:
        config: the run's settings.
        dataset: the dataset folder.
        train: images to train on.
        valid: images to validate on.
        rank: of this process.
        processes: number of processes.
        pin: keep batches in memory that a GPU copies from faster.
        images: gives the pixels; none: the files, decoded whenever an image is used.
        soft: what teachers say of the images to train on; none: labels alone are learnt.

    Returns:
        ``train`` and ``valid``.

    Raises:
        InputError: too few images to give each process one batch, or too many loading processes.
    """
    target = None if config.target is None else dataset.annotations.class_names.index(config.target) + 1
    sources = {
        "train": images or image_source(config, dataset, train),
        "valid": images or image_source(config, dataset, valid),
    }
    make = functools.partial(StripDataset, dataset, task=config.task, target=target)
    parts = {
        "train": make(
            train,
            images=sources["train"],
            augment=config.augmentation,
            crop=config.crop,
            start_size=config.start_size,
            crop_defect=config.crop_defect,
            blackout=config.blackout,
            soft=soft,
        ),
        "valid": make(valid, images=sources["valid"], keep_truth=True),
    }
    check_counts(config, {name: len(part) for name, part in parts.items()}, processes)
    workers = worker_count(config.num_of_workers, processes, beside_gpu=pin)
    if workers:
        # A worker that inherits OpenCV's thread pool by fork waits forever when it first touches it: end the pool here.
        cv2.setNumThreads(1)
    loaders: dict[str, DataLoader] = {}
    for name, part in parts.items():
        training = name == "train"
        shares = growing.shares(config.num_epochs) if training and config.start_size else ()
        # Decoded images are there to be read in any order, and yet come in that of the pack, so that -cache changes nothing.
        order = _order(dataset, part, sources[name])
        batches = EpochBatches(len(part), config.batch_size, config.seed, training, rank, processes, shares, order)
        loaders[name] = _loader(part, batches, workers, pin)
    return loaders


def make_test_loader(
    config: TrainConfig, dataset: Dataset, names: list[str], rank: int, processes: int, pin: bool
) -> DataLoader:
    """Make the loader of the test images, which come as validation images do; a process may have none.

    Args:
        config: the run's settings.
        dataset: the dataset folder.
        names: the test images.
        rank: of this process.
        processes: number of processes.
        pin: keep batches in memory that a GPU copies from faster.
    """
    target = None if config.target is None else dataset.annotations.class_names.index(config.target) + 1
    images = image_source(config, dataset, names)
    part = StripDataset(dataset, names, task=config.task, target=target, images=images, keep_truth=True)
    workers = worker_count(config.num_of_workers, processes, beside_gpu=pin)
    order = _order(dataset, part, images)
    batches = EpochBatches(len(part), config.batch_size, config.seed, False, rank, processes, blocks=order)
    return _loader(part, batches, workers, pin)


def image_source(config: TrainConfig, dataset: Dataset, names: Sequence[str]) -> ImageSource:
    """Return what decodes images whenever they are used: files one by one, packed ones block by block."""
    if dataset.pack is None or not all(map(dataset.is_packed, names)):
        return ImageFiles(dataset, config.channels, config.image_size)
    return PackedFiles(dataset, names, config.channels, config.image_size)


def _order(dataset: Dataset, part: StripDataset, images: ImageSource) -> BlockOrder | None:
    """Return the blocks of a packed dataset that images come from; None where they may come in any order."""
    if isinstance(images, PackedFiles):
        return BlockOrder(images.blocks)
    if dataset.pack is None or not all(map(dataset.is_packed, part.names)):
        return None
    return BlockOrder(PackedFiles(dataset, part.names, 3, None).blocks)


def _loader(part: StripDataset, batches: EpochBatches, workers: int, pin: bool) -> DataLoader:
    with warnings.catch_warnings():
        # Said once, in our words, by ``many_workers``.
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        return StripLoader(
            _Guarded(part),
            batch_sampler=batches,
            collate_fn=_collate,
            num_workers=workers,
            worker_init_fn=_start_worker if workers else None,
            persistent_workers=workers > 0,
            pin_memory=pin,
        )


def check_counts(config: TrainConfig, counts: dict[str, int], processes: int) -> None:
    """Look whether each process has a batch.

    Args:
        config: the run's settings.
        counts: number of images by side, ``train`` and ``valid``.
        processes: number of processes.

    Raises:
        InputError: too few images.
    """
    for side, count in counts.items():
        # The last process has the fewest.
        if not len(EpochBatches(count, config.batch_size, config.seed, side == "train", processes - 1, processes)):
            raise InputError(
                f"{count} images to {'train' if side == 'train' else 'validate'} on are too few for {processes} processes with -batch_size"
                f" {config.batch_size}; take fewer processes or a smaller batch"
            )


def close(loaders: dict[str, DataLoader]) -> None:
    """End the loading processes now; at the end of Python they would be killed, which torch reports with a traceback."""
    for loader in loaders.values():
        # Not left to the last reference: an exception may hold one.
        iterator, loader._iterator = loader._iterator, None
        if iterator is not None:
            # Torch raises wherever the program is when a signal has ended a loading process: here that is what is wanted.
            with contextlib.suppress(RuntimeError):
                iterator._shutdown_workers()  # type: ignore[attr-defined]


class StripLoader(DataLoader):
    """A loader whose workers' errors keep their line; torch would wrap it into the worker's traceback."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Return the batches of an epoch.

        Raises:
            InputError: an image or label cannot be read.
        """
        for batch in super().__iter__():
            if isinstance(batch, InputError):
                raise batch
            yield batch


class _Guarded(TorchDataset):
    """Gives a batch of samples, or the error that one of them met."""

    def __init__(self, part: StripDataset) -> None:
        self.part = part

    def __getitems__(self, keys: list[Key]) -> list[LabelledImage] | InputError:
        try:
            return [self.part[key] for key in keys]
        except InputError as error:
            return InputError(str(error))  # its subclasses cannot all travel between processes


def _collate(samples: list[LabelledImage] | InputError) -> dict[str, Any] | InputError:
    return samples if isinstance(samples, InputError) else collate(samples)


def explain_lost_worker(error: BaseException) -> None:
    """Raise ``InputError`` when the error is torch's word for a loading process that the system has ended.

    It comes by a signal, thus anywhere in the training and not only where a batch is asked for.
    """
    words = ("worker (pid", "shared memory", "</torch_")  # the last is the name of a file in /dev/shm
    if isinstance(error, RuntimeError) and any(word in str(error) for word in words):
        raise InputError(
            "-num_of_workers: the system ended a process that loads images, mostly for lack of memory or of shared"
            " memory (/dev/shm); take fewer, 0 for none, or a smaller -batch_size"
        ) from None


def worker_count(asked: int | None, processes: int, beside_gpu: bool = False) -> int:
    """Return the number of loading processes: what was asked for, or what suits the machine.

    A core decodes and augments some 60 strips of 256x1600 a second. A network on the CPU needs fewer than that and every
    other core itself: a quarter of this process's cores, 1 to 8. Beside a GPU the cores have nothing else to do: all but
    one, 1 to 16.

    Args:
        asked: number of processes; none: choose.
        processes: that train, each with loading processes of its own.
        beside_gpu: whether the network runs on a GPU.

    Raises:
        InputError: more were asked for than this machine can use.
    """
    cores = os.cpu_count() or 1
    if asked is not None and asked > max(MOST_WORKERS, 4 * cores):
        raise InputError(
            f"-num_of_workers {asked}: this machine has {cores} cores; take {max(MOST_WORKERS, 4 * cores)} or fewer,"
            " or auto"
        )
    if asked is not None:
        return asked
    return max(1, min(16, cores // processes - 1) if beside_gpu else min(8, cores // (4 * processes)))


def many_workers(asked: int | None) -> list[str]:
    """Return a line for the user where more loading processes were asked for than there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if asked is None or asked <= cores:
        return []
    return [
        f"-num_of_workers {asked}: more than the {plural(cores, 'core')} here, so they wait for each other; try auto"
    ]


def _start_worker(_: int) -> None:
    # The main process alone answers Ctrl-C and SIGTERM: it ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
