"""How many clean images of other scenes give an alarm for the share that was asked for, over many draws of the scenes.

One clean crop of 96x96 pixels is cut from each image of a labelled dataset folder. Each draw leaves some scenes out, makes
memory and threshold of crops of the others as ``Train.py -task anomaly`` does, and counts alarms on crops of the scenes left
out. The folds are of crops drawn by chance, of stretches of names, as without ``-split``, and of scenes, as with it.

    python benchmarks/false_alarms.py -dir NEU -split split.csv -encoder_weights efficientnet-lite0-57934424.pth
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.anomaly import crop
from benchmarks.machine import facts, write_rows
from config import TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.train_anomaly import stretches
from utils.data.annotations import Annotations, make_rows
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.folds import part_into_folds
from utils.data.splits import TEST, TRAIN, read_split
from utils.models.segmenter import Segmenter
from utils.settings import note_given
from utils.text import columns
from utils.training.alarm_level import alarm_level
from utils.training.alarm_threshold import alarm_threshold, expected_alarms
from utils.training.anomaly_encoder import open_encoder
from utils.training.clean_features import make_memory

RESULTS = Path(__file__).parent / "results" / "false_alarms.csv"
SHOWN = ("folds_of", "asked", "mean", "median", "sd", "within_30", "in_interval")
WAYS = ("crops", "names", "scenes")
FOLDS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class FalseAlarmsConfig:
    """What this benchmark does."""

    dir: Path = flag("labelled dataset folder to cut crops of")
    split: Path = flag("CSV with image, side and group: groups are scenes; side test is left out")
    encoder: str = flag("encoder", "tf_efficientnet_lite0")
    encoder_weights: str = flag("its weights, a FILE or imagenet", "imagenet")
    asked: tuple[float, ...] = flag("shares that are asked for", (0.01, 0.05, 0.1))
    draws: int = flag("of the scenes", 12, low=1)
    held_out: float = flag("share of the scenes that is left out, 0..1", 0.4, low=0.01, high=0.9)
    features: int = flag("of each crop that the memory is computed from", 40, low=1)
    memory: int = flag("looks of clean steel that are told apart, see Train.py", 20, low=1)
    to: Path = flag("CSV file of the results", RESULTS)
    seed: int = flag("fixes crops, draws and memory", 1, low=0)


def cut(dataset: Dataset, scene_of: dict[str, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a clean crop from each image that has room for one.

    Returns:
        ``(N, H, W, 3)`` uint8, and the scene of each, ``(N,)``.
    """
    crops, scenes = [], []
    for number, (name, scene) in enumerate(sorted(scene_of.items())):
        for one in crop(dataset, {name: TRAIN}, seed * 100_000 + number).train:
            crops.append(one)
            scenes.append(scene)
    return np.stack(crops), np.array(scenes)


@torch.inference_mode()
def features_of(network: Segmenter, crops: np.ndarray) -> torch.Tensor:
    """Return ``(N, C, h, w)`` float32 features."""
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2)
    return torch.cat([network.net.features(network.normalised(part)) for part in pixels.split(16)])  # type: ignore[operator]


@torch.inference_mode()
def scores_of(
    network: Segmenter, memory: Sequence[torch.Tensor], maps: torch.Tensor, size: tuple[int, int]
) -> list[float]:
    """Return the level from which each image gives an alarm."""
    network.net.remember(*memory)  # type: ignore[operator]
    found: list[float] = []
    for part in maps.split(32):
        distances = network.net.distances(part)  # type: ignore[operator]
        whole = torch.nn.functional.interpolate(distances, size=size, mode="bilinear", align_corners=False)
        found += [alarm_level(one) for one in whole[:, 0].numpy()]
    return found


def parted(scenes: np.ndarray, held_out: float, random: np.random.Generator) -> np.ndarray:
    """Return which images are of a scene that is left out, ``(N,)`` bool."""
    names = random.permutation(np.unique(scenes))
    left: np.ndarray = np.isin(scenes, names[: max(1, round(held_out * len(names)))])
    return left


