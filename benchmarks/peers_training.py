"""Training beside what people would pick instead: minutes to a Dice on images of scenes that nobody has learnt.

Every peer starts from random weights, learns side ``train`` of ``-split`` on the same cores and answers side ``valid`` after
each epoch: this project by ``Train.py -recipe muon``; ``script``, a plain loop around SMP's U-Net resnet18; torchvision's
DeepLabV3-MobileNetV3 in the same loop; Ultralytics' YOLO11n-seg by its own trainer. Minutes are those of learning: nobody
pays for validation. Masks are scored by one place for all, without components under ``-min_area`` pixels. The schedules end
with the last epoch, so give each peer the epochs that fill the minutes it may have. Ultralytics is under the AGPL: it lives
in an environment of its own, and its row is left out without one.

    python benchmarks/peers_training.py -dir NEU -split split_one.csv -ultralytics VENV/bin/python
"""

import csv
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from benchmarks.peers import PEERS, call
from benchmarks.plain_loop import Normal, PlainConfig, learn, stacked
from benchmarks.todays_script import post_process
from config import ConvertConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.convert import convert
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.splits import TRAIN, VALID, read_split
from utils.device import cpu_has_bf16
from utils.errors import InputError
from utils.files import write_text
from utils.scoring.counts import Counts, count
from utils.scoring.scores import scores

ROOT = Path(__file__).parents[1]
Epoch = tuple[float, float, float]  # seconds of learning until then, mean Dice, defect-only Dice

# Takes the folder of the data, the folder of its masks, epochs and threads. Of each epoch it writes the masks of the validation
# images, 0 for background, and into seconds.json the seconds that it has learnt until then.
ULTRALYTICS = """
import json, os, sys, time
from pathlib import Path
data, out, epochs, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
os.chdir(out)
import cv2, numpy as np, torch
torch.set_num_threads(threads)
from ultralytics import YOLO
names = (data / "valid.txt").read_text().splitlines()
side = -(-max(cv2.imread(names[0]).shape[:2]) // 32) * 32
network = YOLO("yolo11n-seg.yaml")
seconds, begun = [], [0.0]
def begin(trainer):
    begun[0] = time.perf_counter()
def end(trainer):
    seconds.append((seconds[-1] if seconds else 0) + time.perf_counter() - begun[0])
network.add_callback("on_train_epoch_start", begin)
network.add_callback("on_train_epoch_end", end)
network.train(data=str(data / "yolo.yaml"), epochs=epochs, imgsz=side, device="cpu", workers=0, batch=16, val=False,
              plots=False, save_period=1, project=str(out), name="run", exist_ok=True, flipud=0.5, verbose=False)
for epoch in range(epochs):
    file = out / "run" / "weights" / f"epoch{epoch}.pt"
    answers = YOLO(str(file) if file.exists() else str(out / "run" / "weights" / "last.pt"))
    folder = out / str(epoch + 1)
    folder.mkdir()
    for name in names:
        (found,) = answers.predict(name, imgsz=side, verbose=False, retina_masks=True, device="cpu")
        index = np.zeros(found.orig_shape, np.uint8)
        if found.masks is not None:
            order = np.argsort(found.boxes.conf.numpy())  # the surest is drawn last, on top
            for mask, kind in zip(found.masks.data.numpy()[order], found.boxes.cls.numpy()[order]):
                index[mask > 0] = int(kind) + 1
        cv2.imwrite(str(folder / (Path(name).stem + ".png")), index)
(out / "seconds.json").write_text(json.dumps(seconds))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeersTrainingConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder with images of one size")
    split: Path = flag("CSV with image and side: train is learnt, valid is scored after each epoch")
    peers: tuple[str, ...] = flag(", ".join(PEERS), PEERS)
    ultralytics: Path | None = flag("python of an environment with ultralytics; none: without it", None)
    encoder: str = flag("of this project's U-Net", "resnet18")
    downsample: int = flag("of this project's U-Net, as for Train.py", 2)
    crop: tuple[int, int] = flag("of this project, as for Train.py", (192, 192))
    recipe: str = flag("of this project, as for Train.py", "muon")
    project_epochs: int = flag("passes of this project over the images", 24, low=1)
    script_epochs: int = flag("of the plain loop around SMP's U-Net", 12, low=1)
    deeplab_epochs: int = flag("of torchvision's network", 24, low=1)
    ultralytics_epochs: int = flag("of Ultralytics' network", 24, low=1)
    goals: tuple[str, ...] = flag("defect-only Dice whose minutes are printed", ("0.5", "0.6", "0.7"))
    min_area: int = flag("smallest connected defect in pixels, of every peer", 100, low=0)
    threads: int = flag("CPU threads", 1, low=1)
    runs: Path = flag("new or empty folder for data, masks and runs", Path("runs/peers_training"))
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/peers_training.csv")


def main(argv: Sequence[str]) -> int:
    """Train each peer, score its epochs, write and print."""
    config = parse(PeersTrainingConfig, argv, "peers_training.py", "Time training beside other projects.")
    unknown = [peer for peer in config.peers if peer not in PEERS]
    if unknown:
        raise InputError(f"-peers {','.join(unknown)}: choose from {', '.join(PEERS)}")
    try:
        goals = [float(goal) for goal in config.goals]
    except ValueError as error:
        raise InputError(f"-goals {','.join(config.goals)}: expected numbers") from error
    data = lay_out(config)
    for peer in config.peers:
        if peer == "ultralytics" and config.ultralytics is None:
            print("ultralytics: left out; -ultralytics names the python of an environment that has it", file=sys.stderr)
            continue
        if peer == "project":
            epochs = project(config)
        else:
            epochs = ultralytics(config, data) if peer == "ultralytics" else loop(config, peer, data)
        rows = [
            {
                "peer": peer,
                "epoch": number,
                "minutes": round(s / 60, 2),
                "dice": round(d, 4),
                "defect_dice": round(e, 4),
            }
            for number, (s, d, e) in enumerate(epochs, 1)
        ]
        write_rows(config.out, [{**row, **facts(config.threads, "torch")} for row in rows])
        print(told(peer, rows, goals), flush=True)
    return DONE


def told(peer: str, rows: Sequence[dict[str, Any]], goals: Sequence[float]) -> str:
    """Return a peer's line: minutes to each goal, and the scores after its last epoch."""
    parts = []
    for goal in goals:
        minutes = next((row["minutes"] for row in rows if row["defect_dice"] >= goal), None)
        parts.append(f"{goal:g} " + ("not reached" if minutes is None else f"after {minutes:.1f} min"))
    last = rows[-1]
    end = f"after all {last['minutes']:.1f} min: mean Dice {last['dice']:.3f}, defect-only {last['defect_dice']:.3f}"
    return f"{peer}: defect-only Dice {', '.join(parts)}; {end}"


