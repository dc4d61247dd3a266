"""The teachers of a training: whether they may teach it, and which images without labels it learns from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from config import EvaluateConfig, TrainConfig
from utils.commands.fold_networks import is_folds_run, open_folds
from utils.commands.known_images import find_known
from utils.commands.teacher_answers import Teacher, answer_files, ask_about
from utils.data.dataset_folder import Dataset
from utils.data.images import ImageError, read_size
from utils.data.listing import list_images, name_in
from utils.data.soft_masks import SoftTargets
from utils.data.splits import TRAIN, read_split
from utils.errors import InputError
from utils.inference.chosen import Chosen, choose_weights
from utils.models.spec import ModelSpec
from utils.text import plural
from utils.training.agreement import read_agreement
from utils.training.image_hashes import hash_images
from utils.training.provenance import data_fingerprint
from utils.training.teaching import Teaching, about_share, read_unlabelled
from utils.weights.image_hashes import joined
from utils.weights.run_files import SPLIT
from utils.weights.torch_file import digest

# Judging images, and their share, that may have the hash of a learnt one by chance.
MOST_BY_CHANCE, SHARE_BY_CHANCE = 2, 0.05


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
    files = answer_files(spec, dataset, teachers, [*train, *unlabelled], halves)
    ask_about(config, dataset, teachers, mappings, files, halves)
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
        found = find_known(together, paths, validating=True, folder=dataset.image_dir)
        named = learnt.intersection(names)
        whole = {*found.whole} | named
        part = {*found.part} - whole
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
    folder = config.unlabelled.absolute()
    paths = list_images(folder)
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
    copies = find_known(hashes, paths, validating=True, folder=folder)
    # By path, since images in folders within may have equal names.
    own = {dataset.path(name).resolve() for name in judged}
    seen = [path for path in paths if name_in(folder, path) in copies.seen or path.resolve() in own]
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
