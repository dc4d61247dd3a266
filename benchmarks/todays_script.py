"""The script that people write today for this task, to compare with: nothing in it is clever, nothing is stupid on purpose.

PyTorch eager in f32, one image at a time: decode, normalise in NumPy, forward, sigmoid, a threshold for each class, a
Python loop over the connected components, run-length codes, and a picture by matplotlib.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from matplotlib import figure

from utils.weights.weights_file import WeightsFile


def mask_to_rle(mask: np.ndarray) -> str:
    """Encode as in the competition's starter notebooks."""
    pixels = np.concatenate([[0], mask.T.flatten(), [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(x) for x in runs)


def post_process(probability: np.ndarray, threshold: float, min_size: int) -> np.ndarray:
    """Keep the components that are large enough, as in the competition's starter notebooks."""
    mask = cv2.threshold(probability, threshold, 1, cv2.THRESH_BINARY)[1]
    count, component = cv2.connectedComponents(mask.astype(np.uint8))
    predictions = np.zeros(probability.shape, np.float32)
    for c in range(1, count):
        p = component == c
        if p.sum() > min_size:
            predictions[p] = 1
    return predictions


def run(weights: WeightsFile, images: Sequence[Path], out: Path, pictures: bool) -> float:
    """Predict images into ``submission.csv``, with a PNG of each if wanted.

    Returns:
        Seconds, without loading the network.
    """
    model = weights.build().net
    mean, std = np.array(weights.mean), np.array(weights.std)
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    rows = []
    for path in images:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        pixels = ((image / 255.0 - mean) / std).astype(np.float32)
        batch = torch.from_numpy(pixels.transpose(2, 0, 1))[None]
        with torch.no_grad():
            probabilities = torch.sigmoid(model(batch))[0].numpy()
        masks = []
        for index, (probability, decision) in enumerate(zip(probabilities, weights.decision.per_class, strict=True)):
            mask = post_process(probability, decision.threshold, decision.min_area)
            masks.append(mask)
            rows.append({"ImageId_ClassId": f"{path.name}_{index + 1}", "EncodedPixels": mask_to_rle(mask)})
        if pictures:
            picture = figure.Figure(figsize=(16, 6))
            axes = picture.subplots(2, 1)
            axes[0].imshow(image)
            axes[0].set_title(path.name)
            axes[1].imshow(image)
            for index, mask in enumerate(masks):
                axes[1].imshow(np.ma.masked_where(mask == 0, mask * (index + 1)), alpha=0.5, vmin=0, vmax=len(masks))
            picture.savefig(out / f"{path.stem}.png")
    pd.DataFrame(rows).to_csv(out / "submission.csv", index=False)
    return time.perf_counter() - start
