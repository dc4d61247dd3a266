"""Put the labels first that are most likely wrong: those that networks deny, those of copies that differ, and odd masks."""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from config import EvaluateConfig, SuspectConfig
from utils.commands.fold_networks import FoldNetworks, open_folds
from utils.commands.progress import progress
from utils.commands.soft_answers import write_out_of_fold
from utils.data.checks import in_order, thread_count
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.duplicates.copies import Copies, Member, find_copies, masks_of
from utils.data.duplicates.image_sets import ImageSet
from utils.data.folds import read_folds
from utils.data.images import read_size
from utils.data.soft_masks import CERTAIN, read_soft_mask
from utils.data.subset_folder import write_subset
from utils.data.tables import write_frame
from utils.device import optional
from utils.errors import InputError
from utils.files import make_folder, staged, write_text
from utils.inference.outputs import picture_names
from utils.reporting.page import render
from utils.reporting.suspects_page import Shown, sections
from utils.scoring.suspicion import CLASS, MISSING, NOTHING, OUTLINE, PLACE, TWICE, Doubt, cleanlab_score, doubt, oddity
from utils.text import plural
from utils.weights.run_files import FOLDS, OOF, OOF_FOLDER

TABLE, PAGE, ASIDE = "suspects.csv", "suspects.html", "to_review"
COPIES, CLEANLAB = "copies", "cleanlab"  # kinds beside those of suspicion
ODD = 0.5  # what is odd about a mask by itself is worth
LEAST = 0.05  # score below which an image is not in the table
CLEAR = 0.3  # score from which it is called a suspect: more than other outlines alone are worth
COLUMNS = [
    "rank",
    "image",
    "score",
    "kind",
    "class_name",
    "why",
    "networks",
    "copies",
    "agreement",
    "down_px",
    "right_px",
]


@dataclass(frozen=True)
class Suspect:
    """What speaks against the label of an image.

    Attributes:
        image: its name.
        score: 0..1, of all evidence together.
        kind: of the strongest evidence.
        why: in words.
        class_name: that it is about; "" for all.
        networks: 0..1, what the network says that has not learnt the image; nan: it was not asked.
        copies: 0..1, how far the labels of its copies differ; nan: it has none that can be compared.
        agreement: soft Dice of label and answer; nan: not known.
        shift: pixels that the mask has to move down and right.
    """

    image: str
    score: float
    kind: str
    why: str
    class_name: str = ""
    networks: float = float("nan")
    copies: float = float("nan")
    agreement: float = float("nan")
    shift: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class SuspectResult:
    """What was found and where it was written.

    Attributes:
        found: the suspects, the likeliest first.
        images: number that was looked at.
        out: folder of page and table.
        aside: of the images to review.
        notes: more lines for the user.
        seconds: time it took.
    """

    found: list[Suspect] = field(repr=False)
    images: int
    out: Path
    aside: Path | None
    notes: list[str]
    seconds: float

    def text(self) -> str:
        """Return as text for a terminal what was found and where it is."""
        counts = clear(self.found)
        kinds = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
        lines = [f"{plural(counts.total(), 'suspect', ',')} of {plural(self.images, 'image', ',')}: {kinds or 'none'}"]
        lines += [f"  {one.score:.2f} {one.image}: {one.why}" for one in self.found[:5]]
        lines += [*self.notes, f"in {self.seconds:.1f} s: {self.out / PAGE} (open it in a browser), {self.out / TABLE}"]
        if self.aside is not None:
            lines.append(f"next: python Serve.py -dir {self.aside} -save KEPT -weights_dir WEIGHTS")
        return "\n".join(lines)


def suspect(config: SuspectConfig, show: bool = True) -> SuspectResult:
    """Write ``suspects.csv``, ``suspects.html`` and a dataset folder of the images to look at first.

    Args:
        config: the folder, the run of networks, where to write.
        show: bars of progress when standard error is a terminal.

    Raises:
        InputError: a folder, a table, a label or an image is at fault, or the place to write is; nothing was written.
    """
    start = time.perf_counter()
    out = config.out or config.dir / "suspects"
    if (out / ASIDE).exists():
        raise InputError(f"{out / ASIDE}: exists already; remove it, or name another folder with -out")
    if config.rank == "cleanlab":
        if config.folds_run is None:
            raise InputError(
                "-rank cleanlab: weighs the answers of networks; name a run of Train.py -folds: -folds_run"
            )
        optional(
            "-rank cleanlab", "cleanlab.segmentation.rank", requirements="requirements-labels.txt", called="cleanlab"
        )
    if config.folds_run is None and not config.copies:
        raise InputError("-copies false: nothing is left to look at; give -folds_run, or look for copies")
    dataset = open_dataset(config.dir)
    answers = None if config.folds_run is None else open_answers(config, dataset)
    copies = _find_copies(config, dataset, show) if config.copies else None
    of_copies = {} if copies is None else differing(copies)
    found: list[Suspect] = []
    names = dataset.images
    with progress(len(names), "labels") if show else contextlib.nullcontext() as bar:
        # FFTs of small images gain nothing from more threads than cores.
        work = in_order(lambda name: _weigh(config, dataset, answers, of_copies, name), names, thread_count(None))
        for _, one in work:
            if one is not None:
                found.append(one)
            if bar is not None:
                bar.update()
    found.sort(key=lambda one: (-one.score, one.image))
    notes = _notes(config, dataset, answers, of_copies)
    head = found[: config.num_of_images]
    lead = f"{config.dir}, {plural(len(names), 'image', ',')}, on {time.strftime('%Y-%m-%d %H:%M')}"
    shown = [_shown(dataset, answers, one) for one in head]
    page = render("Suspects", lead, sections(shown, dataset.annotations.class_names, clear(found), len(names), notes))
    make_folder(out)
    aside = write_subset(out / ASIDE, dataset, [one.image for one in head]) if head else None
    with staged(out) as folder:
        write_frame(table(found), folder / TABLE)
        write_text(folder / PAGE, page)
    return SuspectResult(found, len(names), out, aside, notes, time.perf_counter() - start)


