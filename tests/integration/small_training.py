"""A dataset folder and settings that train in seconds, and what such runs are compared by."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from config import TrainConfig
from tests.conftest import NARROW
from utils.data.rle import encode
from utils.weights.finding import find
from utils.weights.weights_file import load


def draw_strips(root: Path) -> Path:
    """24 images of 40x72: bright squares are class 1, dark bars class 2, some clean."""
    (root / "train_images").mkdir()
    random = np.random.default_rng(0)
    rows = []
    for number in range(24):
        image = random.normal(120, 6, (40, 72)).clip(0, 255).astype(np.uint8)
        name = f"{number:02d}.png"
        for class_id, (shade, height, width) in {1: (220, 14, 14), 2: (20, 6, 40)}.items():
            if number % 3 in (0, class_id):
                top, left = random.integers(0, 40 - height), random.integers(0, 72 - width)
                image[top : top + height, left : left + width] = shade
                mask = np.zeros_like(image)
                mask[top : top + height, left : left + width] = 1
                rows.append((name, class_id, encode(mask)))
        cv2.imwrite(str(root / "train_images" / name), image)
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(root / "train.csv", index=False)
    return root


def settings(strips: Path, out: Path, **changes) -> TrainConfig:
    """Settings that train in seconds."""
    small = {
        "encoder": "test_resnet",  # of timm, made for tests: a tenth of the work of resnet18
        "encoder_weights": "none",
        "decoder_channels": NARROW,
        "image_size": (32, 64),
        "subset": "all",
        "num_epochs": 2,
        "batch_size": 4,
        "num_of_workers": 0,
        "device": "cpu",
        "lr_encoder": 1e-3,
        "lr_decoder": 1e-3,
        "threads": 1,  # sums of floats depend on it, and runs are compared bit by bit
    }
    return TrainConfig(dir=strips, out=out, **{**small, **changes})


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load(find(folder)).state_dict


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one) and one.keys() == other.keys()


SPEED_COLUMNS = ["train_seconds", "train_images_per_second", "train_seconds_waiting", "valid_seconds"]
SPEED_COLUMNS += ["valid_images_per_second", "valid_seconds_waiting"]


def history_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "history.csv").drop(columns=SPEED_COLUMNS)