def folds_of(groups: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each image, from 1, as ``Train.py`` parts them."""
    names = {f"{number:06d}": int(group) for number, group in enumerate(groups)}
    none = Annotations(make_rows([]), (), (), Path("crops"))
    frame = part_into_folds(none, names, min(FOLDS, len(set(names.values()))), seed)
    folds: np.ndarray = frame.sort_values("image")["fold"].to_numpy()
    return folds


def one_draw(
    config: FalseAlarmsConfig,
    network: Segmenter,
    maps: torch.Tensor,
    scenes: np.ndarray,
    size: tuple[int, int],
    seed: int,
) -> list[dict[str, Any]]:
    """Make memory and threshold without some scenes, and count the alarms there."""
    random = np.random.default_rng(seed)
    left = parted(scenes, config.held_out, random)
    train, test = maps[torch.from_numpy(~left)], maps[torch.from_numpy(left)]
    rows = [one.flatten(1).T[torch.from_numpy(random.permutation(one[0].numel())[: config.features])] for one in train]
    found = []
    alone = np.arange(len(train))  # the crops are in the order of their names
    following = np.array(list(stretches({f"{number:06d}": int(number) for number in alone}, FOLDS).values()))
    counts = (len(alone), len(alone), len(np.unique(scenes[~left])))
    for what, groups, count in zip(WAYS, (alone, following, scenes[~left]), counts, strict=True):
        folds, scores, other = folds_of(groups, seed), np.zeros(len(train)), np.zeros(0)
        for fold in np.unique(folds):
            mine = folds == fold
            known = torch.cat([row for row, own in zip(rows, mine, strict=True) if not own])
            memory = make_memory(known, config.memory, random)
            scores[mine] = scores_of(network, memory, train[torch.from_numpy(mine)], size)
            if fold == 1:  # the memory that the weights file keeps
                other = np.array(scores_of(network, memory, test, size))
        for asked in config.asked:
            share = float((other > alarm_threshold(scores, asked)).mean())
            low, high = expected_alarms(count, asked)
            found.append({"folds_of": what, "asked": asked, "share": share, "inside": low <= share <= high})
    return found


def summary(found: Sequence[dict[str, Any]], what: str, asked: float) -> dict[str, Any]:
    """Summarise the draws: shares divided by what was asked."""
    mine = [row for row in found if (row["folds_of"], row["asked"]) == (what, asked)]
    ratios = np.array([row["share"] / asked for row in mine])
    return {
        "folds_of": what,
        "asked": asked,
        "mean": round(float(ratios.mean()), 2),
        "median": round(float(np.median(ratios)), 2),
        "sd": round(float(ratios.std()), 2),
        "within_30": round(float((np.abs(ratios - 1) <= 0.3).mean()), 2),
        "in_interval": round(float(np.mean([row["inside"] for row in mine])), 2),
    }


def main(argv: list[str]) -> int:
    """Measure, print a table and append the rows to the CSV."""
    config = parse(FalseAlarmsConfig, argv, "benchmarks/false_alarms.py", __doc__.partition("\n")[0])
    torch.set_num_threads(1)
    dataset = open_dataset(config.dir)
    frame = read_split(config.split, dataset.images)
    frame = frame[frame["side"] != TEST]
    crops, scenes = cut(dataset, dict(zip(frame["image"], map(int, frame["group"]), strict=True)), config.seed)
    given: dict[str, Any] = {"dir": config.dir, "task": "anomaly", "architecture": "patchcore", "device": "cpu"}
    given |= {"encoder": config.encoder, "encoder_weights": config.encoder_weights}
    network = open_encoder(note_given(TrainConfig(**given), given)).network.eval()
    maps = features_of(network, crops)
    found = []
    for number in range(config.draws):
        found += one_draw(config, network, maps, scenes, crops.shape[1:3], config.seed * 1000 + number)
    about = {"dataset": config.dir.resolve().name, "crops": len(crops), "scenes": len(np.unique(scenes))}
    about |= {"draws": config.draws, "held_out": config.held_out, "encoder": config.encoder, "seed": config.seed}
    rows = [{**about, **summary(found, what, asked), **facts(1, "torch")} for what in WAYS for asked in config.asked]
    print(f"{len(crops)} clean crops of {about['scenes']} scenes; shares of alarms, divided by what was asked")
    print(columns([SHOWN, *([str(row[key]) for key in SHOWN] for row in rows)]))
    write_rows(config.to, rows)
    return DONE


if __name__ == "__main__":
    run(main)  # type: ignore[arg-type]
