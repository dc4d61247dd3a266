"""The card of published weights: what they are, how they came about, how good they are and what they are not good for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import segmentation_models_pytorch as smp
from torch import nn

from utils.models.segmenter import Segmenter
from utils.text import TOGETHER, plural
from utils.weights.index import Entry
from utils.weights.lineage import Training
from utils.weights.weights_file import WeightsFile

_SCORES = {
    "images": "images",
    "mean_dice": "mean Dice",
    "empty_baseline": "empty baseline",
    "defect_dice": "defect Dice",
    "iou": "IoU",
}


@dataclass(frozen=True)
class Words:
    """What only the publisher can say.

    Attributes:
        data: the data trained on.
        terms: licence or terms of that data; None when unknown.
        limits: what the network is not good for; None for what holds of all of them.
    """

    data: str
    terms: str | None = None
    limits: str | None = None


def card(entry: Entry, weights: WeightsFile, model: Segmenter, training: Training, words: Words) -> str:
    """Write the card as Markdown.

    Args:
        entry: of the index, with the scores.
        weights: the file's content.
        model: built from it.
        training: how it came about.
        words: of the publisher.
    """
    size = "their own size" if weights.input_size is None else "{}x{} pixels".format(*weights.input_size)
    if model.spec.downsample > 1:
        size += f", made smaller {model.spec.downsample} times by the network"
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    numbers = "16 bits" if entry.storage == "half" else "32 bits"
    parts = [
        f"# {entry.name}\n",
        f"{entry.architecture} {entry.encoder}, task `{entry.task}`, classes {', '.join(entry.classes)};"
        f" {millions:.1f} million parameters; images at {size}.\n",
        f"File: `{entry.file}`, {entry.size / 1e6:.1f} MB, numbers of {numbers}\\\nsha256 `{entry.sha256}`\n",
        "## Scores\n",
        *(_scores(entry.scores[side]) for side in ("valid", "test") if side in entry.scores),
        "In the mean Dice an empty prediction of a clean image counts 1. The empty baseline is what predicting nothing"
        " scores; the defect Dice is the mean where there is something to find.\n",
        *([_speed(entry.speed)] if entry.speed else []),
        "## Decision\n",
        decided(entry.classes, weights),
        _alarms(weights, entry),
        "## Training\n",
        f"Data: {words.data}\n",
        "```sh\n{}\n```\n".format("\n".join(training.commands)),
        *([_start(training.encoder_file)] if training.encoder_file else []),
        *([_curves(training, weights.metrics.get("epoch"))] if training.shown else []),
        _provenance(weights.provenance),
        _hashes(weights),
        "## Use\n",
        f"```sh\npython Download_weights.py {entry.name}\npython Predict_masks.py -images IMAGES -weights {entry.name}\n```\n",
        f"Without this project:\n\n```python\n{loading(entry.file, model)}```\n",
        "## Limits\n",
        f"{words.limits}\n" if words.limits else "",
        "The scores hold for images like those that it was measured on: other mills, cameras, lighting and classes need"
        " training of their own, for which this file can be the start (`-encoder_weights FILE`). Score it on labelled"
        " images of yours (`Evaluate.py`) before you rely on it.\n",
        "## Licence and data\n",
        "The file comes under this repository's MIT licence as far as its makers have a say. It was made from the data"
        f" named above. {_terms(words.terms)} No image of it is in this repository or in the file.\n",
    ]
    return "\n".join(part for part in parts if part)


def loading(file: str, model: Segmenter) -> str:
    """Return the lines of Python that load a file without this project; with it, where SMP has no such network."""
    if not is_of_smp(model.net):
        return (
            "# not a network of segmentation_models_pytorch: run this in a clone of the repository\n"
            "from pathlib import Path\nfrom utils.weights.weights_file import load\n\n"
            f'net = load(Path("{file}")).build()  # uint8 images in, logits out\n'
        )
    made: Any = model.net.config
    given = ["aux_params"] if made.get("aux_params") else []
    given += ["decoder_channels"] if model.spec.decoder_channels else []
    more = "".join(f", {name}={made[name]!r}" for name in given)
    kind, factor = type(model.net).__name__.lower(), model.spec.downsample
    smaller = (
        f"; first made smaller by torch.nn.functional.avg_pool2d(images, {factor}), and the logits have that size"
        if factor > 1
        else ""
    )
    return (
        "import torch, segmentation_models_pytorch as smp\n\n"
        f'file = torch.load("{file}", weights_only=True)\n'
        f'net = smp.create_model("{kind}", "{made["encoder_name"]}", None, {made["in_channels"]}, {made["classes"]}{more})\n'
        'net.load_state_dict(file["state_dict"])\n'
        'mean, std = (torch.tensor(file[name]).view(1, -1, 1, 1) for name in ("mean", "std"))\n'
        f"# net.eval()((images / 255 - mean) / std): RGB images (N, {made['in_channels']}, H, W), H and W multiples of"
        f" {model.multiple}, to logits{smaller}\n"
    )


def is_of_smp(net: nn.Module) -> bool:
    """Check whether a network is SMP's own, which its ``save_pretrained`` and ``from_pretrained`` know."""
    return getattr(smp, type(net).__name__, None) is type(net)