def clear(found: Sequence[Suspect]) -> "Counter[str]":
    """Count those that deserve the name, by kind."""
    return Counter(one.kind for one in found if one.score > CLEAR)


def table(found: Sequence[Suspect]) -> pd.DataFrame:
    """Return a row for each suspect."""
    rows = [
        [
            rank,
            one.image,
            round(one.score, 4),
            one.kind,
            one.class_name,
            one.why,
            round(one.networks, 4),
            round(one.copies, 4),
            round(one.agreement, 4),
            *(one.shift if one.kind == PLACE else (None, None)),
        ]
        for rank, one in enumerate(found, 1)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"down_px": "Int64", "right_px": "Int64"})


@dataclass(frozen=True)
class Answers:
    """What networks say about images that they have not learnt.

    Attributes:
        networks: of the run.
        files: image name -> its soft mask.
        places: of each channel of a soft mask, the class of the dataset; None: any defect.
    """

    networks: FoldNetworks
    files: dict[str, Path]
    places: tuple[int, ...] | None

    def read(self, name: str, height: int, width: int) -> np.ndarray | None:
        """Return (C, H, W) float32 probabilities; None of an image that was in no fold."""
        if name not in self.files:
            return None
        return read_soft_mask(self.files[name], height, width).astype(np.float32) / CERTAIN

    def labels(self, masks: np.ndarray) -> np.ndarray:
        """Return of the labels of all classes, (C, H, W), those that the networks know."""
        return np.asarray(masks.any(0))[None] if self.places is None else masks[list(self.places)]


def open_answers(config: SuspectConfig, dataset: Dataset) -> Answers:
    """Open the answers of a run of ``-folds``; where they are no pictures yet, its networks are asked.

    Raises:
        InputError: no finished run on this folder, or one of other classes or without masks.
    """
    run = config.folds_run
    assert run is not None
    flags = EvaluateConfig(dir=config.dir, weights_dir=run, device=config.device, threads=config.threads)
    try:
        networks = open_folds(flags, dataset.images)
    except InputError as error:
        raise InputError(str(error).replace("-weights_dir", "-folds_run")) from None
    if not (run / OOF).is_file():
        raise InputError(
            f"-folds_run {run}: not finished ({OOF} is missing); go on with: python Train.py -resume {run}"
        )
    spec = networks.first.weights.spec
    known = dataset.annotations.class_names
    if spec.is_classifier:
        raise InputError(f"-folds_run {run}: its networks judge whole images and draw no masks; name another run")
    lacking = [] if spec.task == "binary" else [name for name in spec.scored_names if name not in known]
    if lacking:
        raise InputError(f"-folds_run {run}: knows {lacking[0]}, which {config.dir} has no labels of; name its own run")
    places = None if spec.task == "binary" else tuple(known.index(name) for name in spec.scored_names)
    pictures = picture_names(sorted(networks.fold_of))
    files = {name: run / OOF_FOLDER / picture for name, picture in pictures.items()}
    if not all(file.is_file() for file in files.values()):
        write_out_of_fold(flags, read_folds(run / FOLDS))
    return Answers(networks, files, places)


def differing(copies: Copies) -> dict[str, tuple[float, list[str]]]:
    """Weigh the labels of copies against each other.

    Of an image with several copies the middle one counts, so that of three alike and one wrong the wrong one stands out.

    Returns:
        Image name -> how far its label differs, 0..1, and the copies that differ; of images that have comparable copies.
    """
    apart: dict[str, list[tuple[float, str]]] = {}
    for copy in copies.found:
        if copy.comparable and copy.masks is not None:
            ends = [copies.members[end].name for end in (copy.first, copy.second)]
            for one, other in (ends, ends[::-1]):
                apart.setdefault(one, []).append((1 - copy.masks.iou if copy.disagrees else 0.0, other))
    found = {}
    for name, pairs in apart.items():
        middle = float(np.median([value for value, _ in pairs]))
        found[name] = middle, sorted(other for value, other in pairs if value > 0)
    return found


