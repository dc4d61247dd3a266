"""Propose labels: what a network finds in images, for people to correct."""

from pathlib import Path

import numpy as np

from config import ConvertConfig, PredictConfig
from utils.commands.progress import progress, require_images
from utils.data import rle
from utils.data.convert.labels import Labels, LeftOut
from utils.data.folder_layout import IMAGES
from utils.data.listing import list_images, name_in
from utils.errors import InputError
from utils.inference.chosen import choose_weights
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.text import plural


def propose(config: ConvertConfig) -> Labels:
    """Find the defects of images with a network, by the thresholds of its weights file.

    Args:
        config: ``weights_dir``; ``images``, or with ``-from dataset`` the images of ``split`` in ``dir``.

    Returns:
        Labels that tell which network proposed them, and for each image with a defect the mean probability of the defect
        that the network is least sure of. Images that cannot be read are left out.

    Raises:
        InputError: no images, no weights, or a network that draws no masks.
    """
    folder = config.images if config.source == "network" else config.dir / IMAGES[config.split]
    if folder is None:
        raise InputError("convert -from network needs -images FOLDER")
    paths = list_images(folder)
    if not paths:
        raise InputError(f"{folder}: holds no images; -images expects the images to propose labels for")
    assert config.weights_dir is not None
    flags = PredictConfig(images=folder, weights_dir=config.weights_dir)
    chosen = choose_weights(flags)
    if chosen.weights.spec.is_classifier:
        raise InputError(f"{chosen.path}: judges whole images and draws no masks; give a network that segments")
    skipped: list[Refused] = []
    pipeline = open_pipeline(chosen, flags, skipped, describe=True, images=len(paths))
    codes: dict[str, dict[int, str]] = {}
    scores: dict[str, float] = {}

    def finish(path: Path, result: Inspected) -> tuple[str, dict[int, str], np.ndarray]:
        masks = {number: mask for number, mask in enumerate(result.masks, 1) if mask.any()}
        found = {number: rle.encode(mask) for number, mask in masks.items()}
        return result.name, found, result.defects["mean_probability"]

    with progress(len(paths), "propose") as bar:
        for _, (name, found, probabilities) in pipeline.run(paths, finish, folder):
            codes[name] = found
            if len(probabilities):
                scores[name] = float(probabilities.min())
            bar.update()
    require_images(len(codes), skipped)
    by = f"{chosen.path.name} ({chosen.sha8})"
    notes = [f"proposed by {by}, confirmed by nobody: {plural(len(scores), 'image')} of {len(codes)} with a defect"]
    return Labels(
        {name: folder / name for name in codes},
        codes,
        chosen.class_names,
        notes,
        left_out=[LeftOut(name_of(folder, refused.name), refused.reason) for refused in skipped],
        proposed_by=by,
        scores=scores,
    )


def name_of(folder: Path, named: str) -> str:
    """Return the name of an image that a pipeline skipped, which it knows by its path."""
    path = Path(named)
    return name_in(folder, path) if path.is_relative_to(folder) else named
