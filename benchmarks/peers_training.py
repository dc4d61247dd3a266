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
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from benchmarks.todays_script import post_process
from config import ConvertConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.convert import convert
from utils.data.dataset_folder import open_dataset
from utils.data.splits import TRAIN, VALID, read_split
from utils.device import cpu_has_bf16
from utils.errors import InputError
from utils.files import write_text
from utils.scoring.counts import Counts, count
from utils.scoring.scores import scores

ROOT = Path(__file__).parents[1]
PEERS = ("project", "script", "deeplab", "ultralytics")

# Each program takes the folder of the data, the folder of its masks, epochs, threads and precision. After each epoch it writes the
# masks of the validation images, 0 for background, and the seconds that it has learnt until then, into seconds.json.
LOOP = """
import json, sys, time
from pathlib import Path
import cv2, numpy as np, torch
from torch.nn import functional
data, out, epochs, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
torch.manual_seed(1)
classes = len((data / "classes.txt").read_text().splitlines())
def read(side):
    names = (data / f"{side}.txt").read_text().splitlines()
    images = np.stack([cv2.cvtColor(cv2.imread(name), cv2.COLOR_BGR2RGB) for name in names])
    masks = np.stack([cv2.imread(str(data / "masks" / (Path(name).stem + ".png")), cv2.IMREAD_UNCHANGED) for name in names])
    return [Path(name).stem for name in names], torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks)
_, images, masks = read("train")
names, questions, _ = read("valid")
if NETWORK == "unet":
    import segmentation_models_pytorch as smp
    network = smp.Unet("resnet18", encoder_weights=None, classes=classes)
    answer = lambda x: network(x)
else:
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large
    network = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)
    answer = lambda x: network(x)["out"]
network = network.to(memory_format=torch.channels_last)
mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
height, width = images.shape[2:]
padding = (0, -width % 32, 0, -height % 32)
prepare = lambda x: functional.pad((x / 255 - mean) / std, padding, mode="reflect").to(memory_format=torch.channels_last)
bf16 = sys.argv[5] == "bf16"
optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
batch_size = 8
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, epochs * (len(images) // batch_size))
seconds = []
for epoch in range(epochs):
    start = time.perf_counter()
    network.train()
    for batch in torch.randperm(len(images)).split(batch_size):
        if len(batch) < batch_size:
            continue
        axes = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
        x = prepare(images[batch].flip(axes))
        y = torch.stack([masks[batch] == number + 1 for number in range(classes)], 1).flip(axes).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = answer(x)
        logits = logits.float()[..., :height, :width]
        p = logits.sigmoid()
        dice = 1 - ((2 * (p * y).sum((0, 2, 3)) + 1) / ((p + y).sum((0, 2, 3)) + 1)).mean()
        loss = functional.binary_cross_entropy_with_logits(logits, y) + dice
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    seconds.append((seconds[-1] if seconds else 0) + time.perf_counter() - start)
    folder = out / str(epoch + 1)
    folder.mkdir(parents=True)
    network.eval()
    for number, name in enumerate(names):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            p = answer(prepare(questions[number : number + 1])).float().sigmoid()[0, :, :height, :width].numpy()
        cv2.imwrite(str(folder / (name + ".png")), np.where(p.max(0) > 0.5, p.argmax(0) + 1, 0).astype(np.uint8))
    (out / "seconds.json").write_text(json.dumps(seconds))
"""
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
PROGRAMS = {"script": 'NETWORK = "unet"' + LOOP, "deeplab": 'NETWORK = "deeplab"' + LOOP, "ultralytics": ULTRALYTICS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeersTrainingConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder with images of one size")
    split: Path = flag("CSV with image and side: train is learnt, valid is scored after each epoch")
    peers: tuple[str, ...] = flag(", ".join(PEERS), PEERS)
    ultralytics: Path | None = flag("python of an environment with ultralytics; none: without it", None)
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
        epochs = project(config) if peer == "project" else other(config, peer, data)
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


def lay_out(config: PeersTrainingConfig) -> Path:
    """Write what the peers read: lists of the sides, index masks, outlines; return the folder.

    Raises:
        InputError: the folder is in use, or the split lacks a side.
    """
    data = (config.runs / "data").resolve()
    if data.exists():
        raise InputError(f"-runs {config.runs}: holds a comparison already; name a new folder")
    dataset = open_dataset(config.dir)
    frame = read_split(config.split, list(dataset.images))
    sides = {side: sorted(frame.loc[frame["side"] == side, "image"]) for side in (TRAIN, VALID)}
    if not all(sides.values()):
        raise InputError(f"-split {config.split}: expected images on the sides {TRAIN} and {VALID}")
    layouts: tuple[tuple[Any, Path], ...] = (("yolo", data), ("index-masks", data / "masks"))
    for layout, folder in layouts:
        convert(ConvertConfig(source="dataset", to=layout, dir=config.dir, out=folder))
    for side, names in sides.items():
        write_text(data / f"{side}.txt", "".join(f"{data / 'images' / name}\n" for name in names))
    write_text(data / "classes.txt", "\n".join(dataset.annotations.class_names) + "\n")
    settings: dict[str, Any] = {"path": str(data), "train": f"{TRAIN}.txt", "val": f"{VALID}.txt"}
    settings |= {"names": dict(enumerate(dataset.annotations.class_names))}
    write_text(data / "yolo.yaml", json.dumps(settings))
    return data


def project(config: PeersTrainingConfig) -> list[tuple[float, float, float]]:
    """Train by ``Train.py``; return seconds, mean Dice and defect-only Dice after each epoch."""
    out = config.runs / "project"
    words = {"-dir": config.dir, "-split": config.split, "-recipe": "muon", "-encoder": "resnet18"}
    words |= {"-encoder_weights": "none", "-decoder_channels": "128,64,32,16,16", "-augmentation": "d4"}
    words |= {"-crop": "128,128", "-batch_size": 16, "-num_epochs": config.project_epochs, "-seed": 1}
    words |= {"-min_area": config.min_area, "-threads": config.threads, "-num_of_workers": 0, "-device": "cpu"}
    words |= {"-precision": precision(), "-out": out}
    command = [str(word) for pair in words.items() for word in pair]
    call([sys.executable, str(ROOT / "Train.py"), *command], "project", config.threads)
    seconds, epochs = 0.0, []
    with open(out / "history.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seconds += float(row["train_seconds"])
            epochs.append((seconds, float(row["valid_dice"]), float(row["valid_defect_dice"])))
    return epochs


def other(config: PeersTrainingConfig, peer: str, data: Path) -> list[tuple[float, float, float]]:
    """Train a peer in its own interpreter; return seconds, mean Dice and defect-only Dice after each epoch."""
    python = str(config.ultralytics) if peer == "ultralytics" else sys.executable
    out = (config.runs / peer).resolve()
    out.mkdir(parents=True)
    epochs: int = getattr(config, f"{peer}_epochs")
    call(
        [python, "-c", PROGRAMS[peer], str(data), str(out), str(epochs), str(config.threads), precision()],
        peer,
        config.threads,
    )
    seconds = json.loads((out / "seconds.json").read_text(encoding="utf-8"))
    names = (data / f"{VALID}.txt").read_text(encoding="utf-8").splitlines()
    classes = len((data / "classes.txt").read_text(encoding="utf-8").splitlines())
    return [
        (spent, *score(out / str(number), data / "masks", names, classes, config.min_area))
        for number, spent in enumerate(seconds, 1)
    ]


def score(answers: Path, truths: Path, names: Sequence[str], classes: int, min_area: int) -> tuple[float, float]:
    """Compute mean Dice and defect-only Dice of index masks, without components of fewer pixels than ``min_area``."""
    counts = Counts()
    for name in names:
        file = Path(name).stem + ".png"
        answer, truth = (cv2.imread(str(folder / file), cv2.IMREAD_UNCHANGED) for folder in (answers, truths))
        planes = [
            post_process(np.asarray(answer == number + 1, np.float32), 0.5, min_area - 1) > 0
            for number in range(classes)
        ]
        wanted = [truth == number + 1 for number in range(classes)]
        predicted, target = (torch.from_numpy(np.stack(part))[None] for part in (planes, wanted))
        counts.add([name], *count(predicted, target))
    total = scores(counts, [str(number) for number in range(classes)])
    return total.mean_dice, total.defect_dice or 0.0


def precision() -> str:
    """Return the precision of this project and of the plain loop: bf16 where the processor multiplies it in hardware."""
    return "bf16" if cpu_has_bf16() else "f32"


def call(command: Sequence[str], name: str, threads: int) -> None:
    """Run a program on so many threads.

    Raises:
        InputError: it ended with an error, whose last line is told.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise InputError(f"{name}: {last[0] if last else f'ended with {done.returncode}'}")


if __name__ == "__main__":
    sys.exit(run(main))
