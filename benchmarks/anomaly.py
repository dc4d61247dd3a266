"""Task anomaly beside anomalib's PatchCore and PaDiM: the same images, the same encoder and the same maps of it.

Three sets: strips that are drawn here (256x256 pixels); crops without and with a defect of a labelled dataset folder,
parted by the side of a split (-neu, 96x96 pixels); tiles of strips, parted by strip (-strips, 256x256 pixels). anomalib
is measured where it is installed (Apache licence; it is none of this project's requirements).

    python benchmarks/anomaly.py -encoder_weights efficientnet-lite0-57934424.pth
    python benchmarks/anomaly.py -encoder_weights FILE -neu NEU -split split.csv -strips STRIPS

Scores: area under the ROC curve of images; AUPRO, the mean overlap with defects over the false positive rate of pixels
up to 0.3 (Bergmann et al., 2021). Times are of the processor, so that other programs do not count, in one thread, and by
the clock (``wall``).
"""

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.train import train
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.splits import TRAIN, read_sides
from utils.data.synthetic.strip import make_strip
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.inference.opening import open_network
from utils.models.architectures.patchcore import COARSE, FINE
from utils.models.segmenter import Segmenter
from utils.settings import note_given
from utils.text import columns
from utils.weights.weights_file import load

RESULTS = Path(__file__).parent / "results" / "anomaly.csv"
CROP, TILE, LEAST = 96, 256, 30  # pixels
LIMIT = 0.3  # of the false positive rate
SHOWN = (
    *("images", "system", "image_auroc", "aupro", "fit_s", "fit_wall_s", "ms", "wall_ms"),
    *("asked", "false_alarms", "found"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyBenchmarkConfig:
    """What this benchmark does."""

    encoder: str = flag("encoder", "tf_efficientnet_lite0")
    encoder_weights: str = flag("its weights, a FILE or imagenet", "imagenet")
    neu: Path | None = flag("labelled dataset folder to cut crops of; none: left out", None)
    split: Path | None = flag("of -neu, CSV with image and side", None)
    strips: Path | None = flag("labelled dataset folder of strips to cut into tiles; none: left out", None)
    drawn: bool = flag("draw strips", True)
    num_of_images: int = flag("clean images to remember, at most", 400, low=10)
    num_of_tests: int = flag("clean images, and images with a defect, to score, at most each", 150, low=2)
    memory: int = flag("looks of clean steel that are told apart, see Train.py", 20, low=1)
    coreset: int = flag("vectors of the memory of anomalib's PatchCore", 1000, low=1)
    false_alarms: float = flag("share that is asked for", 0.05, low=0.001, high=0.5)
    against: bool = flag("measure anomalib too, where it is installed", True)
    to: Path = flag("CSV file of the results", RESULTS)
    seed: int = flag("fixes images and memory", 42, low=0)


@dataclasses.dataclass
class Images:
    """Images of one size, ``(H, W, 3)`` uint8: clean ones to remember, clean and defective ones to score, and masks of these."""

    train: list[np.ndarray] = dataclasses.field(default_factory=list)
    clean: list[np.ndarray] = dataclasses.field(default_factory=list)
    defective: list[np.ndarray] = dataclasses.field(default_factory=list)
    masks: list[np.ndarray] = dataclasses.field(default_factory=list)

    def some(self, most: int, tests: int, seed: int) -> "Images":
        """Return so many of each, drawn by chance."""
        rng = np.random.default_rng(seed)
        chosen = [rng.permutation(len(part)) for part in (self.train, self.clean, self.defective)]
        return Images(
            [self.train[k] for k in chosen[0][:most]],
            [self.clean[k] for k in chosen[1][:tests]],
            [self.defective[k] for k in chosen[2][:tests]],
            [self.masks[k] for k in chosen[2][:tests]],
        )


def draw(config: AnomalyBenchmarkConfig) -> Images:
    """Draw strips of 256x256 pixels, with a third of the usual harmless marks."""
    rng, found = np.random.default_rng(config.seed), Images()
    for part, number in ((found.train, config.num_of_images), (found.clean, config.num_of_tests)):
        part.extend(_colour(make_strip(rng, (TILE, TILE), (), 1.0, 0.3).image) for _ in range(number))
    for _ in range(config.num_of_tests):
        strip = make_strip(rng, (TILE, TILE), (int(rng.integers(1, 5)),), 1.0, 0.3)
        found.defective.append(_colour(strip.image))
        found.masks.append(strip.labels > 0)
    return found


def _colour(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, 2)


def crop(dataset: Dataset, side_of: dict[str, str], seed: int) -> Images:
    """Cut from each image a crop without a labelled pixel, 4 pixels around included, and one with 30 or more."""
    rng, found = np.random.default_rng(seed), Images()
    for name in sorted(side_of):
        image = dataset.read(name)
        mask = dataset.annotations.mask(name, *image.shape[:2]).any(2).astype(np.uint8)
        near = cv2.dilate(mask, np.ones((9, 9), np.uint8))
        free, defect = np.argwhere(_sums(near) == 0), np.argwhere(_sums(mask) >= LEAST)
        trained = side_of[name] == TRAIN
        if len(free):
            y, x = free[rng.integers(len(free))]
            (found.train if trained else found.clean).append(image[y : y + CROP, x : x + CROP])
        if len(defect) and not trained:
            y, x = defect[rng.integers(len(defect))]
            found.defective.append(image[y : y + CROP, x : x + CROP])
            found.masks.append(mask[y : y + CROP, x : x + CROP].astype(np.bool_))
    return found


def _sums(mask: np.ndarray) -> np.ndarray:
    whole = cv2.integral(mask)
    sums: np.ndarray = whole[CROP:, CROP:] - whole[:-CROP, CROP:] - whole[CROP:, :-CROP] + whole[:-CROP, :-CROP]
    return sums


def tile(dataset: Dataset) -> Images:
    """Cut strips into tiles; every third clean strip is scored, the others are remembered; dark tiles are left out."""
    found, cleans = Images(), 0
    for name in dataset.images:
        image = dataset.read(name)
        mask = dataset.annotations.mask(name, *image.shape[:2]).any(2)
        cleans += not mask.any()
        for x in range(0, image.shape[1] - TILE + 1, TILE):
            part, labelled = image[:TILE, x : x + TILE], mask[:TILE, x : x + TILE]
            if (part.max(2) < 25).mean() > 0.5:
                continue
            if not mask.any():
                (found.train if cleans % 3 else found.clean).append(part)
            elif labelled.sum() >= LEAST:
                found.defective.append(part)
                found.masks.append(labelled)
    return found


def aupro(maps: np.ndarray, masks: np.ndarray) -> float:
    """Compute the area under the per-region overlap.

    Args:
        maps: ``(N, H, W)`` float, of clean and defective images.
        masks: ``(N, H, W)`` bool.

    Returns:
        0..1.
    """
    negative = np.sort(maps[~masks])
    rates = np.linspace(0, LIMIT, 61)
    thresholds = negative[np.clip(len(negative) - 1 - (rates * len(negative)).astype(int), 0, None)]
    overlaps = []
    for mask, one in zip(masks, maps, strict=True):
        count, labels = cv2.connectedComponents(mask.astype(np.uint8))
        for number in range(1, count):
            region = np.sort(one[labels == number])
            overlaps.append(1 - np.searchsorted(region, thresholds, side="right") / len(region))
    return float(np.trapezoid(np.mean(overlaps, axis=0), rates) / LIMIT)


class Watch:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._processor, self._wall = time.process_time(), time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Return the seconds of the processor, of all threads together, and those by the clock."""
        return time.process_time() - self._processor, time.perf_counter() - self._wall


Score = Callable[[np.ndarray], tuple[float, np.ndarray]]


def scored(images: Images, score: Score) -> dict[str, Any]:
    """Score all images, one at a time as a line does; the first is not timed."""
    everything = [*images.clean, *images.defective]
    score(everything[0])
    watch = Watch()
    answers = [score(image) for image in everything]
    seconds, wall = watch.read()
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([0, 1], [len(images.clean), len(images.defective)])
    values = np.array([value for value, _ in answers])
    masks = np.stack([*(np.zeros_like(images.masks[0]) for _ in images.clean), *images.masks])
    maps = np.stack([one for _, one in answers])
    return {
        "image_auroc": round(float(roc_auc_score(truth, values)), 4),
        "aupro": round(aupro(maps, masks), 4),
        "ms": round(1000 * seconds / len(everything), 1),
        "wall_ms": round(1000 * wall / len(everything), 1),
        "maps": maps,
    }


def ours(config: AnomalyBenchmarkConfig, images: Images, folder: Path) -> tuple[list[dict[str, Any]], Segmenter]:
    """Train by the command, and score by two backends."""
    for number, image in enumerate(images.train):
        cv2.imwrite(str(folder / f"{number:05d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    given: dict[str, Any] = {
        "dir": folder,
        "out": folder / ".run",
        "task": "anomaly",
        "encoder": config.encoder,
        "encoder_weights": config.encoder_weights,
        "memory": config.memory,
        "false_alarms": config.false_alarms,
        "num_of_workers": 1,
        "threads": 1,
        "seed": config.seed,
        "device": "cpu",
    }
    watch = Watch()
    file = load(train(note_given(TrainConfig(**given), given)).weights)
    fit, fit_wall = watch.read()
    rows = []
    for backend in ("torch", "openvino"):
        network = open_network(file, backend, "cpu", "f32", 1)

        def score(image: np.ndarray, network: Any = network) -> tuple[float, np.ndarray]:
            logits = network(image[None]).masks[0, 0].numpy()
            return float(logits.max()), logits

        row = scored(images, score)
        maps = row.pop("maps")
        regions = regions_of(maps, file.decision)
        specks = regions_of(maps, file.decision.overruled(min_area=0))
        alarms = regions > 0
        count = len(images.clean)
        rows.append(
            {
                "system": f"patchcore, {backend} f32",
                **row,
                "fit_s": round(fit, 1),
                "fit_wall_s": round(fit_wall, 1),
                "asked": config.false_alarms,
                "false_alarms": round(float(alarms[:count].mean()), 4),
                "found": round(float(alarms[count:].mean()), 4),
                "regions": round(float(regions[alarms].mean()), 2) if alarms.any() else "",
                "false_alarms_with_specks": round(float((specks[:count] > 0).mean()), 4),
                "regions_with_specks": round(float(specks[specks > 0].mean()), 2) if specks.any() else "",
            }
        )
    return rows, file.build()


def regions_of(maps: np.ndarray, decision: Decision) -> np.ndarray:
    """Count the regions that give an alarm in each of ``(N, H, W)`` float32 logits: ``(N,)``."""
    return np.array([len(decision.apply_and_find(one[None], "anomaly")[1]) for one in maps])


class _Maps(torch.nn.Module):
    """Gives anomalib our encoder's maps, by the names of the layers that it asks for."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = self.network.net.encoder(self.network.normalised(images.to(torch.uint8)))  # type: ignore[operator, union-attr]
        return {"layer2": maps[FINE], "layer3": maps[COARSE]}


@torch.inference_mode()
def theirs(config: AnomalyBenchmarkConfig, images: Images, network: Segmenter) -> list[dict[str, Any]]:
    """Fit anomalib's models on our encoder's maps, and score; none where it is not installed."""
    try:
        from anomalib.models.image.padim.torch_model import PadimModel
        from anomalib.models.image.patchcore.torch_model import PatchcoreModel
    except ImportError:
        print("anomalib is not installed, so nothing is compared with it: pip install anomalib==2.7.0")
        return []
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    layers, maps = ["layer2", "layer3"], _Maps(network)
    width = network.net.whiten.in_channels  # type: ignore[union-attr]
    rows = []
    for name in ("PatchCore", "PaDiM"):
        model: Any
        if name == "PatchCore":
            model = PatchcoreModel(layers, backbone="resnet18", pre_trained=False)
        else:
            model = PadimModel("resnet18", layers, pre_trained=False, n_features=1)
            model.idx = torch.arange(int(width))
        model.feature_extractor = maps
        watch = Watch()
        model.train()
        maps.eval()
        for image in images.train:
            model(_batch(image))
        if name == "PatchCore":
            count = sum(len(part) for part in model.embedding_store)
            model.subsample_embedding(min(1.0, config.coreset / count))
        else:
            model.fit()
        fit, fit_wall = watch.read()
        model.eval()

        def score(image: np.ndarray, model: Any = model) -> tuple[float, np.ndarray]:
            answer = model(_batch(image))
            return float(answer.pred_score), answer.anomaly_map[0, 0].numpy()

        row = scored(images, score)
        row.pop("maps")
        none = dict.fromkeys(
            ("asked", "false_alarms", "found", "regions", "false_alarms_with_specks", "regions_with_specks"), ""
        )
        times = {"fit_s": round(fit, 1), "fit_wall_s": round(fit_wall, 1)}
        rows.append({"system": f"anomalib {name}", **row, **times, **none})
    return rows


def _batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()


def sets_of(config: AnomalyBenchmarkConfig) -> dict[str, Images]:
    """Return the images of each set that the flags name."""
    found = {"drawn strips": draw(config)} if config.drawn else {}
    if config.neu is not None:
        if config.split is None:
            raise InputError("-neu: needs -split, a CSV with image and side")
        dataset = open_dataset(config.neu)
        frame = read_sides(config.split, dataset.images)
        found["crops"] = crop(dataset, dict(zip(frame["image"], frame["side"], strict=True)), config.seed)
    if config.strips is not None:
        found["tiles of strips"] = tile(open_dataset(config.strips))
    return found


def main(argv: list[str]) -> int:
    """Measure all sets, print a table and append the rows to the CSV."""
    config = parse(AnomalyBenchmarkConfig, argv, "benchmarks/anomaly.py", __doc__.partition("\n")[0])
    rows = []
    for name, every in sets_of(config).items():
        images = every.some(config.num_of_images, config.num_of_tests, config.seed)
        with tempfile.TemporaryDirectory() as scratch:
            found, network = ours(config, images, Path(scratch))
        found += theirs(config, images, network) if config.against else []
        numbers = {"train": len(images.train), "clean": len(images.clean), "defective": len(images.defective)}
        size = "{}x{}".format(*images.train[0].shape[:2])
        for row in found:
            about = {
                "images": name,
                "size": size,
                **numbers,
                "encoder": config.encoder,
                "memory": config.memory,
                "coreset": config.coreset,
            }
            rows.append({**about, **row, **facts(1, "torch", "openvino")})
        print(columns([SHOWN, *([str(row[key]) for key in SHOWN] for row in rows)]), flush=True)
        write_rows(config.to, rows[-len(found) :])
    return DONE


if __name__ == "__main__":
    run(main)  # type: ignore[arg-type]
