"""Train all networks of a system on one split, one after another, and calibrate what they decide together."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import pandas as pd

from config import EvaluateConfig, TrainConfig
from utils.commands.evaluate import EvaluateResult, evaluate
from utils.commands.readiness import check_members
from utils.commands.train_members import train_members
from utils.commands.train_network import open_labelled
from utils.data.dataset_folder import Dataset
from utils.data.splits import TEST, read_split, write_split
from utils.decision.decision import Decision, each
from utils.training.bit_depth import with_depth
from utils.training.class_weights import class_weights
from utils.training.engine import SteelEngine, make_engine
from utils.training.flags import encoders_of, make_spec, settle_network
from utils.training.provenance import run_provenance
from utils.training.result import TEST_DATA
from utils.training.run_data import check_data, write_data
from utils.training.run_folder import Run, begun, go_on, going_on, write_settings
from utils.training.selection import choose_split
from utils.weights.ensemble import LONGEST_NAME
from utils.weights.finding import list_weights
from utils.weights.measured import MEASURED_WITH, decision_in_use
from utils.weights.run_files import SPLIT
from utils.weights.system_file import ENSEMBLE, SystemFile, ensemble_role, gate_for, read_system, spec_of
from utils.weights.weights_file import SYSTEM_SUFFIX, load

C_OF_SOFT_GATE = 3.0  # where calibration begins: a class that is surely absent needs three times the area


@dataclasses.dataclass(frozen=True)
class SystemResult:
    """What the training of a system brought.

    Args:
        folder: the run folder; every member has a run folder of its own in it.
        weights: the system file.
        members: weights file of each member, by role.
        report: the scores of the whole on the validation images, and on the test images if there are any, as lines.
        seconds: of this call.
        is_main: whether this process is the one that writes and prints.
    """

    folder: Path
    weights: Path
    members: dict[str, Path]
    report: str
    seconds: float
    is_main: bool

    def text(self) -> str:
        """Return the lines that a user reads at the end."""
        return f"\n{self.report}\nsystem file: {self.weights}"


def train_system(run: Run) -> SystemResult:
    """Train a system, or continue one that was interrupted: finished members are not trained again.

    Args:
        run: of a system, see ``open_run``.

    Returns:
        Where the files are and how good the whole is.

    Raises:
        InputError: flags or data that cannot be trained on; see ``train_network``.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the message says how to go on.
    """
    with contextlib.ExitStack() as held:
        return _train(run, held)


def _train(run: Run, held: contextlib.ExitStack) -> SystemResult:
    """Train, and hold the run's folder until ``held`` ends: nobody else goes on with the system meanwhile."""
    started = time.perf_counter()
    config = run.config
    engine = make_engine(config)
    if run.resumed and engine.is_main_process:
        held.enter_context(going_on(run))
    dataset = open_labelled(config)
    if run.resumed:
        check_data(run.folder, dataset)
    class_names = dataset.annotations.class_names
    members = members_of(config, class_names)
    for member in members.values():
        # Refuse what is wrong with any of them before the first one trains for hours.
        class_weights(member, make_spec(member, class_names), dataset, [])
    run = _begin(run, dataset, members, engine, held)
    try:
        split = run.folder / SPLIT
        files = train_members(
            run, {role: dataclasses.replace(member, split=split) for role, member in members.items()}, engine
        )
        path = system_path(config, run.folder)
        report = _finish(config, dataset, files, path) if engine.is_main_process else ""
    except KeyboardInterrupt:
        raise KeyboardInterrupt(go_on(run.folder, engine.num_processes)) from None
    return SystemResult(run.folder, path, files, report, time.perf_counter() - started, engine.is_main_process)


def members_of(config: TrainConfig, class_names: tuple[str, ...]) -> dict[str, TrainConfig]:
    """Return the settings of each network of a system, by role; folder and split are still open.

    Args:
        config: of the system.
        class_names: of the dataset.

    Raises:
        InputError: flags that do not fit together.
    """
    # The split is the system's: what it chose is not to be thinned out a second time.
    one = dataclasses.replace(
        config,
        system=None,
        gate="hard",
        classifier_encoder=None,
        classifier_size=None,
        classifier_epochs=None,
        subset="all",
        resume=None,
    )
    masks = dataclasses.replace(one, dense=None)
    labels = dataclasses.replace(
        one,
        architecture="classifier",
        decoder_channels=None,
        task="classify-binary",
        encoder=config.classifier_encoder or config.encoder,
        image_size=config.classifier_size or config.image_size,
        num_epochs=config.classifier_epochs or config.num_epochs,
        loss="bce",
    )
    multilabel = dataclasses.replace(labels, task="classify-multilabel")
    if config.system == "two-stage":
        members = {"classifier": labels if config.task == "binary" else multilabel, "segmenter": masks}
    elif config.system == "six-model":
        # The second is asked about defective images only, so it learns from these.
        members = {"binary": labels, "multilabel": dataclasses.replace(multilabel, images_with="defect")}
        for number, name in enumerate(class_names, start=1):
            members[f"segmenter-{number}"] = dataclasses.replace(masks, task="per-class", target=name)
    elif config.system == ENSEMBLE:
        # Networks of one encoder differ by their seeds: of initial weights, order and augmentation.
        members = {
            ensemble_role(number): dataclasses.replace(masks, encoder=encoder, seed=config.seed + number - 1)
            for number, encoder in enumerate(encoders_of(config), start=1)
        }
    else:
        assert config.system is not None
        members = {"network": dataclasses.replace(one, architecture=config.system)}  # type: ignore[arg-type]
    return {role: settle_network(_own_values(member, class_names)) for role, member in members.items()}


