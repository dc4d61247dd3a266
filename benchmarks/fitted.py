"""Networks for benchmarks: a random encoder, and a decoder trained on synthetic strips for half a minute.

The network takes the same time whatever its weights, but what comes behind it depends on its masks, and those of random
weights are noise: thousands of specks, on which plain scripts spend seconds. The last layer is fitted by least squares and the
decoder trained on crops for a moment, which leaves up to some hundred specks of one class and little else: nearly clean strips,
which favour the script that ``inference.py`` compares with.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from utils.data.annotation_table import read_annotations
from utils.data.folder_layout import read_class_names
from utils.data.images import read_image
from utils.decision.decision import Decision
from utils.models.factory import build
from utils.models.segmenter import Segmenter, parts
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile

STRIPS = 6  # to fit masks on; labels of whole images take all there are
STEPS = 15  # of the decoder's training, four crops each
MIN_AREA = 600  # pixels, as usual on these images
SAMPLES = 40_000  # pixels to fit on, half of them of defects


def fit(spec: ModelSpec, data: Path, folder: Path, input_size: tuple[int, int] | None = None) -> Path:
    """Write the weights file of a fitted network, unless it is there.

    Args:
        spec: the network.
        data: folder of synthetic strips with ``test_labels.csv``.
        folder: for the weights file.
        input_size: (H, W) in pixels that images are resized to, for classifiers; none: their own size.

    Returns:
        The weights file.
    """
    stem = f"{spec.architecture}-{spec.encoder}-{spec.task}" + (f"-{spec.downsample}" if spec.downsample > 1 else "")
    for found in folder.glob(f"{stem}-????????.pth"):
        return found
    torch.manual_seed(0)
    model = build(spec).eval()
    images, labels = _read(data, spec)
    if input_size:
        images = [cv2.resize(image, input_size[::-1], interpolation=cv2.INTER_LINEAR) for image in images]
    settle(model, images)
    if spec.labels:
        _fit_labels(model, images, labels)
    if spec.outputs:
        _fit_masks(model, images, labels)
        _train_decoder(model, images, labels)
    decision = Decision.uniform(len(spec.scored_names), 0.5, MIN_AREA)
    file = WeightsFile(spec, model.net.state_dict(), model.mean, model.std, input_size, decision)
    return file.save_named(folder, stem)


def settle(model: Segmenter, images: Sequence[np.ndarray]) -> None:
    """Set the batch normalisations to the statistics of real features; with random weights alone numbers grow or vanish."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # mean of all
        layer.train()
    _forward(model, [image[:, :512] for image in images[:6]])
    model.eval()


def _read(data: Path, spec: ModelSpec) -> tuple[list[np.ndarray], list[np.ndarray]]:
    annotations = read_annotations(data / "test_labels.csv", read_class_names(data))
    images, labels = [], []
    for path in sorted((data / "test_images").iterdir())[: None if spec.labels else STRIPS]:
        image = read_image(path, spec.channels)
        images.append(image)
        labels.append(annotations.mask(path.name, *image.shape[:2]))
    return images, labels


@torch.inference_mode()
def _forward(model: Segmenter, images: Sequence[np.ndarray]) -> None:
    for image in images:
        model(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])


def _features(model: Segmenter, layer: nn.Module, images: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """Return what a layer sees of each image."""
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    _forward(model, images)
    hook.remove()
    return seen


def _last(module: nn.Module, kind: type) -> nn.Module:
    return [layer for layer in module.modules() if isinstance(layer, kind)][-1]


def _fit_masks(model: Segmenter, images: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> None:
    """Fit the last convolution to the labels, with as many pixels of each class as the labels have."""
    layer = _last(model.net.segmentation_head, nn.Conv2d)
    random = np.random.default_rng(0)
    rows, wanted, everywhere = [], [], []
    for features, masks in zip(_features(model, layer, images), labels, strict=True):
        columns = functional.unfold(features, layer.kernel_size, padding=layer.padding)[0].T.double()
        every = model.spec.downsample
        truth = masks[::every, ::every].reshape(-1, masks.shape[-1])
        defect = np.flatnonzero(truth.any(axis=1))
        some = random.choice(len(truth), SAMPLES // len(images))
        chosen = np.concatenate([some, random.choice(defect, len(some)) if len(defect) else some])
        rows.append(columns[chosen])
        wanted.append(torch.from_numpy(truth[chosen]).double())
        everywhere.append(columns[some])
    weight, mean = _least_squares(torch.cat(rows), torch.cat(wanted))
    scores = (torch.cat(everywhere) - mean) @ weight
    shares = np.mean([mask.mean(axis=(0, 1)) for mask in labels], axis=0)
    level = torch.stack([scores[:, k].quantile(1 - max(float(share), 1e-4)) for k, share in enumerate(shares)])
    scale = 4 / scores.std(dim=0).clamp(min=1e-9)  # a class that these strips do not show has the score 0 everywhere
    with torch.no_grad():
        layer.weight.copy_((weight * scale).T.reshape(layer.weight.shape))
        layer.bias.copy_(-(level + mean @ weight) * scale)


def _train_decoder(model: Segmenter, images: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> None:
    """Train decoder and last layer on crops, half of them on a defect; the encoder stays random."""
    random = np.random.default_rng(0)
    layers = [*model.net.decoder.parameters(), *model.net.segmentation_head.parameters()]
    optimizer = torch.optim.Adam(layers, lr=3e-3)
    model.requires_grad_(False)
    for layer in layers:
        layer.requires_grad_(True)
    for _ in range(STEPS):
        batch, wanted = [], []
        for number in range(4):
            at = int(random.integers(len(images)))
            found = np.argwhere(labels[at].any(axis=-1))
            y, x = random.integers(0, images[at].shape[:2])
            if number % 2 and len(found):
                y, x = found[random.integers(len(found))]
            top, left = np.clip([y - 64, x - 128], 0, np.array(images[at].shape[:2]) - [128, 256])
            window = np.s_[top : top + 128, left : left + 256]
            batch.append(images[at][window].transpose(2, 0, 1))
            wanted.append(labels[at][window].transpose(2, 0, 1))
        logits, _ = parts(model(torch.from_numpy(np.stack(batch))))
        truth = torch.from_numpy(np.stack(wanted)).float()
        loss = functional.binary_cross_entropy_with_logits(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    settle(model, images)


def _fit_labels(model: Segmenter, images: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> None:
    """Fit the last linear layer to whether the images have a defect, or to which classes they have."""
    layer = _last(model.net.classification_head, nn.Linear)
    features = torch.cat(_features(model, layer, images)).flatten(1).double()
    truth = torch.from_numpy(np.stack([mask.any(axis=(0, 1)) for mask in labels]))
    if model.spec.labels == 1:
        truth = truth.any(dim=1, keepdim=True)
    weight, mean = _least_squares(features, truth.double())
    middle = truth.double().mean(dim=0) - 0.5
    with torch.no_grad():
        layer.weight.copy_(8 * weight.T)
        layer.bias.copy_(8 * (middle - mean @ weight))


def _least_squares(rows: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights and the mean of the rows; a little damped, since features may be as many as rows."""
    mean = rows.mean(dim=0)
    centred = rows - mean
    gram = centred.T @ centred
    gram += 1e-4 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.solve(gram, centred.T @ (wanted - wanted.mean(dim=0))), mean
