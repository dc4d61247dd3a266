"""What a training ends with: the weights file of the best epoch, and its scores as ``metrics.json``."""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config import TrainConfig
from utils.data.dataset_folder import Dataset
from utils.files import write_text
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec
from utils.models.trunk import Trunk, layer_of
from utils.training.flags import make_decision, make_label_thresholds
from utils.training.image_hashes import read_hashes
from utils.training.initial_weights import read_origin
from utils.training.provenance import run_provenance
from utils.training.teaching import read_teachers
from utils.weights.appearance import LEAST, MOST, Appearance, described, summarised
from utils.weights.run_files import METRICS
from utils.weights.weights_file import WeightsFile

# What ``metrics`` say about the images of their ``test`` scores.
TEST_DATA = "test split of the run; used for nothing else"


def find_result(folder: Path, spec: ModelSpec) -> Path | None:
    """Return the weights file that a run has written, the newest if there are several; None: none yet."""
    # The dataset folder, which ends the name, may be another when a run is resumed.
    files = folder.glob(f"{'-'.join(_words(spec))}-*.pth")
    return max(files, key=lambda file: file.stat().st_mtime_ns, default=None)


def best_weights(config: TrainConfig, dataset: Dataset, network: Segmenter, best: dict[str, Any]) -> WeightsFile:
    """Return the best epoch's weights with all that running them takes.

    Args:
        config: the run's settings.
        dataset: what was trained on.
        network: the one that was trained, for all but its weights.
        best: what ``checkpoints.read_best`` gives.
    """
    spec = network.spec
    return WeightsFile(
        spec=spec,
        state_dict=best["network"],
        mean=network.mean,
        std=network.std,
        input_size=config.image_size,
        decision=make_decision(config, spec),
        label_thresholds=make_label_thresholds(config, spec),
        bit_depth=dataset.depth.bits,
        float_white=dataset.depth.float_white,
    )


def write_result(
    config: TrainConfig,
    dataset: Dataset,
    file: WeightsFile,
    best: dict[str, Any],
    folder: Path,
    test: dict[str, Any] | None,
    names: Sequence[str] = (),
) -> Path:
    """Write the best epoch's weights as a weights file, and its scores as ``metrics.json``.

    Args:
        config: the run's settings.
        dataset: what was trained on.
        file: what ``best_weights`` gives.
        best: what ``checkpoints.read_best`` gives.
        folder: the run folder.
        test: the scores of the test images; None: there are none.
        names: images trained and validated on, whose look the file keeps.

    Returns:
        The weights file.
    """
    assert config.dir is not None
    data = {"dataset": config.dir.resolve().name, "images": "validation split of the run", "epoch": best["epoch"]}
    metrics = {**data, **best["scores"]}
    if test is not None:
        metrics["test"] = {"data": TEST_DATA, **test}
    file = dataclasses.replace(
        file,
        metrics=metrics,
        provenance={**run_provenance(config, dataset), **read_origin(folder), **read_teachers(folder)},
        image_hashes=read_hashes(folder),
        appearance=look_of(dataset, file, names),
    )
    write_text(folder / METRICS, json.dumps(metrics, indent=2) + "\n")
    return file.save_named(folder, "-".join((*_words(file.spec), data["dataset"])))


def look_of(dataset: Dataset, file: WeightsFile, names: Sequence[str]) -> Appearance | None:
    """Measure how images of a run look, evenly spread, with the first part of its network."""
    if len(names) < LEAST:
        return None
    some = [names[place] for place in np.linspace(0, len(names) - 1, min(len(names), MOST)).astype(int)]
    model = file.build()
    layer = layer_of(model)
    trunk = Trunk(model, layer) if layer else None
    images = (dataset.read(name, len(file.mean)) for name in some)
    return summarised([described(image, trunk.features(image) if trunk else None) for image in images], layer)


def _words(spec: ModelSpec) -> list[str]:
    """Return what the name of a weights file says about the network; a classifier is called by its task."""
    first = spec.task if spec.is_classifier else spec.architecture
    words = [first, spec.encoder, *([spec.target] if spec.target else [])]
    return [re.sub(r"[^\w.]", "_", word) for word in words]