@dataclasses.dataclass(frozen=True)
class Data:
    """What the peers learn and answer about.

    Attributes:
        dataset: the labelled images.
        sides: names of the images of each side.
        folder: the same as Ultralytics reads it.
    """

    dataset: Dataset
    sides: dict[str, list[str]]
    folder: Path


def lay_out(config: PeersTrainingConfig) -> Data:
    """Read the split, and write outlines and lists for Ultralytics.

    Raises:
        InputError: the folder is in use, or the split lacks a side.
    """
    folder = (config.runs / "data").resolve()
    if folder.exists():
        raise InputError(f"-runs {config.runs}: holds a comparison already; name a new folder")
    dataset = open_dataset(config.dir)
    frame = read_split(config.split, list(dataset.images))
    sides = {side: sorted(frame.loc[frame["side"] == side, "image"]) for side in (TRAIN, VALID)}
    if not all(sides.values()):
        raise InputError(f"-split {config.split}: expected images on the sides {TRAIN} and {VALID}")
    convert(ConvertConfig(source="dataset", to="yolo", dir=config.dir, out=folder))
    for side, names in sides.items():
        write_text(folder / f"{side}.txt", "".join(f"{folder / 'images' / name}\n" for name in names))
    settings: dict[str, Any] = {"path": str(folder), "train": f"{TRAIN}.txt", "val": f"{VALID}.txt"}
    settings |= {"names": dict(enumerate(dataset.annotations.class_names))}
    write_text(folder / "yolo.yaml", json.dumps(settings))
    return Data(dataset, sides, folder)