def _own_values(member: TrainConfig, class_names: tuple[str, ...]) -> TrainConfig:
    """Give a member its own of the values that a flag has for each class.

    A network for one class takes that class's; one that only tells whether there is any defect keeps the default, which
    calibration replaces.
    """
    changes: dict[str, Any] = {}
    for name in ("threshold", "high_threshold", "min_area", "max_area"):
        value = getattr(member, name)
        if isinstance(value, tuple):
            if member.task == "classify-binary":
                changes[name] = TrainConfig.__dataclass_fields__[name].default
                continue
            value = each(name, value, 1 if member.task == "binary" else len(class_names))
            if member.target is not None:
                changes[name] = value[class_names.index(member.target)]
    return dataclasses.replace(member, **changes)


def system_path(config: TrainConfig, folder: Path) -> Path:
    """Return the system file of a run folder: the one that is there, else the name of the one to write."""
    assert config.dir is not None
    # The dataset folder, which ends the name, may be another when a run is resumed.
    there = [file for file in list_weights(folder) if file.name.endswith(SYSTEM_SUFFIX)]
    if there:
        return there[0]
    encoder = "+".join(encoders_of(config)).replace("-", "_").replace("/", "_")
    if len(encoder) > LONGEST_NAME:
        encoder = f"of_{len(encoders_of(config))}"
    return folder / f"{config.system}-{encoder}-{config.dir.resolve().name}{SYSTEM_SUFFIX}"


def _begin(
    run: Run, dataset: Dataset, members: dict[str, TrainConfig], engine: SteelEngine, held: contextlib.ExitStack
) -> Run:
    """Choose the split of a new run, hold its folder and write what it begins with; return the run in its folder."""
    if engine.is_main_process and not run.resumed:
        split = _split(run.config, dataset, members, engine.num_processes)
        run = held.enter_context(begun(run))
        write_split(split, run.folder / SPLIT)
        write_data(run.folder, dataset, split["image"])
        write_settings(run)
    return engine.from_first(run)


def _split(config: TrainConfig, dataset: Dataset, members: dict[str, TrainConfig], processes: int) -> pd.DataFrame:
    """Choose the split of a new run, and look whether all networks can be trained on it.

    The first member is the one that has to see clean images too: the split is made for it.
    """
    first = next(iter(members.values()))
    asked = dataclasses.replace(first, subset=config.subset, images_with=config.images_with)
    dataset = with_depth(asked, dataset, None)
    frame = choose_split(asked, make_spec(asked, dataset.annotations.class_names), dataset, None)
    check_members(config, members, dataset, frame, processes)
    return frame


def _finish(config: TrainConfig, dataset: Dataset, files: dict[str, Path], path: Path) -> str:
    """Write the system file, calibrate it on the validation images, score it on the test images; give lines to print."""
    assert config.system is not None
    assert config.dir is not None
    if path.exists():
        stored = read_system(path)
        if (
            "mean_dice" in stored.metrics
        ):  # finished: it may have been calibrated again since, which is not ours to undo
            return "this run is complete; nothing is left to train"
    members = {role: load(file) for role, file in files.items()}
    gate = gate_for(config.system, members, config.gate, C_OF_SOFT_GATE if config.gate == "soft" else 1.0)
    system = SystemFile(
        kind=config.system,
        members=members,
        gate=gate,
        decision=Decision.uniform(
            len(spec_of(config.system, members).scored_names),
            config.threshold,
            config.min_area,
            config.max_area,
            config.high_threshold,
        ),
        provenance=run_provenance(config, dataset),
    )
    system.save(path)
    scoring = EvaluateConfig(
        dir=config.dir,
        weights_dir=path,
        split="valid",
        calibrate=True,
        out=path.parent / "evaluation",
        batch_size=config.batch_size,
        device=config.device,
        precision=config.precision,
        threads=config.threads,
    )
    result = evaluate(scoring)
    assert isinstance(result, EvaluateResult)
    data = {"dataset": config.dir.resolve().name, "images": "validation split of the run"}
    scores, report = {**data, **result.scores.to_dict()}, result.text()
    if result.calibrated:
        scores[MEASURED_WITH] = decision_in_use(system.decision, system.label_thresholds)
    if TEST in set(read_split(path.parent / SPLIT)["side"]):
        # By what calibration has chosen: that is what the system file says from now on.
        test = dataclasses.replace(scoring, split="test-side", calibrate=False, out=path.parent / "test")
        tested = evaluate(test)
        assert isinstance(tested, EvaluateResult)
        scores["test"] = {"data": TEST_DATA, **tested.scores.to_dict()}
        report += f"\n\ntest images, used for nothing else:\n{tested.text()}"
    system = read_system(path)
    # Last, since a system with scores is finished.
    dataclasses.replace(system, metrics={**system.metrics, **scores}).save(path)
    return report
