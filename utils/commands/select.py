"""Choose which images to label next, beside a random draw of the same size."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from config import EvaluateConfig, SelectConfig
from utils.commands.progress import progress, require_images
from utils.data.checks import thread_count
from utils.data.clean import open_clean
from utils.data.dataset_folder import open_dataset
from utils.data.duplicates.groups import group
from utils.data.duplicates.image_sets import ImageSet, open_images
from utils.data.duplicates.pairs import describe_images, scale_for
from utils.data.images import ImageError, measure_depth, read_image
from utils.data.tables import write_frame
from utils.errors import InputError
from utils.files import new_folder
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.embedding import Embedding
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.models.spec import ANOMALY
from utils.scoring.choice import about_choice, choose
from utils.text import plural
from utils.weights.appearance import entropy_of

TABLE, CHOSEN, RANDOM = "select.csv", "chosen", "random"
COLUMNS = ["list", "rank", "image", "score", "uncertainty", "distance", "why"]
ABOUT_ANOMALIES = "chosen by how unusual an image is: such a list shows more defects than the random one, and never how often they occur"
MOST_KNOWN = 2000  # labelled images that new ones are compared with


@dataclass(frozen=True)
class SelectResult:
    """What was chosen and where it was written.

    Attributes:
        out: folder of the table and both lists.
        images: number of images that there are.
        copies: of them those that show a picture which is labelled, or another one shows too.
        number: length of each list.
        both: images on both lists.
        skipped: images that could not be read.
        better: whether the choice is known to be worth more than the random draw.
        about: what is known of that, in words.
        weights: that chose.
        seconds: time it took.
    """

    out: Path
    images: int
    copies: int
    number: int
    both: int
    skipped: int
    better: bool
    about: str
    weights: Path
    seconds: float

    def text(self) -> str:
        """Return as text for a terminal what was chosen and where it is."""
        left = f", {self.copies:,} left out as copies" if self.copies else ""
        taken = self.out / (CHOSEN if self.better else RANDOM)
        lines = [
            f"{plural(self.images, 'image', ',')}{left}: {self.number:,} chosen ({self.out / CHOSEN}), {self.number:,} drawn"
            f" at random ({self.out / RANDOM}), {self.both:,} of them on both lists"
        ]
        if self.skipped:
            lines.append(f"{plural(self.skipped, 'image')} could not be read and are on no list")
        lines += [self.about, f"in {self.seconds:.1f} s: {self.out / TABLE}"]
        return "\n".join([*lines, f"next: python Serve.py -dir {taken} -save KEPT -weights_dir {self.weights}"])


def select(config: SelectConfig, show: bool = True) -> SelectResult:
    """Write ``select.csv`` and the images of both lists, each a folder: all of it or nothing.

    Args:
        config: the labelled images, the new ones, the weights, how many are wanted.
        show: bars of progress when standard error is a terminal.

    Raises:
        InputError: a folder or the weights are at fault, no image is left, or the place to write is there already.
    """
    start = time.perf_counter()
    new = open_images(config.images, "test", "-images")
    out = config.out or config.images.with_name(f"{config.images.resolve().name}_select")
    if out.exists():
        raise InputError(f"{out}: exists already; remove it, or name another folder with -out")
    flags = EvaluateConfig(
        dir=config.dir, weights_dir=config.weights_dir, device=config.device, threads=config.threads, tta="none"
    )
    chosen = choose_weights(flags)
    anomalies = chosen.weights.spec.task == ANOMALY
    # Such a network was made of clean images, which need no table of labels.
    labelled = open_clean(config.dir).dataset if anomalies else open_dataset(config.dir)
    old = ImageSet(labelled.root, labelled.image_dir, labelled.images, labelled)
    if old.folder.resolve() == new.folder.resolve():
        raise InputError(f"-images {config.images}: are those of -dir; name a folder of images without labels")
    skipped: list[Refused] = []
    # Of all, so that one grey means the same in labelled and in new images.
    paths = [source.path(name) for source in (old, new) for name in source.names]
    chosen = replace(chosen, depth=measure_depth(paths, chosen.depth))
    names = one_of_each(config, old, new, skipped, show)
    if not names and not skipped:
        raise InputError(f"-images {config.images}: every image there is a copy of a labelled one; bring others")
    found = _look(flags, chosen, new, names, skipped, show)
    require_images(len(found), skipped)
    names = list(found)
    uncertainty = np.array([one for one, _ in found.values()])
    features = np.stack([one for _, one in found.values()])
    random = np.random.default_rng(config.seed)
    known = _known(chosen, flags, old, random, show)
    number = min(config.num_of_images, len(names))
    choice = choose(uncertainty, features, known, number, config.seed)
    drawn = random.permutation(len(names))[:number]
    share = 1 - np.argsort(np.argsort(uncertainty)) / len(names)
    alike = np.bincount(choice.kind)[choice.kind]

    def row(kind: str, rank: int, place: int) -> list:
        why = f"{'anomaly score' if anomalies else 'uncertainty'} among the highest {share[place]:.0%}, {choice.distance[place]:.1f} times as far from labelled images"
        why += f" as usual, 1 of {plural(int(alike[place]), 'image')} that look alike"
        numbers = [round(float(one[place]), 5) for one in (choice.worth, uncertainty, choice.distance)]
        return [kind, rank, names[place], *numbers, why if kind == CHOSEN else "random draw"]

    lists = {CHOSEN: choice.places.tolist(), RANDOM: drawn.tolist()}
    rows = [row(kind, rank, place) for kind, places in lists.items() for rank, place in enumerate(places, 1)]
    with new_folder(out) as part:
        for kind, places in lists.items():
            for place in places:
                new.place(names[place], part / kind / names[place])
        write_frame(pd.DataFrame(rows, columns=COLUMNS), part / TABLE)
    better, about = (True, ABOUT_ANOMALIES) if anomalies else about_choice()
    both = len(set(lists[CHOSEN]) & set(lists[RANDOM]))
    copies = len(new.names) - len(names) - len(skipped)
    return SelectResult(
        out,
        len(new.names),
        copies,
        number,
        both,
        len(skipped),
        better,
        about,
        config.weights_dir,
        time.perf_counter() - start,
    )


def one_of_each(config: SelectConfig, old: ImageSet, new: ImageSet, skipped: list[Refused], show: bool) -> list[str]:
    """Name one new image of each picture that no labelled image shows, in the order of the names.

    Args:
        config: the flags.
        old: images that are labelled.
        new: images to choose from.
        skipped: of these, every one that cannot be read is added here.
        show: a bar when standard error is a terminal.
    """
    own = {new.path(name) for name in new.names}

    def read(path: Path) -> np.ndarray:
        try:
            return read_image(path, 1)
        except ImageError as error:
            if path not in own:
                raise
            skipped.append(Refused(str(path), error.reason))
            return np.zeros((64, 64, 1), np.uint8)

    paths = [*(old.path(name) for name in old.names), *(new.path(name) for name in new.names)]
    threads = thread_count(config.num_of_workers)
    described = describe_images(paths, read, scale_for(paths[: len(old.names)]), threads, show)
    numbers = group(described, threads, show)
    seen = set(numbers[: len(old.names)])
    bad = {one.name for one in skipped}
    names = []
    for name, number in zip(new.names, numbers[len(old.names) :], strict=True):
        if number not in seen and str(new.path(name)) not in bad:
            names.append(name)
            seen.add(number)
    return names


def _look(
    flags: EvaluateConfig, chosen: Chosen, new: ImageSet, names: list[str], skipped: list[Refused], show: bool
) -> dict[str, tuple[float, np.ndarray]]:
    """Return uncertainty, or the score of task ``anomaly``, and features of each image that can be read."""
    pipeline = open_pipeline(chosen, flags, skipped, describe=False, images=len(names))
    embedding = Embedding(chosen.weights, flags.device)
    task = pipeline.system.task
    found: dict[str, tuple[float, np.ndarray]] = {}

    def look(path: Path, seen: Inspected) -> float:
        if task == ANOMALY:
            return seen.peak or 0.0
        return entropy_of(seen.logits, seen.labels, task == "multiclass")

    by_path = {new.path(name): name for name in names}
    with progress(len(names), "images") as bar:
        for path, entropy in pipeline.run(list(by_path), look, new.folder):
            # The network has just read the file, so it can be read.
            found[by_path[path]] = entropy, embedding(read_image(path, embedding.channels, pipeline.depth))
            if show:
                bar.update()
    return found


def _known(chosen: Chosen, flags: EvaluateConfig, old: ImageSet, random: np.random.Generator, show: bool) -> np.ndarray:
    """Return the features of labelled images, (M, D); of very many of a part."""
    names = list(old.names)
    if len(names) > MOST_KNOWN:
        names = [names[place] for place in random.permutation(len(names))[:MOST_KNOWN]]
    embedding = Embedding(chosen.weights, flags.device)
    with progress(len(names), "labelled images") as bar:
        features = []
        for name in names:
            features.append(embedding(read_image(old.path(name), embedding.channels, chosen.depth)))
            if show:
                bar.update()
    return np.stack(features)
