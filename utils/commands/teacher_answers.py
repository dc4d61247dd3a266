"""What the teachers of a training say of its images: asked once, and kept on disk."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from config import EvaluateConfig, TrainConfig
from utils.commands.progress import progress
from utils.commands.soft_answers import probabilities
from utils.data.bit_depth import BitDepth
from utils.data.cache import stamp, writable_folder
from utils.data.dataset_folder import Dataset
from utils.data.images import read_size
from utils.data.soft_masks import to_levels, write_soft_mask
from utils.errors import InputError
from utils.inference.chosen import Chosen
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.pipeline import InspectionPipeline
from utils.inference.tta import HALVES
from utils.models.spec import ModelSpec
from utils.training.agreement import compare, write_agreement

VERSION = 1  # of what is kept of the answers
FOLDER = "teacher"  # in DIR/.cache
# Images whose answers are put together before they are written, and pixels of these: some 4 bytes a class each.
MOST_AT_ONCE, MOST_PIXELS = 32, 20_000_000


@dataclass(frozen=True)
class Teacher:
    """One teacher: a network, a system, or all networks of a run of ``-folds``.

    Attributes:
        source: what the flag says.
        networks: its weights.
        fold_of: of a run of ``-folds``: image name -> place of the network that has not learnt it; other images are
            answered by all.
        digests: sha256 of each weights file.
    """

    source: str
    networks: tuple[Chosen, ...]
    fold_of: dict[str, int]
    digests: tuple[str, ...]

    def answering(self, name: str) -> tuple[int, ...]:
        """Return the places of the networks that answer about an image."""
        return (self.fold_of[name],) if name in self.fold_of else tuple(range(len(self.networks)))


def answer_files(
    spec: ModelSpec,
    dataset: Dataset,
    teachers: Sequence[Teacher],
    names: Sequence[str],
    halves: Collection[str] = (),
) -> dict[str, Path]:
    """Name the file that keeps the answer about each image; another teacher, view or image has another.

    Args:
        spec: the network that learns.
        dataset: the dataset folder, with the bit depth by which its images are read.
        teachers: who answer.
        names: of the images.
        halves: of those of which both halves of the views are compared.
    """
    folder = writable_folder(dataset.root, FOLDER)
    if folder is None:
        raise InputError(
            f"-teacher: no permission to write in {dataset.root}/.cache or in your own cache folder, where answers are kept"
        )
    learnt = "any" if spec.task == "binary" else spec.scored_names
    files = {}
    for name in names:
        path = dataset.path(name)
        asked = [[one.digests[place] for place in one.answering(name)] for one in teachers]
        views: list = [(one.tta, one.tile) for teacher in teachers for one in teacher.networks]
        how = (*views, "halves") if name in halves else views
        key = repr((VERSION, asked, how, learnt, dataset.depth, path.as_posix(), stamp(path)))
        files[name] = folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.png"
    return files


def ask_about(
    config: TrainConfig,
    dataset: Dataset,
    teachers: Sequence[Teacher],
    mappings: dict[int, list[int] | None],
    files: dict[str, Path],
    halves: Collection[str] = (),
) -> None:
    """Ask the teachers about every image whose answer is not on disk yet."""
    waiting = [name for name, file in files.items() if not file.is_file()]
    if not waiting:
        return
    asking = _Asking(config, dataset, teachers, mappings, len(waiting))
    # Images of one fold come together, so that a network sees full batches.
    waiting.sort(key=lambda name: [teacher.answering(name) for teacher in teachers])
    with progress(len(waiting), "teacher") as bar:
        for compared in (False, True):
            for names in _in_parts(dataset, [name for name in waiting if (name in halves) == compared]):
                if compared:
                    turned, passes = asking.ask(names, 0)
                    mirrored, more = asking.ask(names, 1)
                    for name in names:
                        votes = [*passes[name], *more[name]]
                        gate = 2 * sum(votes) >= len(votes) if votes else None
                        agreement, levels = compare(turned[name], mirrored[name], gate)
                        # First, so that there is none to an answer that is there.
                        write_agreement(files[name], agreement)
                        write_soft_mask(files[name], levels)
                else:
                    sums, _ = asking.ask(names, None)
                    for name, total in sums.items():
                        write_soft_mask(files[name], to_levels(total))
                bar.update(len(names))


class _Asking:
    """Asks teachers about images, and opens each network when it is needed.

    Args:
        config: the run's settings.
        dataset: the dataset folder.
        teachers: who answer.
        mappings: of each network, see ``as_learnt``, by its identity.
        count: images that will come.
    """

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        teachers: Sequence[Teacher],
        mappings: dict[int, list[int] | None],
        count: int,
    ) -> None:
        assert config.dir is not None
        self.config, self.dataset, self.teachers, self.mappings, self.count = config, dataset, teachers, mappings, count
        self.asked = EvaluateConfig(dir=config.dir, device=config.device, threads=config.threads)
        self.pipelines: dict[tuple[int, int | None], InspectionPipeline] = {}
        self.skipped: list[Refused] = []

    def ask(self, names: Sequence[str], half: int | None) -> tuple[dict[str, np.ndarray], dict[str, list[bool]]]:
        """Return the mean answer about each image, (C, H, W) float32, and what judges it as a whole: whether there is a defect.

        Args:
            names: of the images.
            half: of the views, 0 or 1, with open gates; None: all views, as the teacher is used.

        Raises:
            InputError: an image cannot be read.
        """
        sums: dict[str, np.ndarray] = {}
        votes: dict[str, list[bool]] = {name: [] for name in names}
        for teacher in self.teachers:
            for place, chosen in enumerate(teacher.networks):
                own = [name for name in names if place in teacher.answering(name)]
                if not own:
                    continue
                pipeline = self._pipeline(chosen, half)
                mapping, task = self.mappings[id(chosen)], pipeline.system.task
                by_path = {self.dataset.path(name): name for name in own}
                thresholds = chosen.label_thresholds

                def learnt(
                    path: Path,
                    result: Inspected,
                    mapping: list[int] | None = mapping,
                    task: str = task,
                    thresholds: tuple[float, ...] = thresholds,
                ) -> tuple[np.ndarray, bool | None]:
                    labels = result.labels
                    passes = None if labels is None or not thresholds else bool((labels >= np.array(thresholds)).any())
                    return as_learnt(probabilities(result, task), mapping, task), passes

                for path, (answer, passes) in pipeline.run(list(by_path), learnt, None):
                    name = by_path[path]
                    share = 1 / (len(self.teachers) * len(teacher.answering(name)))
                    sums[name] = sums[name] + share * answer if name in sums else share * answer
                    if passes is not None:
                        votes[name].append(passes)
        if self.skipped:
            first = self.skipped[0]
            raise InputError(f"-teacher: {first.name}: {first.reason}; mend the image or leave it out")
        return {name: np.minimum(total, 1) for name, total in sums.items()}, votes

    def _pipeline(self, chosen: Chosen, half: int | None) -> InspectionPipeline:
        key = id(chosen), half
        if key not in self.pipelines:
            flags = replace(self.asked, tile=self.config.teacher_tile)
            # What the teacher leaves open is not measured on a few images at a time.
            depth = self.dataset.depth if chosen.depth == BitDepth() else chosen.depth
            ready = replace(chosen, depth=depth)
            if half is not None:
                ready = replace(ready, tta=HALVES["d4" if chosen.tta == "d4" else "flips"][half])
            opened = open_pipeline(ready, flags, self.skipped, describe=False, images=self.count)
            opened.gates = half is None
            self.pipelines[key] = opened
        return self.pipelines[key]


def as_learnt(answer: np.ndarray, mapping: list[int] | None, task: str) -> np.ndarray:
    """Turn a teacher's probabilities into those of the classes that are learnt.

    Args:
        answer: (K, H, W) probabilities of the teacher's classes.
        mapping: place of each class among them; None: of any defect, which is at least as probable as each class.
        task: of the teacher; the classes of ``multiclass`` exclude each other.

    Returns:
        (C, H, W) float32 0..1.
    """
    if mapping is not None:
        return answer[mapping]
    joined = answer.sum(0, keepdims=True) if task == "multiclass" else answer.max(0, keepdims=True)
    return np.minimum(joined, 1, dtype=np.float32)


def _in_parts(dataset: Dataset, names: Sequence[str]) -> Iterator[list[str]]:
    """Give names in parts whose answers fit into memory together."""
    part: list[str] = []
    pixels = 0
    for name in names:
        height, width = read_size(dataset.path(name))
        if part and (len(part) == MOST_AT_ONCE or pixels + height * width > MOST_PIXELS):
            yield part
            part, pixels = [], 0
        part.append(name)
        pixels += height * width
    if part:
        yield part
