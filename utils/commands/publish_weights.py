"""Make published weights out of a run: the one function behind ``Publish_weights.py``."""

import dataclasses
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from config import EvaluateConfig, ForeignFlags, PublishWeightsConfig, Side
from utils.calibration.result import NOTHING_BETTER
from utils.commands.evaluate import EvaluateResult, evaluate
from utils.commands.fold_networks import is_folds_run
from utils.commands.foreign_weights import ForeignResult, weights_of_others
from utils.commands.publish_int8 import PublishedInt8, publish_int8
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.folder_layout import LABELS
from utils.data.splits import TEST, read_split
from utils.device import processor
from utils.errors import InputError
from utils.files import replacing, write_text
from utils.models.spec import ANOMALY
from utils.training.result import TEST_DATA
from utils.weights import hub
from utils.weights.cards import Words, card, table
from utils.weights.finding import find
from utils.weights.http import without_secrets
from utils.weights.index import INDEX, PLAIN_NAME, Entry, Index, bare, read_index
from utils.weights.lineage import Training, without_places
from utils.weights.run_files import SETTINGS, SPLIT
from utils.weights.sample import Sample
from utils.weights.storage import halved
from utils.weights.weights_file import SYSTEM_SUFFIX, WeightsFile, load

# By how much a score on the validation split may change for half of the bytes.
MOST_CHANGE = 1e-4
# Between these lines of weights/README.md stands the table of what is published.
MARKS = ("<!-- published -->", "<!-- end of published -->")
LARGEST = 95_000_000
# A published file is found by its name and its sha256, whole; a system file names others by their places.
ONE_NETWORK = (
    "holds several networks, and one network is published at a time, since a published file stands alone; name the run"
    " folder of one"
)
LONGEST_NAME = 100
UNUSED = "; used for nothing else"
# Of the run's metrics, what is no score.
KEPT = ("epoch", "calibration", "false_alarms", "expected_false_alarms", "scored_images", "drawn")
RESERVED = ("readme", "index", "license", "changelog")  # pages that a folder of weights may get later


@dataclass(frozen=True)
class PublishResult:
    """What was published.

    Attributes:
        entry: its line in the index.
        to: folder of the files.
        copies: line about copies of training images among the test images; "" where there are no test images.
        change: largest change of a score by 16-bit numbers; None where that was not measured.
        pushed: address on the hub, if any.
    """

    entry: Entry
    to: Path
    change: float | None
    pushed: str | None
    copies: str = ""

    def text(self) -> str:
        """Return as text for a terminal what was measured and where it is."""
        lines = []
        for side, score in self.entry.scores.items():
            figures = ", ".join(
                f"{word} {score[key]:.4f}"
                for key, word in (("mean_dice", "mean Dice"), ("empty_baseline", "empty baseline"))
                if score.get(key) is not None
            )
            lines.append(f"{side}: {score['images']} images, {figures}")
        if self.copies:
            lines.append(f"test: {self.copies}")
        if self.change is not None:
            kept = "so they are stored" if self.entry.storage == "half" else "so 32 bits are stored"
            lines.append(f"numbers of 16 bits change the scores by {self.change:.6f} at most, {kept}")
        lines.append(f"{self.to / self.entry.file}: {self.entry.size / 1e6:.1f} MB")
        if self.entry.size > LARGEST:
            lines.append("warning: GitHub takes files up to 100 MB; publish a smaller network, or use -urls or -push")
        lines.append(f"card, sample and index beside it: {self.entry.name}.md, {_sample_of(self.entry)}, {INDEX}")
        if self.pushed:
            lines.append(f"on the hub: {self.pushed}")
        return "\n".join(lines)


