"""A new plant from the first day on: clean images, alarms, two reviews of 30 images in a real browser, two networks, scores.

A labelled dataset folder plays the plant. Scenes of side train are parted in two: of one part the plant has crops of clean
steel, the images of the other come from the line, clean crops among them. Nothing of their labels reaches the program: they
are what the people know who paint in the page (``plant_person.py``). Two of them share a visit. In the first visit the
server is killed twice in the middle of a stroke: once the page stays, once the page is gone too; what had been kept before
must be there afterwards. Each command is printed as somebody would type it. A stage whose output is there is not done again.

    python benchmarks/new_plant.py -dir NEU -split split.csv -test NEU-TEST -encoder_weights FILE
"""

import dataclasses
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.anomaly import CROP, crop
from benchmarks.machine import facts
from benchmarks.pages import write_between
from benchmarks.plant_person import Work
from benchmarks.plant_visit import Visit, served
from benchmarks.recipes import write_rows
from config import flag
from utils.cli import DONE, parse, run
from utils.data.annotation_table import write_annotations
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.splits import TRAIN, VALID, read_split
from utils.errors import InputError
from utils.files import write_text
from utils.text import TOGETHER

ROOT = Path(__file__).resolve().parents[1]
PAGE, BEGIN, END = ROOT / "benchmarks" / "README.md", "<!-- plant: begin -->", "<!-- plant: end -->"
DAY, FIRST, SECOND = "day one", "round 1", "round 2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewPlantConfig:
    """What this benchmark does."""

    dir: Path = flag("labelled dataset folder: the plant's images; its labels are what the people know")
    split: Path = flag("CSV with image, side and group; the plant has the images of side train")
    test: Path | None = flag("labelled dataset folder to score on, once, at the end; none: side valid alone", None)
    num_of_images: int = flag("images of each review", 30, low=2)
    clean_share: float = flag("share of the scenes that give the crops of clean steel, 0..1", 0.5, low=0.01, high=0.99)
    clean_crops: int = flag("crops of clean steel among the images of the line", 30, low=0)
    false_alarms: float = flag("of the first network", 0.02, low=0.001, high=0.5)
    encoder: str = flag("of all networks", "tf_efficientnet_lite0")
    encoder_weights: str = flag("its weights, a FILE or imagenet", "imagenet")
    num_epochs: int = flag("of both trainings", 100, low=1)
    precision: str = flag("of both trainings", "bf16")
    threads: int = flag("CPU threads", 1, low=1)
    jitter: float = flag("standard deviation of a painted corner in pixels", 1.0, low=0)
    look_s: float = flag("seconds that a person looks at an image before the first action", 5.0, low=0)
    think_s: float = flag("seconds before each defect; keystroke-level model: 1.35", 1.35, low=0)
    key_s: float = flag("seconds of a key; keystroke-level model: 0.28", 0.28, low=0)
    click_s: float = flag("seconds to point and click; keystroke-level model: 1.1 and 0.2", 1.3, low=0)
    stroke_s: float = flag("seconds of a stroke: to point, press, point, let go", 2.4, low=0)
    kills: bool = flag("kill the server in the middle of painting", True)
    seed: int = flag("fixes scenes, draws and corners", 1, low=0)
    port: int = flag("of the server", 7917, low=1024)
    runs: Path = flag("folder for all that the plant gets", Path("runs/new_plant"))
    publish: bool = flag("write the table into benchmarks/README.md", False)
    out: Path = flag(
        "CSV file of the result; the table goes beside it as .md", ROOT / "benchmarks/results/new_plant.csv"
    )


Command = Callable[[Sequence[str]], None]