def project(config: PeersTrainingConfig) -> list[Epoch]:
    """Train by ``Train.py``; return seconds, mean Dice and defect-only Dice after each epoch."""
    out = config.runs / "project"
    words = {"-dir": config.dir, "-split": config.split, "-recipe": config.recipe, "-encoder": config.encoder}
    words |= {"-encoder_weights": "none", "-decoder_channels": "128,64,32,16,16", "-augmentation": "d4"}
    words |= {
        "-crop": ",".join(map(str, config.crop)),
        "-downsample": config.downsample,
        "-batch_size": 16,
        "-num_epochs": config.project_epochs,
        "-seed": 1,
    }
    words |= {"-min_area": config.min_area, "-threads": config.threads, "-num_of_workers": 0, "-device": "cpu"}
    words |= {"-precision": "bf16" if cpu_has_bf16() else "f32", "-out": out}
    command = [str(word) for pair in words.items() for word in pair]
    call([sys.executable, str(ROOT / "Train.py"), *command], "project", config.threads)
    seconds, epochs = 0.0, []
    with open(out / "history.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seconds += float(row["train_seconds"])
            epochs.append((seconds, float(row["valid_dice"]), float(row["valid_defect_dice"])))
    return epochs


class DeepLab(nn.Module):
    """torchvision's DeepLabV3-MobileNetV3 from random weights, with logits as its answer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.net = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits, ``(N, C, H, W)``."""
        logits: torch.Tensor = self.net(images)["out"]
        return logits


def loop(config: PeersTrainingConfig, peer: str, data: Data) -> list[Epoch]:
    """Train SMP's or torchvision's network by the plain loop, with its settings."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(1)
    classes = len(data.dataset.annotations.class_names)
    network = smp.Unet("resnet18", encoder_weights=None, classes=classes) if peer == "script" else DeepLab(classes)
    network = network.to(memory_format=torch.channels_last)
    images, masks = stacked(data.dataset, data.sides[TRAIN])
    questions, truths = stacked(data.dataset, data.sides[VALID])
    normal = Normal(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, 32)
    epochs = config.script_epochs if peer == "script" else config.deeplab_epochs
    found = []
    for _, seconds in learn(network, images, masks, normal, epochs, PlainConfig.batch_size, PlainConfig.lr):
        network.eval()
        with torch.inference_mode():
            answers = [(normal.answer(network, one[None]).sigmoid()[0] > 0.5).numpy() for one in questions]
        found.append((seconds, *score(answers, truths.bool().numpy(), config.min_area)))
    return found


def ultralytics(config: PeersTrainingConfig, data: Data) -> list[Epoch]:
    """Train Ultralytics' network in its own interpreter."""
    out = (config.runs / "ultralytics").resolve()
    out.mkdir(parents=True)
    words = [str(data.folder), str(out), str(config.ultralytics_epochs), str(config.threads)]
    call([str(config.ultralytics), "-c", ULTRALYTICS, *words], "ultralytics", config.threads)
    classes = range(1, len(data.dataset.annotations.class_names) + 1)
    truths = stacked(data.dataset, data.sides[VALID])[1].bool().numpy()
    found = []
    for number, seconds in enumerate(json.loads((out / "seconds.json").read_text(encoding="utf-8")), 1):
        files = [out / str(number) / f"{Path(name).stem}.png" for name in data.sides[VALID]]
        indices = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
        answers = [np.stack([index == one for one in classes]) for index in indices]
        found.append((seconds, *score(answers, truths, config.min_area)))
    return found


def score(answers: Sequence[np.ndarray], truths: Sequence[np.ndarray], min_area: int) -> tuple[float, float]:
    """Compute mean Dice and defect-only Dice of masks, ``(C, H, W)`` bool, without components under ``min_area`` pixels."""
    counts = Counts()
    for number, (answer, truth) in enumerate(zip(answers, truths, strict=True)):
        kept = np.stack([post_process(plane.astype(np.float32), 0.5, min_area - 1) > 0 for plane in answer])
        counts.add([str(number)], *count(torch.from_numpy(kept)[None], torch.from_numpy(truth)[None]))
    total = scores(counts, [str(number) for number in range(counts.tp.shape[1])])
    return total.mean_dice, total.defect_dice or 0.0


if __name__ == "__main__":
    sys.exit(run(main))
