"""Loading processes start whatever OpenCV did in the main process before."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
import sys
from pathlib import Path

import cv2
import numpy as np

from config import SynthesiseConfig, TrainConfig
from utils.data.annotations import open_dataset
from utils.data.synthetic import synthesise
from utils.training.loaders import make_loaders

folder = Path(sys.argv[1])
synthesise(SynthesiseConfig(dir=folder, num_of_images=4, image_size=(64, 128)))
cv2.setNumThreads(4)
cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (3000, 3000))  # starts OpenCV's threads
dataset = open_dataset(folder)
config = TrainConfig(dir=folder, image_size=None, batch_size=2, num_of_workers=1)
loaders = make_loaders(config, dataset, list(dataset.images[:2]), list(dataset.images[2:]), 0, 1, False)
for name in ("train", "valid"):
    for batch in loaders[name]:
        print(name, len(batch["names"]))
"""


def test_workers_start_after_opencv_has_used_its_threads(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "strips")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["train", "2", "valid", "2"]
