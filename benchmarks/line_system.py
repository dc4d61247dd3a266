"""Make what ``line.py -cases replay`` inspects: a two-stage system, and strips of which 5 % show a defect.

    python benchmarks/line_system.py -work /tmp/line
    python benchmarks/line.py -cases replay -rates 5,10,20 -seconds 600 -weights_dir /tmp/line/gated \
        -images /tmp/line/strips -backend openvino

Everything is drawn, the networks learn it in minutes; what is there already is used again.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from config import SynthesiseConfig, TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.train import train
from utils.data.dataset_folder import open_dataset
from utils.data.synthetic import synthesise
from utils.device import cpu_has_bf16
from utils.errors import InputError
from utils.files import make_folder


@dataclass(frozen=True, kw_only=True)
class LineSystemConfig:
    """What this script does."""

    work: Path = flag("folder to write; what is in it is used again")
    learnt: int = flag("strips to train on", 320, low=16)
    frames: int = flag("strips of the line", 200, low=20)
    share: float = flag("share of them that show a defect", 0.05, low=0, high=1)
    size: tuple[int, int] = flag("H,W in pixels of a strip", (256, 1600))
    contrast: float = flag("strength of the defects; 3 is learnt in minutes", 3.0, low=0.1, high=4)
    encoder: str = flag("of both networks", "resnet18")
    num_epochs: int = flag("of both networks", 10, low=1)
    crop: tuple[int, int] = flag("H,W in pixels that are trained on", (256, 384))
    batch_size: int = flag("crops a step", 8, low=1)


def main(argv: Sequence[str]) -> int:
    """Draw, train, and draw the line."""
    config = parse(LineSystemConfig, argv, "line_system.py", "Make a two-stage system and the strips of a line.")
    make_folder(config.work, "-work")
    learnt, gated = config.work / "learnt", config.work / "gated"
    draw(config, learnt, config.learnt, 1)
    if not list(gated.glob("*.system.json")):
        shutil.rmtree(gated, ignore_errors=True)
        print(train(settings(config, learnt, gated)).text(), flush=True)
    drawn = config.work / "drawn"
    draw(config, drawn, 3 * config.frames, 2)
    dataset = open_dataset(drawn)
    defective = set(dataset.annotations.rows["image"])
    chosen = mixed(
        [name for name in dataset.images if name in defective],
        [name for name in dataset.images if name not in defective],
        config.frames,
        config.share,
    )
    strips = config.work / "strips"
    shutil.rmtree(strips, ignore_errors=True)
    strips.mkdir()
    for number, name in enumerate(chosen):
        shutil.copyfile(dataset.path(name), strips / f"{number:05d}{Path(name).suffix}")
    count = sum(name in defective for name in chosen)
    print(f"{strips}: {len(chosen)} strips, {count} of them defective; {gated}: the system")
    return DONE


def settings(config: LineSystemConfig, learnt: Path, out: Path) -> TrainConfig:
    """Return how the system is trained."""
    return TrainConfig(
        dir=learnt,
        out=out,
        system="two-stage",
        encoder=config.encoder,
        encoder_weights="none",
        subset="all",
        crop=config.crop,
        crop_defect=0.5,
        augmentation="flips",
        optimizer="adamw",
        weight_decay=1e-2,
        lr_encoder=2e-3,
        lr_decoder=2e-3,
        schedule="onecycle",
        num_epochs=config.num_epochs,
        batch_size=config.batch_size,
        precision="bf16" if cpu_has_bf16() else "f32",
    )


def draw(config: LineSystemConfig, folder: Path, count: int, seed: int) -> None:
    """Draw a dataset folder, unless it is there."""
    if (folder / "train.csv").exists():
        return
    look = {"image_size": config.size, "contrast": config.contrast, "distractors": 0.3, "class_floor": 0.15}
    print(synthesise(SynthesiseConfig(dir=folder, num_of_images=count, seed=seed, **look)).text(), flush=True)


def mixed(defective: Sequence[str], clean: Sequence[str], count: int, share: float) -> list[str]:
    """Return ``count`` names of which a share are defective, evenly spread; clean ones come again where they are few.

    Raises:
        InputError: there is none of a kind that is wanted.
    """
    bad = round(count * share)
    if (bad and not defective) or (bad < count and not clean):
        raise InputError(f"{len(defective)} defective and {len(clean)} clean strips; draw more of them")
    places = {round((number + 0.5) * count / bad) for number in range(bad)} if bad else set()
    good, chosen = 0, []
    for place in range(count):
        if place in places:
            chosen.append(defective[sum(place >= one for one in places) % len(defective)])
        else:
            chosen.append(clean[good % len(clean)])
            good += 1
    return chosen


if __name__ == "__main__":
    run(main)
