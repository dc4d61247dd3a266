"""Write a network in another format, with everything that is needed to use it, and compare it with the original."""

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from config import ExportConfig
from utils.commands.export_images import for_calibration, of_size, read_examples
from utils.commands.export_system import JUDGES, SystemExportResult, write_system
from utils.device import optional
from utils.errors import InputError
from utils.files import replacing, write_text
from utils.inference.backends.int8 import pack
from utils.inference.backends.store import network_fingerprint
from utils.inference.export.graph import Graph, takes_any_size, to_onnx, to_openvino
from utils.inference.export.halving import halve
from utils.inference.export.parity import (
    Parity,
    ParityImage,
    Run,
    compare,
    dice_by_image,
    labelled_by,
    run_of,
)
from utils.inference.export.quantise import Limit, Quantised, quantise
from utils.inference.network import Outputs
from utils.inference.openvino_core import openvino_core
from utils.inference.systems.system import Size
from utils.models.segmenter import Segmenter
from utils.weights.finding import open_weights
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import SYSTEM_SUFFIX, WeightsFile

PACKAGES = {"onnx": ("onnxruntime", "onnx"), "openvino": ("openvino",)}
# By 8-bit integers:
MOST_LOST = 0.005  # of the mean Dice; where nothing is labelled, of the Dice between the masks and the original's
MOST_APART = 0.05  # between probabilities of whole images
LONGEST_REASON = 100  # letters of a library's complaint
NAMESPACE = "steel_defects"  # of the metadata in an OpenVINO file


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        files: the network and the report.
        size: (H, W) of the images that it takes; None: any.
        parity: how close it is to the original.
        megabytes: of the network.
        layers: of 8-bit integers: which layers stay in floating point; else "".
    """

    files: tuple[Path, ...]
    size: Size
    parity: Parity
    megabytes: float
    layers: str = ""

    def text(self) -> str:
        """Return it as text for a terminal."""
        size = f"{self.size[0]}x{self.size[1]} pixels only (this architecture fixes it)" if self.size else "any size"
        return "\n".join(
            [
                self.parity.text(),
                *filter(None, [self.layers]),
                f"takes images of {size}, any number at once; {self.megabytes:.1f} MB",
                f"written: {', '.join(map(str, self.files))}",
            ]
        )


@dataclass(frozen=True)
class _Draft:
    """A converted network that is still to be moved to its place; its other words as in ``ExportResult``."""

    path: Path
    size: Size
    parity: Parity
    about: dict[str, Any]
    layers: str = ""


def export_model(config: ExportConfig) -> ExportResult | SystemExportResult:
    """Export the network or the system that the flags name.

    Two heads and a shared backbone are one network, and one file. Other systems become a folder with a file for each
    network and a program that runs them.

    Args:
        config: the flags of ``Export_model.py``.

    Returns:
        What was written, and how close it is to the original.

    Raises:
        InputError: flags, weights or images are at fault, a package is missing, the network cannot be converted, or 8-bit
            integers lose too much; nothing was written then.
    """
    if config.int8 and config.format != "openvino":
        raise InputError("-int8: only with -format openvino")
    if config.int8 and config.dir is None and config.images is None:
        raise InputError("-int8: needs images to calibrate on, give -dir DATASET_FOLDER or -images FOLDER")
    library = optional(f"-format {config.format}", *PACKAGES[config.format])
    weights = open_weights(config.weights_dir, config.weights)
    path = weights.source
    assert path is not None
    stem = path.name.removesuffix(SYSTEM_SUFFIX).removesuffix(".pth")
    more = f"{'-int8' if config.int8 else ''}{'-f16' if config.precision == 'f16' else ''}"
    with tempfile.TemporaryDirectory() as scratch:
        if isinstance(weights, SystemFile):
            if weights.kind in JUDGES:
                return _export_system(config, library, path, weights, f"{stem}-{config.format}{more}", Path(scratch))
            network = weights.members["network"]
            weights = replace(network, decision=weights.decision, label_thresholds=weights.label_thresholds)
        draft = _draft(config, library, weights, path, Path(scratch) / "network")
        return _publish(config.out or path.parent, f"{stem}{more}", draft, config.int8)


def _export_system(
    config: ExportConfig, library: Any, path: Path, system: SystemFile, name: str, scratch: Path
) -> SystemExportResult:
    drafts = {
        role: _draft(config, library, member, member.source or path, scratch / role)
        for role, member in system.members.items()
    }
    folder = (config.out or path.parent) / name
    written = {role: _publish(folder, role, draft) for role, draft in drafts.items()}
    try:
        files = {role: result.files[0].name for role, result in written.items()}
        write_system(folder, system, files, path.name, config.format)
    except OSError as error:
        raise InputError(_unwritable(folder, error)) from None
    texts = {role: result.text() for role, result in written.items()}
    return SystemExportResult(folder, texts, sum(result.megabytes for result in written.values()))


def _draft(config: ExportConfig, library: Any, weights: WeightsFile, path: Path, draft: Path) -> _Draft:
    """Convert a network and compare it with the original."""
    examples, others = read_examples(config, weights)
    model, about, layers = weights.build(), describe(weights, path), ""
    if config.format == "onnx":
        content, size = _convert_onnx(library, model, weights.input_size, examples[0])
        draft = _write_onnx(draft, content, about, config.precision)
    else:
        graph, size = _convert_openvino(model, weights.input_size, examples[0])
        if config.int8:
            calibrated = for_calibration(others.calibrated, size)
            chosen_on = of_size(others.chosen_on, size) or of_size(others.calibrated, size)
            quantised = quantise(graph, calibrated, _limit(config, weights, model, chosen_on))
            graph, layers = quantised.graph, quantised.text()
            about["int8"] = _int8_in_words(config, quantised, len(calibrated))
        draft = _write_openvino(library, draft, graph, about, config.precision)
    fitting = of_size(examples, size)
    exported = open_exported(draft, library)
    parity = compare(fitting, _original(model, weights.input_size), exported, weights.spec, weights.decision)
    if config.int8:
        refuse_losses(parity, config.max_drop)
    return _Draft(draft, size, parity, about, layers)


def describe(weights: WeightsFile, path: Path) -> dict[str, Any]:
    """Return what a user of the network has to know, as plain words, numbers and lists."""
    spec = weights.spec
    return {
        "weights": path.name,
        "network": network_fingerprint(weights),
        "architecture": spec.architecture,
        "encoder": spec.encoder,
        "task": spec.task,
        "classes": list(spec.scored_names),
        "labels": list(spec.label_names),
        "label_thresholds": list(weights.label_thresholds),
        "channels": spec.channels,
        "bit_depth": weights.bit_depth,
        "float_white": weights.float_white,
        **weights.decision.to_dict(),
        "input": "images: (N, H, W, channels) uint8, RGB or grey, as read from a file",
        "output": "float32 logits; masks: (N, K, H, W), multiclass has the background as channel 0; labels: (N, L) of whole images",
    }


def open_exported(path: Path, library: Any) -> Run:
    """Return a function that runs an exported file with its library."""
    if path.suffix == ".onnx":
        session = library.InferenceSession(path)
        return lambda images: Outputs.of([torch.from_numpy(part) for part in session.run(None, {"images": images})])
    # f32, so that the report does not depend on whether this machine has bf16.
    return run_of(openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}))


def _limit(
    config: ExportConfig, weights: WeightsFile, model: Segmenter, examples: Sequence[ParityImage]
) -> Limit | None:
    """Say what 8-bit integers may cost on images; None: of a network without masks each layer is taken."""
    spec, decision = weights.spec, weights.decision
    if spec.is_classifier or not examples:
        return None
    labelled = labelled_by(examples, _original(model, weights.input_size), spec, decision)

    def score(compiled: Any, images: Sequence[ParityImage]) -> list[float]:
        return dice_by_image(images, run_of(compiled), spec, decision)

    return Limit(score, labelled, config.max_drop, 60 * config.max_minutes)


def _int8_in_words(config: ExportConfig, quantised: Quantised, calibrated: int) -> dict[str, Any]:
    """Return what the report says about 8-bit integers."""
    return {
        "calibrated_on": calibrated,
        "max_drop": config.max_drop,
        "layers": quantised.layers,
        "in_float": list(quantised.in_float),
        "late": quantised.late,
    }


def refuse_losses(parity: Parity, max_drop: float = 0.0) -> None:
    """Raise ``InputError`` where 8-bit integers change more than ``MOST_LOST``, and more than was asked for."""
    found = ""
    most = max(MOST_LOST, max_drop)
    least, apart = min(parity.dice.values(), default=1.0), parity.labels or 0.0
    if parity.scores is not None and (lost := parity.scores[0] - parity.scores[1]) > most:
        found = f"the mean Dice falls by {lost:.4f}, more than {most},"
    elif parity.scores is None and least < 1 - most:
        found = f"masks differ from the original's, by a Dice of {least:.4f}, less than {1 - most},"
    elif apart > MOST_APART:
        found = f"probabilities differ from the original's by up to {apart:.4f}, more than {MOST_APART},"
    if found:
        raise InputError(
            f"-int8: {found} on {parity.images} images; export without -int8, give more images with"
            " -num_of_images, or more time with -max_minutes"
        )


def _original(model: Segmenter, input_size: Size) -> Run:
    graph = Graph(model, None, input_size)

    @torch.inference_mode()
    def run(images: np.ndarray) -> Outputs:
        return Outputs.of(graph(torch.from_numpy(images)))

    return run


def _convert_onnx(library: Any, model: Segmenter, input_size: Size, example: ParityImage) -> tuple[bytes, Size]:
    def opened(content: bytes) -> Any:
        session = library.InferenceSession(content)
        return lambda images: session.run(None, {"images": images})

    return _convert(to_onnx, opened, model, input_size, example)


def _convert_openvino(model: Segmenter, input_size: Size, example: ParityImage) -> tuple[Any, Size]:
    def opened(graph: Any) -> Any:
        compiled = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda images: list(compiled(images).values())

    return _convert(to_openvino, opened, model, input_size, example)


def _convert(convert: Any, opened: Any, model: Segmenter, input_size: Size, example: ParityImage) -> tuple[Any, Size]:
    """Convert for any size of images, or for the example's where the architecture allows no other."""
    try:
        converted = convert(model, None, input_size)
        if takes_any_size(model, opened(converted), input_size):
            return converted, None
    except Exception:
        pass
    size = (example.pixels.shape[0], example.pixels.shape[1])
    try:
        return convert(model, size, input_size), size
    except Exception as error:
        raise InputError(f"{model.spec.architecture} {model.spec.encoder}: {_cannot(convert, error)}") from None


