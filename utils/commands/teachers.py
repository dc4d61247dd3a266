"""The teachers of a training: whether they may teach it, and what they say of its images, asked once and kept on disk."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from config import EvaluateConfig, TrainConfig
from utils.commands.fold_networks import is_folds_run, open_folds
from utils.commands.known_images import find_known
from utils.commands.progress import progress
from utils.commands.soft_answers import probabilities
from utils.data.bit_depth import BitDepth
from utils.data.cache import stamp, writable_folder
from utils.data.dataset_folder import Dataset
from utils.data.images import ImageError, read_size
from utils.data.listing import list_images
from utils.data.soft_masks import SoftTargets, to_levels, write_soft_mask
from utils.data.splits import TRAIN, read_split
from utils.errors import InputError
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.pipeline import InspectionPipeline
from utils.inference.tta import HALVES
from utils.models.spec import ModelSpec
from utils.text import plural
from utils.training.agreement import compare, read_agreement, write_agreement
from utils.training.image_hashes import hash_images
from utils.training.provenance import data_fingerprint
from utils.training.teaching import Teaching, about_share, read_unlabelled
from utils.weights.image_hashes import joined
from utils.weights.run_files import SPLIT
from utils.weights.torch_file import digest

VERSION = 1  # of what is kept of the answers
FOLDER = "teacher"  # in DIR/.cache
# Judging images, and their share, that may have the hash of a learnt one by chance.
MOST_BY_CHANCE, SHARE_BY_CHANCE = 2, 0.05
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


def ask_teachers(
    config: TrainConfig,
    spec: ModelSpec,
    dataset: Dataset,
    train: Sequence[str],
    kept_apart: Mapping[str, Sequence[str]],
    resumed: Path | None,
) -> Teaching:
    """Look whether the teachers may teach, and ask them about all images that are trained on.

    Args:
        config: the run's settings, with ``teacher``.
        spec: the network that learns.
        dataset: the dataset folder, whose images were checked.
        train: labelled images to train on.
        kept_apart: images that the network is judged by, ``validation`` and ``test``.
        resumed: folder of the run that goes on, which keeps its unlabelled images; None: a new run.

    Raises:
        InputError: no such weights, of other classes, or trained on images that the network is judged by; unlabelled
            images that cannot be read.
    """
    assert config.teacher is not None
    teachers = [_open(config, source) for source in config.teacher]
    mappings = {id(one): _mapping(teacher.source, one, spec) for teacher in teachers for one in teacher.networks}
    notes: list[str] = []
    if resumed is None:
        for teacher in teachers:
            notes += _about_seen(teacher, dataset, train, kept_apart)
        unlabelled = _unlabelled(config, dataset, kept_apart, notes)
    else:
        unlabelled = read_unlabelled(resumed)
        if missing := [name for name in unlabelled if not Path(name).is_file()]:
            raise InputError(f"{missing[0]}: an unlabelled image that the run began with is missing; put it back")
    halves = set(unlabelled) if config.accept == "agreed" else set()
    files = _files(config, spec, dataset, teachers, [*train, *unlabelled], halves)
    _answer(config, dataset, teachers, mappings, files, halves)
    if halves and resumed is None:
        unlabelled = _accepted(config, unlabelled, files, notes)
        files = {name: file for name, file in files.items() if name not in halves or name in set(unlabelled)}
    if config.unlabelled_share is not None and unlabelled:
        notes += about_share(config.unlabelled_share, len(train), len(unlabelled))
    return Teaching(
        SoftTargets(files, frozenset(unlabelled), config.teacher_weight),
        unlabelled,
        tuple(
            {"file": one.path.name, "sha256": known}
            for teacher in teachers
            for one, known in zip(teacher.networks, teacher.digests, strict=True)
        ),
        tuple(
            one.weights.image_hashes
            for teacher in teachers
            for one in teacher.networks
            if one.weights.image_hashes is not None
        ),
        tuple(notes),
    )


def _open(config: TrainConfig, source: str) -> Teacher:
    """Read the weights that one word of ``-teacher`` names."""
    assert config.dir is not None
    path = Path(source)
    asked = EvaluateConfig(
        dir=config.dir,
        weights_dir=path,
        tta=config.teacher_tta,
        tile=config.teacher_tile,
        device=config.device,
        threads=config.threads,
    )
    if not path.exists():
        raise InputError(
            f"-teacher {source}: no such file or folder; name a weights file, a system file or a run folder"
        )
    try:
        if is_folds_run(path):
            folds = open_folds(asked)
            networks = tuple(folds.chosen.values())
            place = {fold: number for number, fold in enumerate(folds.chosen)}
            fold_of = {name: place[fold] for name, fold in folds.fold_of.items()}
        else:
            networks, fold_of = (choose_weights(asked),), {}
    except InputError as error:
        raise InputError(f"-teacher {source}: {error}") from None
    return Teacher(source, networks, fold_of, tuple(digest(one.path) for one in networks))


def _mapping(source: str, chosen: Chosen, spec: ModelSpec) -> list[int] | None:
    """Return of each class that the network learns its place among the teacher's; None: of any defect.

    Raises:
        InputError: the teacher has no masks, or lacks a class.
    """
    theirs = chosen.weights.spec
    if theirs.is_classifier:
        raise InputError(f"-teacher {source}: judges whole images and draws no masks; name a network that does")
    if spec.task == "binary":
        if theirs.target is not None:
            raise InputError(f"-teacher {source}: finds {theirs.target} alone; -task binary learns any defect")
        return None
    lacking = [name for name in spec.scored_names if name not in theirs.scored_names]
    if theirs.task == "binary" or lacking:
        known = "defects without their class" if theirs.task == "binary" else ", ".join(theirs.scored_names)
        wanted = ", ".join(spec.scored_names if theirs.task == "binary" else lacking)
        raise InputError(f"-teacher {source}: knows {known}, and not {wanted}; name one of the same classes")
    return [theirs.scored_names.index(name) for name in spec.scored_names]


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


def _about_seen(
    teacher: Teacher, dataset: Dataset, train: Sequence[str], kept_apart: Mapping[str, Sequence[str]]
) -> list[str]:
    """Refuse a teacher that has learnt images which the network is judged by; return lines about what is in doubt."""
    lines = []
    splits = {one.path.parent / SPLIT for one in teacher.networks}
    ours = data_fingerprint(dataset)
    same = all(one.weights.provenance.get("data_fingerprint") == ours for one in teacher.networks)
    learnt = _sides(splits, (TRAIN,)) if same else set()
    hashes = [one.weights.image_hashes for one in teacher.networks]
    together = joined(one for one in hashes if one is not None)
    all_known = all(one is not None and one.trained and not one.unknown for one in hashes)
    for what, names in kept_apart.items():
        if not names:
            continue
        paths = [dataset.path(name) for name in names]
        found = find_known(together, paths, validating=True)
        named = {dataset.path(name) for name in learnt.intersection(names)}
        whole = {path for path in paths if path.name in found.whole} | named
        part = {path for path in paths if path.name in found.part} - whole
        # Hashes of plain images may agree by chance, names do not.
        if named or len(whole) > max(MOST_BY_CHANCE, SHARE_BY_CHANCE * len(names)):
            raise InputError(
                f"-teacher {teacher.source}: has learnt {len(whole)} of the {plural(len(names), f'{what} image')}, so that"
                " scores of what it teaches would flatter; train it with the -split of this run, or this run with its"
            )
        if whole or part:
            lines.append(
                f"-teacher {teacher.source}: {len(whole | part)} of the {plural(len(names), f'{what} image')} may be copies of"
                f" images that it has learnt, {len(part)} of them in part: their scores may flatter"
            )
        if not all_known and not learnt:
            lines.append(
                f"-teacher {teacher.source}: not all images that it has learnt are known, so copies of {what} images"
                " among them cannot be looked for"
            )
    memory = learnt.intersection(train) - set(teacher.fold_of)
    if memory:
        lines.append(
            f"-teacher {teacher.source}: has learnt {len(memory)} of the {plural(len(train), 'training image')}, of which it"
            " repeats the labels; a run of -folds answers by networks that have not"
        )
    return lines


def _sides(splits: set[Path], sides: Sequence[str]) -> set[str]:
    """Name the images on these sides of the splits that are there."""
    names: set[str] = set()
    for csv in splits:
        if csv.is_file():
            frame = read_split(csv)
            names |= set(frame.loc[frame["side"].isin(sides), "image"])
    return names


def _unlabelled(
    config: TrainConfig, dataset: Dataset, kept_apart: Mapping[str, Sequence[str]], notes: list[str]
) -> tuple[str, ...]:
    """List the images of ``-unlabelled`` as paths, but for copies of those that the network is judged by."""
    if config.unlabelled is None:
        return ()
    paths = [path.absolute() for path in list_images(config.unlabelled)]
    if not paths:
        raise InputError(f"-unlabelled {config.unlabelled}: no images there; name a folder that holds some")
    for path in paths:
        try:
            read_size(path)
            dataset.read(str(path))
        except ImageError as error:
            raise InputError(f"{path}: {error.reason}; remove it from -unlabelled") from None
    judged = [name for names in kept_apart.values() for name in names]
    hashes = hash_images(dataset, judged, [], config.num_of_workers)
    copies = find_known(hashes, paths, validating=True)
    # By path, since images in folders within may have equal names.
    own = {dataset.path(name).resolve() for name in judged}
    seen = [path for path in paths if path.name in copies.seen or path.resolve() in own]
    if seen:
        notes.append(
            f"-unlabelled {config.unlabelled}: {len(seen)} of {plural(len(paths), 'image')} left out, since the network is"
            f" judged by copies of them ({seen[0].name} first)"
        )
    left = tuple(path.as_posix() for path in paths if path not in set(seen))
    if not left:
        raise InputError(f"-unlabelled {config.unlabelled}: the network is judged by copies of all of its images")
    return left


def _accepted(
    config: TrainConfig, unlabelled: Sequence[str], files: dict[str, Path], notes: list[str]
) -> tuple[str, ...]:
    """Return the images without labels about which the teachers agree with themselves; say how many these are."""
    found = {name: read_agreement(files[name]) for name in unlabelled}
    kept = tuple(name for name, one in found.items() if one.accepted(config.least_agreement))
    if not kept:
        raise InputError(
            f"-unlabelled {config.unlabelled}: not one of {plural(len(found), 'image')} is accepted, the teacher is too"
            " unsure of them; label more, take a better teacher, or -accept all"
        )
    differ = sum(one.dice < config.least_agreement for one in found.values())
    closed = len(found) - len(kept) - differ
    unsure = sum(found[name].unsure for name in kept) / len(kept)
    judged = f", {closed} where gate and masks do not" if any(not one.gate for one in found.values()) else ""
    notes.append(
        f"-unlabelled {config.unlabelled}: {len(kept)} of {plural(len(found), 'image')} accepted; left out {differ} where the"
        f" masks of turned and mirrored views do not agree (Dice below {config.least_agreement:g}){judged}; {unsure:.2%} of"
        " the pixels of those accepted count for nothing"
    )
    return kept


def _files(
    config: TrainConfig,
    spec: ModelSpec,
    dataset: Dataset,
    teachers: Sequence[Teacher],
    names: Sequence[str],
    halves: Collection[str] = (),
) -> dict[str, Path]:
    """Name the file that keeps the answer about each image; another teacher, view or image has another.

    Args:
        config: the run's settings.
        spec: the network that learns.
        dataset: the dataset folder.
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
        key = repr((VERSION, asked, how, learnt, config.bit_depth, path.as_posix(), stamp(path)))
        files[name] = folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.png"
    return files


def _answer(
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
        mappings: of each network, see ``_mapping``, by its identity.
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