def publish_weights(config: PublishWeightsConfig) -> PublishResult | ForeignResult | PublishedInt8:
    """Strip, measure, describe and list the weights of a run, or make a weights file of another program's.

    Args:
        config: the flags of ``Publish_weights.py``.

    Returns:
        What was published, or made.

    Raises:
        InputError: no such run, a name that is taken, or no labelled images to measure on; nothing was written then.
    """
    index = _index(config.to)
    if config.int8 is not None:
        return publish_int8(config, index)
    _check_name(config.name, config.to, index)
    if config.source is not None:
        return weights_of_others(config)
    _check_flags(config)
    _check_urls(config.urls or ())
    source = _run_folder(config)
    path = find(source, config.weights)
    weights = load(path)
    Training.of(source, weights.provenance)  # here, so that a damaged history is told before minutes of measuring
    if weights.spec.is_classifier:
        raise InputError(
            f"{path}: classifies whole images ({weights.spec.task}); only networks that draw masks can be published,"
            " since their scores are what is published with them"
        )
    dataset = config.dir or _dataset(source)
    # Here rather than while measuring, which reads a copy and would name that.
    labelled = open_dataset(dataset)
    split = read_split(source / SPLIT, labelled.images)
    if "valid" not in set(split["side"]):
        raise InputError(f"{source / SPLIT}: has no image on its valid side to measure on")
    if config.test_dir:
        _check_unseen(config.test_dir, labelled, split)
    if config.push:
        hub.check(config.push, weights.build().net)
    with tempfile.TemporaryDirectory(prefix="publish-") as name:
        folder = Path(name)
        chosen, change, valid = _stored(config, weights, folder, source, dataset)
        tested, about = None, ""
        if config.test_dir:
            which = "test" if _test_side(config.test_dir) == "test" else "all"
            tested = _measure(config, chosen, folder / "test", config.test_dir, which)
            words = (config.test_data or config.test_dir.resolve().name).removesuffix(UNUSED)  # as copied from a card
            about = f"{words}{UNUSED}"
        elif TEST in set(split["side"]):
            # Measured again: thresholds may have been calibrated since the training did.
            tested, about = _measure(config, chosen, folder / "test", dataset, "test-side", source), TEST_DATA
        if not config.force:
            for side, measured in (("valid", valid), ("test", tested)):
                _check_worth(path, side, measured)
        scores = {"valid": _score(valid, "validation split of the training data")}
        if tested:
            scores["test"] = {**_score(tested, about), "copies": tested.about_copies}
        provenance = without_places(weights.provenance)
        training = Training.of(source, provenance)
        final = dataclasses.replace(
            chosen,
            metrics={**_kept(weights), **scores["valid"], **({"test": scores["test"]} if tested else {})},
            provenance={**provenance, **training.spent, "published_as": config.name},
            image_hashes=chosen.image_hashes if config.image_hashes else None,
        )
        packed = final.save_named(folder / "final", config.name)
        entry = _entry(config, packed, final, scores, tested or valid, training)
        old = index.find(config.name)
        if old is not None and old.sha256 != entry.sha256 and not config.replace:
            raise InputError(f"-name {config.name}: {old.file} is published already; add -replace, or choose another")
        model = load(packed).build()
        text = card(entry, final, model, training, Words(config.data or "", config.terms, config.limits))
        sample = Sample.of(model, weights.spec.channels)
        if config.push:
            _push(config, entry, model.net, text, sample, packed, folder / "hub")
        # Read again: another run may have been published while this one was measured.
        new = _index(config.to).with_entry(entry, config.default)
        _write(config.to, entry, packed, sample, text, new, old)
    address = f"https://huggingface.co/{config.push}" if config.push else None
    return PublishResult(entry, config.to, change, address, tested.about_copies if tested else "")


def _index(folder: Path) -> Index:
    return read_index(folder / INDEX) if (folder / INDEX).is_file() else Index()


def _check_name(name: str, to: Path, index: Index) -> None:
    """Refuse a name that a file cannot have, or by which the card would take the place of a page of the user's."""
    if len(name) > LONGEST_NAME:
        raise InputError(f"-name {name[:40]}...: has {len(name)} letters; use {LONGEST_NAME} at most")
    if not PLAIN_NAME.fullmatch(name) or name.endswith(".pth"):
        raise InputError(f"-name {name}: use letters, digits, '-', '_' and '.', as in unet-resnet18-mydata")
    if bare(name) != name:
        raise InputError(f"-name {name}: leave the digits of the sha256 out; they are added")
    page = to / f"{name}.md"
    if name.casefold() in RESERVED or (page.exists() and all(entry.name != name for entry in index.entries)):
        raise InputError(f"-name {name}: the card would replace {page}, which is none; choose another name")


def _check_urls(urls: Sequence[str]) -> None:
    """Refuse addresses that nobody could fetch from, or that tell a secret, before minutes of measuring."""
    for url in urls:
        if without_secrets(url) != url:
            raise InputError(f"-urls {without_secrets(url)}: leave out names, passwords and what stands behind '?'")
        if not re.fullmatch(r"(https?|hf|file)://[^\s/]\S*", url) and not re.fullmatch(r"file:///\S+", url):
            raise InputError(f"-urls {url}: is no address of a folder; write it as https://HOST/FOLDER")


