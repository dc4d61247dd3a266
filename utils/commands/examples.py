"""Pictures of a few chosen images for a report: the prediction above the labels and where they agree, small enough to lie in the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from utils.commands.fold_networks import FoldPipelines
from utils.data.dataset_folder import Dataset
from utils.inference.ground_truth import GroundTruth
from utils.inference.inspected import Inspected
from utils.inference.pipeline import InspectionPipeline
from utils.reporting.overlays import draw_agreement, draw_overlay
from utils.scoring.evaluation import Evaluation
from utils.scoring.scores import pair_dice

if TYPE_CHECKING:
    from utils.reporting.evaluation import ExamplePicture

NARROW, WIDE = 320, 1600  # pixels: smaller images are enlarged before they are drawn on, larger pictures reduced
QUALITY = 85  # of the JPEG, 0..100: outlines stay clean at a tenth of a PNG's size


def draw_examples(
    pipeline: InspectionPipeline | FoldPipelines,
    dataset: Dataset,
    names: Sequence[str],
    labels: GroundTruth,
    evaluation: Evaluation,
) -> dict[str, "ExamplePicture"]:
    """Run the network once more on some images and draw them.

    Args:
        pipeline: that made the evaluation.
        dataset: the images.
        names: of those to draw; one that cannot be read any more is left out.
        labels: the ground truth.
        evaluation: gives the Dice that stands beside each.

    Returns:
        By the image's name.
    """
    from utils.reporting.evaluation import ExamplePicture

    class_names = evaluation.class_names
    rows = {name: row for row, name in enumerate(evaluation.counts.images)}
    all_dice = pair_dice(evaluation.counts).numpy()

    def draw(path: Path, result: Inspected) -> ExamplePicture:
        truth = labels.masks(result.name, *result.image.shape[:2])
        dice = all_dice[rows[result.name]]
        involved = [bool(mask.any() or true.any()) for mask, true in zip(result.masks, truth, strict=True)]
        enlarged = _enlarged(result.image, result.masks, class_names, truth)
        picture = np.concatenate([draw_overlay(*enlarged), draw_agreement(enlarged[0], enlarged[1], enlarged[3])])
        if picture.shape[1] > WIDE:
            height = round(picture.shape[0] * WIDE / picture.shape[1])
            picture = cv2.resize(picture, (WIDE, height), interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        known = {name: float(dice[k]) for k, name in enumerate(class_names) if involved[k]}
        return ExamplePicture(result.name, data.tobytes(), picture.shape[1], known)

    paths = [dataset.path(name) for name in names]
    return {example.name: example for _, example in pipeline.run(paths, draw, dataset.image_dir)}


def _enlarged(
    image: np.ndarray, masks: np.ndarray, class_names: tuple[str, ...], truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], np.ndarray]:
    """Repeat the pixels of a small image, so that outlines and letters do not cover it."""
    times = -(-NARROW // image.shape[1])
    if times > 1:
        image, masks, truth = (
            part.repeat(times, axis).repeat(times, axis + 1) for part, axis in ((image, 0), (masks, 1), (truth, 1))
        )
    return image, masks, class_names, truth