def typed(words: Sequence[str]) -> None:
    """Run a command as somebody types it; raises ``InputError`` with what it said."""
    print("$ python", shlex.join(words), flush=True)
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    print(done.stdout, flush=True)
    if done.returncode:
        raise InputError(f"{words[0]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


class Plant:
    """The folders of a plant, and what its people know."""

    def __init__(self, config: NewPlantConfig) -> None:
        self.config, place = config, config.runs.resolve()
        self.clean, self.pool, self.kept, self.screens = (place / name for name in ("clean", "pool", "kept", "screens"))
        self.day1, self.first, self.second = (place / name for name in ("day1", "first", "second"))
        self.data1, self.data2, self.next = (place / name for name in ("data1", "data2", "next"))
        self.dataset: Dataset = open_dataset(config.dir)
        self.frame = read_split(config.split, list(self.dataset.images))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names that the plant gives its defects."""
        return tuple(self.dataset.annotations.class_names)

    def truth(self, name: str) -> np.ndarray:
        """Return what people know of an image, ``(H, W, C)`` bool."""
        if name.startswith("clean-"):
            return np.zeros((CROP, CROP, len(self.class_names)), np.bool_)
        return self.dataset.annotations.mask(name, *self.dataset.read(name).shape[:2]).astype(np.bool_)

    def valid(self, names: Sequence[str]) -> Path:
        """Lay out a dataset folder of side valid."""
        place = self.config.runs.resolve() / "valid"
        if not (place / "train.csv").is_file():
            rows = self.dataset.annotations.rows
            (place / "train_images").mkdir(parents=True, exist_ok=True)
            for name in names:
                link = place / "train_images" / name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(self.dataset.path(name).resolve())
            write_text(place / "classes.txt", "".join(f"{name}\n" for name in self.class_names))
            write_annotations(rows[rows["image"].isin(set(names))], place / "train.csv")
        return place

    def lay_out(self) -> None:
        """Part the scenes, cut the crops, link the images of the line."""
        if self.pool.exists():
            return
        chance = np.random.default_rng(self.config.seed)
        train = self.frame[self.frame["side"] == TRAIN]
        scenes = chance.permutation(sorted(set(train["group"])))
        of_clean = set(scenes[: max(1, round(self.config.clean_share * len(scenes)))].tolist())
        parted = {part: sorted(train.loc[train["group"].isin(of_clean) == part, "image"]) for part in (True, False)}
        if not parted[True] or not parted[False]:
            raise InputError(f"-split {self.config.split}: too few scenes on side train for -clean_share")
        crops = crop(self.dataset, dict.fromkeys(parted[True], TRAIN), self.config.seed).train
        others = crop(self.dataset, dict.fromkeys(parted[False], TRAIN), self.config.seed).train
        self.clean.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(crops):
            cv2.imwrite(str(self.clean / f"{number:04d}.png"), image[..., ::-1])
        part = self.pool.with_name("pool.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for name in parted[False]:
            (part / name.replace("/", "-")).symlink_to(self.dataset.path(name).resolve())
        for number in chance.permutation(len(others))[: self.config.clean_crops]:
            cv2.imwrite(str(part / f"clean-{number:04d}.png"), others[number][..., ::-1])
        part.rename(self.pool)
        print(f"{len(crops)} crops of clean steel; {len(list(self.pool.iterdir()))} images of the line", flush=True)


class Play:
    """The stages, each by the commands that somebody types.

    Args:
        plant: its folders.
        command: runs a command line.
    """

    def __init__(self, plant: Plant, command: Command = typed) -> None:
        self.plant, self.config, self.command = plant, plant.config, command

    def day_one(self) -> None:
        """Remember clean steel."""
        config, plant = self.config, self.plant
        self._once(plant.day1, "Train.py", "-dir", plant.clean, "-task", "anomaly", "-false_alarms", config.false_alarms,
                   *self._encoder(), "-device", "cpu", "-threads", config.threads, "-num_of_workers", 1, "-out", plant.day1)  # fmt: skip

    def visit(
        self, title: str, weights: Path, folder: Path, queue: str, number: int | None, kills: bool
    ) -> dict[str, Any]:
        """Review in the page; return what that took."""
        config, plant = self.config, self.plant
        told = config.runs / f"{title.replace(' ', '-')}.json"
        if told.is_file():
            return dict(json.loads(told.read_text()))
        if weights == plant.day1:
            shutil.rmtree(plant.kept, ignore_errors=True)  # of a visit that was broken off
        words = ["Serve.py", "-weights_dir", weights, "-dir", folder, "-save", plant.kept]
        words += ["-class_names", ",".join(plant.class_names)] if weights == plant.day1 else []
        print("$ python", shlex.join(map(str, words)), flush=True)
        more = ["-port", config.port, "-device", "cpu", "-threads", config.threads]
        with served([str(word) for word in (*words, *more)]) as server:
            visit = Visit(
                server, plant.kept, plant.truth, plant.class_names, queue, number, kills and config.kills, config.jitter,
                config.seed, plant.screens, title.replace(" ", "-"),
            )  # fmt: skip
            work, seconds = visit.review()
        found = {
            **dataclasses.asdict(work),
            "wall_s": round(seconds, 1),
            "kills": visit.killed,
            "lost": len(visit.lost),
        }
        found |= {"seconds": round(work.seconds, 1), "minutes": round(self.minutes(work), 2)}
        write_text(told, json.dumps(found, indent=1) + "\n")
        return found

    def minutes(self, work: Work) -> float:
        """Return the minutes that a person takes for this work by the rates of the flags."""
        config = self.config
        seconds = work.images * config.look_s + (work.defects + work.accepted + work.rejected) * config.think_s
        seconds += work.keys * config.key_s + work.clicks * config.click_s + work.strokes * config.stroke_s
        return seconds / 60

    def train(self, data: Path, out: Path) -> None:
        """Train on reviewed images."""
        config = self.config
        self._once(out, "Train.py", "-dir", data, "-recipe", "muon", *self._encoder(), "-decoder_channels", "128,64,32,16,16",
                   "-augmentation", "d4", "-crop", "128,128", "-num_epochs", config.num_epochs, "-precision", config.precision, "-device", "cpu",
                   "-threads", config.threads, "-num_of_workers", 0, "-cache", "ram", "-seed", config.seed, "-out", out)  # fmt: skip

    def first(self) -> None:
        """Train on the first review."""
        self._once(self.plant.data1, "Prepare_data.py", "collect", "-review", self.plant.kept, "-dir", self.plant.data1)
        self.train(self.plant.data1, self.plant.first)

    def choose(self) -> None:
        """Let the network choose what to label next."""
        plant = self.plant
        self._once(plant.next, "Prepare_data.py", "select", "-dir", plant.data1, "-images", plant.pool, "-weights_dir", plant.first,
                   "-num_of_images", self.config.num_of_images, "-device", "cpu", "-threads", self.config.threads,
                   "-num_of_workers", 1, "-out", plant.next)  # fmt: skip

    def second(self) -> None:
        """Train on both reviews."""
        plant = self.plant
        self._once(
            plant.data2, "Prepare_data.py", "collect", "-review", plant.kept, "-dir", plant.data2, "-add", plant.data1
        )
        self.train(plant.data2, plant.second)

    def scores(self, data: Path, weights: Path, title: str) -> dict[str, Any]:
        """Score a network by one Evaluate.py; what it said before is read again."""
        out = self.config.runs.resolve() / "scores" / title
        if not (out / "metrics.json").is_file():
            self.command(["Evaluate.py", "-dir", str(data), "-weights_dir", str(weights), "-split", "all", "-device", "cpu",
                          "-threads", str(self.config.threads), "-out", str(out)])  # fmt: skip
        return dict(json.loads((out / "metrics.json").read_text()))

    def auroc(self, dataset: Dataset, names: Sequence[str]) -> tuple[float, int, int]:
        """Score the alarms of day one on a clean and a defective crop of each image; return also their numbers."""
        from sklearn.metrics import roc_auc_score

        from utils.inference.opening import open_network
        from utils.weights.weights_file import load

        images = crop(dataset, dict.fromkeys(names, VALID), self.config.seed)
        network = open_network(load(next(self.plant.day1.glob("*.pth"))), "torch", "cpu", "f32", self.config.threads)
        values = [float(network(one[None]).masks.max()) for one in (*images.clean, *images.defective)]
        truth = np.repeat([0, 1], [len(images.clean), len(images.defective)])
        return float(roc_auc_score(truth, values)), len(images.clean), len(images.defective)

    def _encoder(self) -> list[Any]:
        return ["-encoder", self.config.encoder, "-encoder_weights", self.config.encoder_weights]

    def _once(self, out: Path, *words: Any) -> None:
        """Run a command whose output is not there yet; of a training that was interrupted, what it left goes."""
        if out.is_dir() and (words[0] != "Train.py" or any(out.glob("*.pth"))):
            return
        shutil.rmtree(out, ignore_errors=True)
        self.command([str(word) for word in words])


def main(argv: Sequence[str], command: Command = typed) -> int:
    """Play all stages; write CSV and table."""
    config = parse(NewPlantConfig, argv, "new_plant.py", "Plays a new plant from the first day to its second network.")
    plant = Plant(config)
    plant.lay_out()
    play = Play(plant, command)
    play.day_one()
    one = play.visit(FIRST, plant.day1, plant.pool, "uncertain", config.num_of_images, True)
    play.first()
    play.choose()
    two = play.visit(SECOND, plant.first, plant.next / "chosen", "uncertain", None, False)
    play.second()
    rows = rows_of(play, {FIRST: one, SECOND: two})
    write_rows(config.out, rows)
    write_text(config.out.with_suffix(".md"), table(rows))
    if config.publish:
        publish(rows)
    print(table(rows))
    return DONE


def rows_of(play: Play, visits: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Score each network on side valid, and on the test folder, once."""
    plant, config = play.plant, play.config
    valid = sorted(plant.frame.loc[plant.frame["side"] == VALID, "image"])
    judged: list[tuple[str, Path, Dataset, Sequence[str]]] = [
        (VALID, plant.valid(valid), plant.dataset, valid),
    ]
    if config.test is not None:
        tested = open_dataset(config.test)
        judged.append(("test", config.test.resolve(), tested, tested.images))
    about = {"dataset": config.dir.resolve().name, "encoder": config.encoder, "epochs": config.num_epochs}
    about |= facts(config.threads, "torch")
    effort = dict.fromkeys(next(iter(visits.values())), 0)
    rows = []
    for title, weights, data in (
        (DAY, plant.day1, None),
        (FIRST, plant.first, plant.data1),
        (SECOND, plant.second, plant.data2),
    ):
        row: dict[str, Any] = {"stage": title, "labelled": 0 if data is None else len(open_dataset(data).images)}
        for name, value in visits.get(title, {}).items():
            effort[name] = round(effort[name] + value, 2)
        row |= effort
        for side, folder, dataset, names in judged:
            if data is None:
                score, clean, defective = play.auroc(dataset, names)
                found = {"auroc": round(score, 4), "clean_crops": clean, "defective_crops": defective}
            else:
                found = dict.fromkeys(("auroc", "clean_crops", "defective_crops"), "")
            found |= dict.fromkeys(SCORES, "")
            if data is not None:
                metrics = play.scores(folder, weights, f"{side}-{title.replace(' ', '-')}")
                found |= {name: round(metrics[name], 4) for name in ("images", "mean_dice", "defect_dice")}
                for name in ("mean_dice", "defect_dice"):
                    low, high = metrics["interval"][name][TOGETHER]
                    found |= {f"{name}_low": round(low, 4), f"{name}_high": round(high, 4)}
            row |= {f"{side}_{name}": value for name, value in found.items()}
        rows.append(row | about)
    return rows


SCORES = (
    "images",
    "mean_dice",
    "mean_dice_low",
    "mean_dice_high",
    "defect_dice",
    "defect_dice_low",
    "defect_dice_high",
)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Format the stages as Markdown; the work is the sum up to a stage."""
    side = "test" if "test_auroc" in rows[0] else VALID
    lines = [
        "| network | images labelled | minutes of people | strokes, clicks, keys | image AUROC | mean Dice | defect-only Dice |",
        "|---|---|---|---|---|---|---|",
    ]
    words = {DAY: "day one: clean crops alone", FIRST: "first review", SECOND: "and a second one, chosen"}
    for row in rows:
        work = f"{row['strokes']}, {row['clicks']}, {row['keys']}"
        dice = []
        for name in ("mean_dice", "defect_dice"):
            value, low, high = (row[f"{side}_{name}{end}"] for end in ("", "_low", "_high"))
            dice.append("" if value == "" else f"{value:.3f} ({low:.3f} to {high:.3f})")
        score = row[f"{side}_auroc"]
        cells = [
            words[row["stage"]],
            row["labelled"],
            f"{row['minutes']:.0f}",
            work,
            "" if score == "" else f"{score:.3f}",
            *dice,
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    last = rows[-1]
    lines += [
        "",
        f"Side {side} of {last['dataset']}, {last[f'{side}_images']} images, split by scene; brackets: 95 % interval.",
        f"AUROC: {rows[0][f'{side}_clean_crops']} clean crops and {rows[0][f'{side}_defective_crops']} with a defect.",
        f"{last['encoder']}, {last['epochs']} epochs, {last['cpu']}, {last['threads']} thread. Work and minutes add up.",
        f"In the browser both reviews took {last['wall_s'] / 60:.0f} minutes on the wall; {last['kills']} kills of the server",
        f"in the middle of a stroke lost {last['lost']} stroke.",
    ]
    return "\n".join([*lines, ""])


def publish(rows: Sequence[dict[str, Any]], page: Path = PAGE) -> None:
    """Write the table between the marks of a page."""
    write_between(page, BEGIN, END, table(rows))


if __name__ == "__main__":
    run(main)