def _check_flags(config: PublishWeightsConfig) -> None:
    """Refuse what is missing of a run folder, and flags of -from."""
    missing = [words for words, value in (("RUN", config.run), ("-data", config.data)) if value is None]
    if missing:
        raise InputError(f"Publish_weights.py: missing {' '.join(missing)}; -h explains every flag")
    for field in dataclasses.fields(ForeignFlags):
        if getattr(config, field.name) != field.default:
            raise InputError(f"-{field.name}: is for -from FILE, a run folder knows it; leave it out")


def _run_folder(config: PublishWeightsConfig) -> Path:
    run = config.run
    assert run is not None
    if run.name.endswith(SYSTEM_SUFFIX) or "," in str(run):
        raise InputError(f"{run}: {ONE_NETWORK}")
    if run.is_dir() and (any(run.glob(f"*{SYSTEM_SUFFIX}")) or is_folds_run(run)):
        members = sorted(path.name for path in run.iterdir() if (path / SETTINGS).is_file())
        raise InputError(f"{run}: {ONE_NETWORK}{f': {run / members[0]}' if members else ''}")
    if not run.is_dir():
        raise InputError(f"{run}: no such run folder; name one that Train.py made")
    for name in (SETTINGS, SPLIT):
        if not (run / name).is_file():
            raise InputError(f"{run}: has no {name}, so it is no run folder of Train.py; name one that is")
    return run


def _dataset(run: Path) -> Path:
    try:
        return Path(yaml.safe_load((run / SETTINGS).read_text(encoding="utf-8"))["dir"])
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError):
        raise InputError(f"{run / SETTINGS}: damaged; name the dataset folder with -dir") from None


def _test_side(folder: Path) -> Side:
    return "test" if (folder / LABELS["test"]).is_file() else "train"


def _check_unseen(folder: Path, dataset: Dataset, split: pd.DataFrame) -> None:
    """Refuse test images that the run learnt from or was chosen by."""
    test = open_dataset(folder, _test_side(folder))
    names = set(split.loc[split["side"] != TEST, "image"])
    seen = [name for name in test.images if name in names and _equal(test.path(name), dataset.path(name))]
    if seen:
        raise InputError(
            f"-test_dir {folder}: {len(seen)} of its {len(test.images)} images are images of the run too, {seen[0]} for"
            " one; a test score is of images that nothing was learnt, chosen or calibrated on"
        )


def _equal(one: Path, other: Path) -> bool:
    """Check whether two images have the same bytes; either may be of a packed dataset."""
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def _stored(
    config: PublishWeightsConfig, weights: WeightsFile, folder: Path, run: Path, dataset: Path
) -> tuple[WeightsFile, float | None, EvaluateResult]:
    """Decide how the numbers are stored, by measuring; give the weights to store, the change, and their scores."""
    half = dataclasses.replace(weights, state_dict=halved(weights.state_dict))
    full_score = half_score = None
    if config.storage != "half":
        full_score = _measure(config, weights, folder / "float", dataset, "valid", run)
    if config.storage != "float":
        half_score = _measure(config, half, folder / "half", dataset, "valid", run)
    if full_score is None or half_score is None:
        score = full_score or half_score
        assert score
        return (half if half_score else weights), None, score
    change = largest_change(full_score.scores.to_dict(), half_score.scores.to_dict())
    return (half, change, half_score) if change <= MOST_CHANGE else (weights, change, full_score)


def largest_change(before: dict[str, Any], after: dict[str, Any]) -> float:
    """Return the largest difference between two sets of scores over all classes; infinity where one is undefined."""
    gaps = [0.0]
    for key, value in before.items():
        if isinstance(value, float):
            gaps.append(abs(value - after[key]) if isinstance(after.get(key), float) else float("inf"))
    return max(gaps)


def _measure(
    config: PublishWeightsConfig,
    weights: WeightsFile,
    folder: Path,
    dataset: Path | None,
    split: str,
    run: Path | None = None,
) -> EvaluateResult:
    """Score weights the way users do: through a file, and the function behind Evaluate.py."""
    assert dataset
    folder.mkdir(parents=True)
    weights.save(folder / "weights.pth")
    if run is not None:
        shutil.copyfile(run / SPLIT, folder / SPLIT)
    result = evaluate(
        EvaluateConfig(
            dir=dataset,
            weights_dir=folder / "weights.pth",
            split=split,  # type: ignore[arg-type]
            out=folder / "scores",
            batch_size=config.batch_size,
            resamples=0,
            examples=0,
            backend="torch",
            device=config.device,
            threads=config.threads,
        )
    )
    if not isinstance(result, EvaluateResult):
        raise InputError(f"{folder}: judges whole images only; what is published here draws masks")
    if result.skipped:
        raise InputError(f"{result.skipped[0].name}: cannot be read, and scores of some images only are not published")
    return result