def _find_copies(config: SuspectConfig, dataset: Dataset, show: bool) -> Copies:
    images = ImageSet(dataset.root, dataset.image_dir, dataset.images, dataset)
    return find_copies([Member(images, name) for name in images.names], thread_count(config.num_of_workers), show)


def _weigh(
    config: SuspectConfig,
    dataset: Dataset,
    answers: Answers | None,
    of_copies: dict[str, tuple[float, list[str]]],
    name: str,
) -> Suspect | None:
    """Join all evidence about the label of an image; None where it is no suspect."""
    found = [Suspect(name, 0.0, "", "")]
    height, width = read_size(dataset.path(name))
    label, counted = _label(dataset, name, (height, width))
    class_names = dataset.annotations.class_names
    odd = oddity(label, counted)
    if odd is not None:
        kind, classes = odd
        about = " and ".join(class_names[place] for place in classes)
        why = f"{about} have the same pixels" if kind == TWICE else f"{about} covers nearly all of the image: inverted?"
        found.append(Suspect(name, ODD, kind, why, class_names[classes[0]]))
    answer = None if answers is None else answers.read(name, height, width)
    networks = agreement = float("nan")
    shift = (0, 0)
    if answer is not None and answers is not None:
        known = answers.labels(label)
        names = ("defect",) if answers.places is None else tuple(class_names[place] for place in answers.places)
        said = doubt(known, answer, counted)
        agreement, shift = said.agreement, said.shift
        if config.rank == "cleanlab":
            networks = cleanlab_score(known, answer)
            kind = CLEANLAB
        else:
            networks, kind = said.score, said.kind
        about = names[said.classes[0]] if said.classes else ""
        found.append(Suspect(name, networks, kind, in_words(said, names), about))
    copies = float("nan")
    if name in of_copies:
        copies, others = of_copies[name]
        if copies > 0:
            why = f"{plural(len(others), 'copy', ',').replace('copys', 'copies')} labelled otherwise: {', '.join(others[:3])}"
            why += ", ..." if len(others) > 3 else ""
            found.append(Suspect(name, copies, COPIES, why))
    best = max(found, key=lambda one: one.score)
    # Evidence of different sources adds up: either alone may be right.
    score = 1 - float(np.prod([1 - one.score for one in found]))
    if score < LEAST:
        return None
    why = "; ".join(one.why for one in sorted(found, key=lambda one: -one.score) if one.score >= LEAST)
    return replace(best, score=score, why=why, networks=networks, copies=copies, agreement=agreement, shift=shift)


def in_words(said: Doubt, names: Sequence[str]) -> str:
    """Say what a network denies of a label."""
    about = [names[place] for place in said.classes]
    down, right = said.shift
    moved = [
        f"{abs(pixels)} px {word[pixels < 0]}"
        for pixels, word in ((down, ("down", "up")), (right, ("right", "left")))
        if pixels
    ]
    return {
        CLASS: lambda: f"labelled {about[0]}, the network sees {about[1]}",
        PLACE: lambda: f"the mask fits where it is moved by {' and '.join(moved)}",
        MISSING: lambda: f"the network sees {about[0]} where nothing is labelled",
        NOTHING: lambda: f"labelled {about[0]} where the network sees nothing",
        OUTLINE: lambda: "the network draws other outlines",
    }[said.kind]()


def _label(dataset: Dataset, name: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the labels of an image, (C, H, W) bool, and the pixels that count, (H, W) bool; None: all."""
    drawn = masks_of(dataset, name, dataset.annotations.class_names, size)
    assert drawn is not None, "a dataset folder has classes"
    masks, ignored = drawn
    return np.ascontiguousarray(masks.transpose(2, 0, 1)).astype(np.bool_), ~ignored if ignored.any() else None


def _shown(dataset: Dataset, answers: Answers | None, one: Suspect) -> Shown:
    """Return what the page draws of a suspect."""
    image = dataset.read(one.image)
    label, _ = _label(dataset, one.image, image.shape[:2])
    answer = None if answers is None else answers.read(one.image, *image.shape[:2])
    said = None
    if answer is not None and answers is not None:
        said = np.zeros_like(label) if answers.places is not None else np.zeros((1, *label.shape[1:]), np.bool_)
        said[list(answers.places) if answers.places is not None else [0]] = answer > 0.5
    return Shown(one.image, one.score, one.kind, one.why, image, label, said)


def _notes(
    config: SuspectConfig, dataset: Dataset, answers: Answers | None, of_copies: dict[str, tuple[float, list[str]]]
) -> list[str]:
    """Return lines about what could not be looked at."""
    lines = []
    if answers is None:
        lines.append("no network was asked: give a run of Train.py -folds with -folds_run to weigh every label")
    elif left := [name for name in dataset.images if name not in answers.files]:
        lines.append(
            f"{plural(len(left), 'image', ',')} in no fold of {config.folds_run}: no network was asked about them"
        )
    if config.copies:
        lines.append(f"{plural(len(of_copies), 'image', ',')} with copies whose labels can be compared")
    return lines