def _cannot(convert: Any, error: Exception) -> str:
    """Say that a network cannot be converted, and what else to do, in one short line."""
    wanted, other = ("onnx", "openvino") if convert is to_onnx else ("openvino", "onnx")
    # Libraries add whole programs and addresses to their sentence.
    reason = re.split(r"\.\s|\n|\[Caused by", f"{str(error).strip()}\n")[0].strip()[:LONGEST_REASON]
    return f"cannot be written as {wanted} ({reason or type(error).__name__}); take -format {other}"


def _write_onnx(draft: Path, content: bytes, about: dict[str, Any], precision: str) -> Path:
    import onnx

    network = onnx.load_model_from_string(content)
    if precision == "f16":
        halve(network)
    onnx.helper.set_model_props(network, _as_words(about))
    path = draft.with_suffix(".onnx")
    onnx.save(network, path)
    return path


def _write_openvino(library: Any, draft: Path, graph: Any, about: dict[str, Any], precision: str) -> Path:
    for key, value in _as_words(about).items():
        graph.set_rt_info(value, [NAMESPACE, key])
    path = draft.with_suffix(".xml")
    library.save_model(graph, path, compress_to_fp16=precision == "f16")
    return path


def _as_words(about: dict[str, Any]) -> dict[str, str]:
    """Write lists and numbers as JSON, since metadata is words in both formats."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}


def _publish(out: Path, stem: str, draft: _Draft, packed: bool = False) -> ExportResult:
    """Move the files to their final names; the weights first, since the file that names them is what people open.

    Args:
        out: folder.
        stem: of their names.
        draft: the network.
        packed: 8-bit integers: one file more, that ``-precision int8`` runs.
    """
    files = []
    parts: Sequence[Path] = [part for part in (draft.path.with_suffix(".bin"), draft.path) if part.exists()]
    try:
        for part in parts:
            target = out / f"{stem}{part.suffix}"
            with replacing(target) as temporary:
                temporary.write_bytes(part.read_bytes())
            files.append(target)
        report = out / f"{stem}-parity.json"
        found = {**draft.about, "size": draft.size, **asdict(draft.parity)}
        words = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
        write_text(report, words)
        if packed:
            pack(out / f"{stem}.zip", draft.path, draft.path.with_suffix(".bin"), words)
            files.append(out / f"{stem}.zip")
    except OSError as error:
        raise InputError(_unwritable(out, error)) from None
    megabytes = sum(part.stat().st_size for part in parts) / 1e6
    return ExportResult((*reversed(files), report), draft.size, draft.parity, megabytes, draft.layers)


def _unwritable(out: Path, error: OSError) -> str:
    return f"-out {out}: cannot write there ({error.strerror}); name another folder with -out"
