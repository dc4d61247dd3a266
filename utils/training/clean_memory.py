"""A memory of clean steel, and the threshold that clean images which it does not know leave."""

import dataclasses

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from config import TrainConfig
from utils.data.checks import thread_count
from utils.data.dataset_folder import Dataset
from utils.models.segmenter import Segmenter
from utils.training.alarm_threshold import alarm_threshold
from utils.training.clean_features import BATCH, Images, batches, farthest, gather, make_memory

STEPS = 4.0  # logits from the threshold down to the median clean image


def remember_clean(config: TrainConfig, dataset: Dataset, network: Segmenter, folds: pd.DataFrame) -> np.ndarray:
    """Give a network its memory and its threshold.

    Args:
        config: the settings.
        dataset: the images.
        network: of task ``anomaly``; it is changed.
        folds: of the clean images, see ``part_into_folds``.

    Returns:
        ``(N,)`` distance of each clean image's most unusual place from the memory that does not know the image.
    """
    names = folds["image"].tolist()
    fold_of = dict(zip(names, folds["fold"].tolist(), strict=True))
    rng = np.random.default_rng(config.seed)

    def images(what: str) -> Images:
        threads = thread_count(config.num_of_workers)
        with tqdm(desc=what, total=len(names), disable=None) as bar:
            for some, pixels in batches(dataset, names, config.channels, config.image_size, BATCH, threads):
                yield some, pixels
                bar.update(len(some))

    found = gather(network, images("look at clean steel"), len(names), rng)
    numbers = sorted(set(fold_of.values()))
    memories = []
    for number in numbers:
        others = torch.cat([rows for name, rows in found.items() if fold_of[name] != number])
        memories.append(make_memory(others, min(config.memory, len(others)), rng))
    memory_of = {name: numbers.index(fold_of[name]) for name in names}
    scores = np.array(list(farthest(network, memories, images("compare"), memory_of).values()))
    net, memory = network.net, memories[numbers.index(1)]
    net.remember(*memory)  # type: ignore[operator]
    centre = alarm_threshold(scores, config.false_alarms)
    net.centre.fill_(centre)  # type: ignore[operator, union-attr]
    net.spread.fill_(max((centre - float(np.median(scores))) / STEPS, 1e-3))  # type: ignore[operator, union-attr]
    components = len(memory.bias)
    network.spec = dataclasses.replace(network.spec, memory=len(memory.vectors), components=components)
    return scores
