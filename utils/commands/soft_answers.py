"""What networks say about images, as soft masks on disk."""

from pathlib import Path

import numpy as np
import pandas as pd

from config import EvaluateConfig
from utils.commands.fold_networks import open_folds
from utils.commands.progress import progress, require_images
from utils.data.dataset_folder import open_dataset
from utils.data.soft_masks import to_levels, write_soft_mask
from utils.decision.probabilities import class_probabilities
from utils.inference.inspected import Inspected, Refused
from utils.inference.outputs import picture_names
from utils.weights.run_files import OOF_FOLDER


def write_out_of_fold(config: EvaluateConfig, folds: pd.DataFrame) -> None:
    """Write the out-of-fold answers of a run as soft masks into its folder ``oof``.

    Args:
        config: ``weights_dir`` is the run folder.
        folds: which image is in which fold.
    """
    networks = open_folds(config)
    if networks.first.weights.spec.is_classifier:
        return  # its probabilities are in the table
    dataset = open_dataset(config.dir)
    skipped: list[Refused] = []
    pipeline = networks.pipeline(config, skipped, dataset.image_dir)
    names = sorted(folds["image"])
    pictures = picture_names(names)
    folder = config.weights_dir / OOF_FOLDER

    def write(path: Path, result: Inspected) -> None:
        write_soft_mask(folder / pictures[result.name], to_levels(probabilities(result, pipeline.system.task)))

    done = 0
    with progress(len(names), "probabilities") as bar:
        for _ in pipeline.run([dataset.path(name) for name in names], write, dataset.image_dir):
            bar.update()
            done += 1
    require_images(done, skipped)


def probabilities(result: Inspected, task: str) -> np.ndarray:
    """Return how probable each scored class is in each pixel of an image.

    Args:
        result: of the pipeline; where a gate has turned the image away, all are 0.
        task: of the masks.

    Returns:
        (C, H, W) float32 0..1.
    """
    if result.logits is None:
        return np.zeros(result.masks.shape, np.float32)
    return np.stack([plane.astype(np.float32) for plane in class_probabilities(result.logits, task)])
