"""Dataset folders of few labelled pictures, and paired scores of networks that learnt from them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.few_labels import spread
from benchmarks.lifts import gain, read_dice
from benchmarks.small_training import SmallTraining
from config import EvaluateConfig, TrainConfig, flag
from utils.data.annotation_table import write_annotations
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.splits import TRAIN, VALID, read_split, write_split
from utils.errors import InputError
from utils.files import write_text
from utils.weights.run_files import SETTINGS


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnFlags(SmallTraining):
    """What benchmarks about few labels have in common."""

    split: Path = flag(
        "CSV with image, side and group: pictures are drawn from side train, all of side valid are scored"
    )
    share: float = flag("share of the pictures of side train that is labelled, 0..1", 0.1, low=0.001, high=0.5)
    encoder_weights: str = flag("as for Train.py", "none")
    image_size: tuple[int, int] | None = flag("H,W in pixels that networks see; none: their own size", None)
    epoch_images: int = flag("labelled images are repeated up to so many an epoch", 400, low=1)
    valid_images: int = flag("images of side valid that the best epoch is chosen by; 0: all", 114, low=0)
    min_area: int = flag("smallest connected defect in pixels", 100, low=0)
    resamples: int = flag("of the intervals", 2000, low=100)


class Pictures:
    """The pictures of both sides of a split.

    Args:
        config: the flags.
        runs: folder for data folders and run folders.

    Raises:
        InputError: no such recipe, or too few pictures.
    """

    def __init__(self, config: DrawnFlags, runs: Path) -> None:
        config.check_recipe()
        self.config, self.runs = config, runs
        self.dataset: Dataset = open_dataset(config.dir)
        frame = read_split(config.split, list(self.dataset.images))
        self.train = sorted(frame.loc[frame["side"] == TRAIN, "image"])
        valid = frame[frame["side"] == VALID]
        self.group_of = dict(zip(valid["image"], map(int, valid["group"]), strict=True))
        self.choosing = spread(valid, config.valid_images)
        self.number = round(config.share * len(self.train))
        if self.number < 2 or not self.group_of:
            raise InputError(
                f"-split {config.split}: {len(self.train)} pictures to train on, {len(valid)} to score; bring more"
            )

    def draw(self, seed: int) -> tuple[list[str], list[str]]:
        """Return the labelled pictures of a seed, and the others in an order by chance."""
        order = np.random.default_rng(seed).permutation(self.train).tolist()
        return sorted(order[: self.number]), order[self.number :]

    def labelled(self, place: Path, names: Sequence[str]) -> Path:
        """Lay out a dataset folder to train on: pictures, repeated, and the validation images; one that is there stays."""
        times = max(1, -(-self.config.epoch_images // len(names)))
        links = {f"{number}-{name}".replace("/", "-"): name for name in names for number in range(times)}
        links |= {f"valid-{name}".replace("/", "-"): name for name in self.choosing}
        self._lay_out(place, links)
        sides = [VALID if link.startswith("valid-") else TRAIN for link in links]
        write_split(
            pd.DataFrame({"image": list(links), "side": sides, "group": range(len(links))}), place / "split.csv"
        )
        return place

    def plain(self, place: Path, names: Sequence[str]) -> Path:
        """Lay out a dataset folder of pictures as they are called."""
        self._lay_out(place, {name: name for name in names})
        return place

    def unlabelled(self, place: Path, names: Sequence[str]) -> Path:
        """Lay out a folder of images alone."""
        for name in names:
            self._link(place / name.replace("/", "-"), name)
        return place

    def settings(self, data: Path, out: Path, seed: int, **changes: Any) -> TrainConfig:
        """Return the settings of a training on a folder of ``labelled``."""
        values = {**self.config.values("encoder_weights", "image_size", "min_area"), "cache": "ram"}
        return TrainConfig(dir=data, split=data / "split.csv", out=out, seed=seed, **(values | changes))

    def score(self, scorer: Callable[[EvaluateConfig], Any], weights: Path, out: Path) -> dict[str, float]:
        """Score a network on all of side valid: mean Dice and defect-only Dice."""
        judged = self.plain(self.runs / "valid", sorted(self.group_of))
        config = self.config
        scoring = EvaluateConfig(
            dir=judged,
            weights_dir=weights,
            split="all",
            out=out,
            device=config.device,
            threads=config.threads,
            resamples=0,
        )
        scores = scorer(scoring).scores
        return {"mean_dice": round(scores.mean_dice, 6), "defect_dice": round(scores.defect_dice or 0.0, 6)}

    def gain(self, pairs: Sequence[tuple[Path, Path]]) -> dict[str, tuple[float, float, float]]:
        """Compare folders of evaluations in pairs of before and after, see ``lifts.gain``."""
        read = [(read_dice(one / "scores.csv"), read_dice(other / "scores.csv")) for one, other in pairs]
        images, _, known = read[0][0]
        before, after = np.stack([one[1] for one, _ in read]), np.stack([other[1] for _, other in read])
        return gain(before, after, known, [self.group_of[image] for image in images], self.config.resamples)

    def _lay_out(self, place: Path, links: Mapping[str, str]) -> None:
        for link, name in links.items():
            self._link(place / "train_images" / link, name)
        rows = self.dataset.annotations.rows
        parts = [rows[rows["image"] == name].assign(image=link) for link, name in links.items()]
        write_annotations(pd.concat(parts, ignore_index=True), place / "train.csv")
        write_text(place / "classes.txt", "\n".join(self.dataset.annotations.class_names) + "\n")

    def _link(self, link: Path, name: str) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(self.dataset.path(name).resolve())


def trained(trainer: Callable[[TrainConfig], Any], settings: TrainConfig) -> float:
    """Train, or go on; return the minutes that took."""
    assert settings.out is not None
    print(settings.out, flush=True)
    began = (settings.out / SETTINGS).exists()
    return float(trainer(TrainConfig(resume=settings.out) if began else settings).seconds) / 60


def seeds_of(words: Sequence[str]) -> list[int]:
    """Read ``-seeds``."""
    for word in words:
        if not word.isdecimal():
            raise InputError(f"-seeds {word}: expected whole numbers with commas between them, as in 1,2,3")
    return list(map(int, words))


def in_words(value: float, low: float, high: float) -> str:
    """Write a gain with its interval."""
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f}{'' if not low <= 0 <= high else ', cannot be told'})"