def table(entries: Sequence[Entry]) -> str:
    """List published weights with their scores as a table in Markdown."""
    lines = [
        "| name | MB | classes | mean Dice | empty baseline | defect Dice | IoU | measured on | images/s | with |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        score = entry.scores.get("test") or entry.scores.get("valid", {})
        cells = [
            f"[{entry.name}]({entry.name}.md)",
            f"{entry.size / 1e6:.1f}",
            ", ".join(entry.classes),
            *(_figure(score.get(key)) for key in ("mean_dice", "empty_baseline", "defect_dice", "iou")),
            score.get("data", "-"),
            f"{entry.speed['images_per_second']:.1f}" if entry.speed else "-",
            _machine(entry.speed) if entry.speed else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _scores(score: dict[str, Any]) -> str:
    classes: dict[str, dict[str, Any]] = score.get("classes", {})
    keys = [key for key in _SCORES if key == "images" or key in score]
    heads = ["class", *(_SCORES[key] for key in keys if key != "images")]
    rows = [
        [name, *(_figure(row.get(key)) for key in keys if key != "images")]
        for name, row in [*classes.items(), (TOGETHER, score)]
    ]
    copies = score.get("copies")
    said = f"\n{copies[0].upper()}{copies[1:]}.\n" if copies else ""
    return f"{score['images']} images, {score['data']}:\n\n{_markdown(heads, rows)}{said}"


def decided(names: Sequence[str], weights: WeightsFile) -> str:
    """Return the table of thresholds and areas in Markdown, and which images they were chosen on."""
    decision = weights.decision
    columns = {
        "class": names,
        "probability from": [f"{threshold:g}" for threshold in decision.thresholds],
        "somewhere in a defect from": [f"{high:g}" if high else "-" for high in decision.high_thresholds],
        "smallest area, pixels": [str(least) for least in decision.min_areas],
        "largest area, pixels": ["-" if most is None else str(most) for most in decision.max_areas],
    }
    if not any(decision.high_thresholds):
        del columns["somewhere in a defect from"]
    table = _markdown(list(columns), [list(row) for row in zip(*columns.values(), strict=True)])
    told = weights.metrics.get("calibration")
    if told is None:
        return table
    if (split := told.get("split", "valid")) == "valid":
        remark = "Chosen on the validation images (`Evaluate.py -calibrate`), whose scores above are a little too good for that."
    else:
        remark = f"Chosen on {told['images']} images of {told['dataset']} (`Evaluate.py -calibrate -split {split}`)."
    return f"{table}\n{remark}\n"


def _alarms(weights: WeightsFile, entry: Entry) -> str:
    """Say of task ``anomaly`` how many false alarms were asked for, and how well images are told apart."""
    told = weights.metrics
    if "false_alarms" not in told:
        return ""
    low, high = told["expected_false_alarms"]
    text = (
        f"The threshold is for alarms on {told['false_alarms']:.2%} of clean images, found by {told['scored_images']} of them;"
        f" on other clean images of the same kind expect {low:.2%} to {high:.2%}."
    )
    areas = [(side, score["image_auroc"]) for side, score in entry.scores.items() if "image_auroc" in score]
    text += "".join(f" AUROC of images, defective or clean ({side}): {area:.3f}." for side, area in areas)
    if told.get("drawn"):
        shares = ", ".join(f"{name} {part['found']} of {part['images']}" for name, part in told["drawn"].items())
        text += f" Drawn defects on clean images that it found: {shares}."
    return f"{text}\n"


def _curves(training: Training, best: int | None) -> str:
    heads = ["epoch", *training.curves]
    rows = [
        [str(epoch), *(f"{curve[row]:.4f}" for curve in training.curves.values())]
        for row, epoch in enumerate(training.shown)
    ]
    time = f" in {training.seconds / 60:.0f} minutes" if training.seconds else ""
    taken = f" The weights are those of epoch {best}." if best else ""
    lead = f"{training.epochs} epochs{time}."
    if len(training.commands) > 1:
        lead = f"The last run: {lead}"
        if training.before:
            epochs, seconds = training.before
            lead = f"The runs before the last: {epochs} epochs in {seconds / 60:.0f} minutes. {lead}"
    return f"{lead}{taken} On the validation split:\n\n{_markdown(heads, rows)}"


def _start(file: dict[str, str]) -> str:
    return f"The encoder began with the weights of `{file['file']}`, sha256 `{file['sha256']}`.\n"


def _speed(speed: dict[str, Any]) -> str:
    return f"{speed['images_per_second']:.1f} images/s from file to scores: {_machine(speed)}.\n"


def _machine(speed: dict[str, Any]) -> str:
    return f"{speed['network']}, {speed['hardware']}"


def _provenance(provenance: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in provenance.get("versions", {}).items())
    return (
        f"Program at commit `{provenance.get('git_commit', 'unknown')}`; {versions or 'versions unknown'};"
        f" fingerprint of the data `{provenance.get('data_fingerprint', 'unknown')}`.\n"
    )


def _hashes(weights: WeightsFile) -> str:
    known = weights.image_hashes
    if known is None:
        return "The file has no hashes of its training images, so nobody can look for copies of them.\n"
    return (
        f"The file has hashes of {plural(known.trained, 'training image', ',')}, 48 bytes each, by which `Evaluate.py`"
        " looks for copies of them among the images that it scores.\n"
    )


def _terms(terms: str | None) -> str:
    if terms is None:
        return "Its terms are those of its publisher: read them before you use the file in a product."
    return f"Its terms: {terms.rstrip('.')}. Read them before you use the file in a product."


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