def _check_worth(path: Path, side: str, result: EvaluateResult | None) -> None:
    """Raise ``InputError`` where scores say that a network is no better than predicting nothing."""
    if result is None or not result.scores.together.with_defect:
        return
    dice, nothing = result.scores.mean_dice, result.scores.empty_baseline
    if dice <= nothing:
        raise InputError(
            f"{path}: {NOTHING_BETTER} on the {side} images (mean Dice {dice:.4f}, empty baseline {nothing:.4f}); train"
            " longer, calibrate it, or publish it all the same with -force"
        )


def _kept(weights: WeightsFile) -> dict[str, Any]:
    """Return what the run's own scores say besides figures: where the weights and their thresholds come from."""
    return {key: weights.metrics[key] for key in KEPT if key in weights.metrics}


def _score(result: EvaluateResult, data: str) -> dict[str, Any]:
    score = {"data": data, **result.scores.to_dict()}
    evaluation = result.evaluation
    if evaluation.class_names == (ANOMALY,) and evaluation.presence:
        curves = evaluation.presence.curves.get(f"hasDefect_{evaluation.first_class}")
        if curves:
            score["image_auroc"] = curves.roc_auc
    return score


def _entry(
    config: PublishWeightsConfig,
    packed: Path,
    final: WeightsFile,
    scores: dict[str, Any],
    timed: EvaluateResult,
    training: Training,
) -> Entry:
    return Entry(
        name=config.name,
        file=packed.name,
        sha256=hashlib.sha256(packed.read_bytes()).hexdigest(),
        size=packed.stat().st_size,
        urls=(
            packed.name,
            *(f"{url.rstrip('/')}/{packed.name}" for url in config.urls or ()),
            *([f"hf://{config.push}/{packed.name}"] if config.push else []),
        ),
        architecture=final.spec.architecture,
        encoder=final.spec.encoder,
        task=final.spec.task,
        classes=final.spec.scored_names,
        storage="half" if any(tensor.dtype.itemsize == 2 for tensor in final.state_dict.values()) else "float",
        scores=scores,
        speed={
            "images_per_second": round(timed.images_per_second, 2),
            "network": timed.network,
            "hardware": f"{config.threads or os.cpu_count()} threads, {processor()}",
        },
        training={"command": "\n".join(training.commands), "epochs": training.epochs, "seconds": training.seconds},
    )


def _write(to: Path, entry: Entry, packed: Path, sample: Sample, text: str, index: Index, old: Entry | None) -> None:
    """Write the files, the index last, so that it never lists what is not there."""
    with replacing(to / entry.file) as temporary:
        shutil.copyfile(packed, temporary)
    sample.save(to / _sample_of(entry))
    write_text(to / f"{entry.name}.md", text)
    index.save(to / INDEX)
    if old is not None and old.file != entry.file:
        (to / old.file).unlink(missing_ok=True)
        (to / _sample_of(old)).unlink(missing_ok=True)
    if old is not None and old.sibling and (entry.sibling is None or entry.sibling.file != old.sibling.file):
        (to / old.sibling.file).unlink(missing_ok=True)  # of the weights that are gone
    page = to / "README.md"
    if page.is_file() and all(mark in page.read_text(encoding="utf-8") for mark in MARKS):
        write_text(page, with_table(page.read_text(encoding="utf-8"), index))


def with_table(page: str, index: Index) -> str:
    """Return a page with the table of an index between its marks."""
    inside = table(index.entries) if index.entries else "Nothing yet.\n"
    between = re.compile(f"{re.escape(MARKS[0])}.*{re.escape(MARKS[1])}", re.DOTALL)
    return between.sub(lambda _: f"{MARKS[0]}\n\n{inside}\n{MARKS[1]}", page)


def _push(
    config: PublishWeightsConfig, entry: Entry, net: Any, text: str, sample: Sample, packed: Path, folder: Path
) -> None:
    """Send the network in SMP's format, with the weights file and an index of its own beside it."""
    assert config.push
    hub.write_folder(folder, net, text)
    shutil.copyfile(packed, folder / entry.file)
    sample.save(folder / _sample_of(entry))
    Index((dataclasses.replace(entry, urls=(entry.file,)),), entry.name).save(folder / INDEX)
    hub.push(config.push, folder, f"{entry.file}")


def _sample_of(entry: Entry) -> str:
    return Path(entry.file).with_suffix(".npz").name
