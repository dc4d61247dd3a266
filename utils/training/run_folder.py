"""A run: its folder and its settings, chosen for a new one and found again for one that goes on."""

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml

from config import PROJECT, VERSION, EncoderWeights, TrainConfig
from utils.errors import InputError
from utils.files import alone_in, write_text
from utils.settings import from_plain, given_fields, to_plain
from utils.training.checkpoints import LAST
from utils.training.flags import check, settle
from utils.weights.finding import list_weights
from utils.weights.run_files import CHECKPOINTS, SETTINGS

# What may differ when a run goes on: where the data lies and how the machine does the work.
MAY_CHANGE = ("dir", "num_of_workers", "cache", "device", "threads")
# Of these, what changes the order in which numbers are added up, and with it the last digits of the weights.
CHANGE_DIGITS = ("device", "threads")


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: where it lies and what it does, looked up once.

    Args:
        folder: the run folder; of a new run the name that was chosen, which ``claim`` makes.
        config: the settings, settled and checked; of a run that goes on those that its folder keeps.
        resumed: whether it goes on.
        existed: whether the folder was there when it was chosen.
        changes: settings of ``MAY_CHANGE`` that the user gave now, for the runs that a system is made of.
        notes: lines for the user about them.
        tests: whether its test images are scored in the end; those of a system are scored by the whole.
    """

    folder: Path
    config: TrainConfig
    resumed: bool = False
    existed: bool = False
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tests: bool = True

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / CHECKPOINTS

    @property
    def has_checkpoint(self) -> bool:
        """Whether it goes on from a checkpoint, which has all weights."""
        return self.resumed and (self.checkpoints / LAST).exists()


def open_run(given: TrainConfig) -> Run:
    """Return the run that the flags ask for; nothing is written.

    Args:
        given: the flags; ``resume`` names a run that goes on.

    Raises:
        InputError: flags that do not fit together, an ``-out`` that is taken, no run to go on with, or a flag beside
            ``-resume`` that would change the result.
    """
    changes = {name: getattr(given, name) for name in MAY_CHANGE if name in given_fields(given)}
    if given.resume is None:
        return dataclasses.replace(new_run(settle(given)), changes=changes)
    config, stored = read_settings(given), _stored(given.resume)
    check(config)
    notes = tuple(
        f"-{name}: was {getattr(stored, name)} when the run began, and is now {getattr(config, name)}: the weights will"
        " differ in their last digits from those of a run that was not interrupted"
        for name in CHANGE_DIGITS
        if getattr(stored, name) != getattr(config, name)
    )
    return Run(given.resume, config, resumed=True, existed=True, changes=changes, notes=notes)


def new_run(config: TrainConfig) -> Run:
    """Return a new run of these settings, which are settled; see ``new_folder`` for what is refused."""
    folder = new_folder(config)
    return Run(folder, config, existed=folder.exists())


def new_folder(config: TrainConfig) -> Path:
    """Choose the folder of a new run.

    Raises:
        InputError: ``-out`` names a folder that already holds a run or weights, or cannot be made.
    """
    if config.out is None:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        return (
            Path("runs")
            / f"{config.system or config.architecture}-{config.encoder.replace('/', '_').replace(',', '+')}-{now}"
        )
    there = next(place for place in (config.out, *config.out.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"-out {config.out}: {there} is a file; name another folder")
    if not os.access(there, os.W_OK):
        raise InputError(f"-out {config.out}: no permission to write in {there}; name another folder")
    if (config.out / SETTINGS).exists():
        raise _taken(config.out)
    weights = list_weights(config.out)
    if weights:
        # A run's weights file is found as the only one of its folder.
        raise InputError(f"-out {config.out}: already holds weights ({weights[0].name}); name another folder")
    return config.out


def claim(run: Run) -> Run:
    """Make the folder of a new run, which no other training that begins at the same time gets too.

    Returns:
        The run in its folder; a name that nobody asked for has -2, -3 ... added where it is taken.

    Raises:
        InputError: another training has begun in ``-out`` since it was chosen.
    """
    named, place, number = run.config.out is not None, run.folder, 1
    while True:
        # Making a folder is what only one of several processes succeeds in, and nothing that a kill leaves locked.
        with contextlib.suppress(FileExistsError):
            place.mkdir(parents=True, exist_ok=named and run.existed)
            if not (place / SETTINGS).exists():
                return dataclasses.replace(run, folder=place)
        if named:
            raise _taken(run.folder)
        number += 1
        place = run.folder.with_name(f"{run.folder.name}-{number}")


@contextlib.contextmanager
def begun(run: Run) -> Iterator[Run]:
    """Claim the folder of a new run, and hold it for the block, which calls ``write_settings`` and trains.

    A folder that was there and is empty can be claimed by several at once: the lock lets one of them begin.

    Raises:
        InputError: see ``claim``.
    """
    run = claim(run)
    with alone_in(run.folder) as alone:
        if not alone or (run.folder / SETTINGS).exists():
            raise _taken(run.folder)
        yield run


@contextlib.contextmanager
def going_on(run: Run) -> Iterator[None]:
    """Hold the folder of a run that goes on for the block, against a second program that does the same.

    Raises:
        InputError: another training is at work there.
    """
    with alone_in(run.folder) as alone:
        if not alone:
            raise InputError(f"-resume {run.folder}: another training is at work there; wait until it ends, or stop it")
        yield


def _taken(out: Path) -> InputError:
    return InputError(f"-out {out}: already holds a run; continue it with -resume, or name another folder")


def go_on(folder: Path, processes: int) -> str:
    """Return how an interrupted run continues, by as many processes as began it."""
    return f"go on with: {launcher(processes)} -resume {folder}"


def launcher(processes: int) -> str:
    """Return the words that start ``Train.py`` in one process or several."""
    return "python Train.py" if processes == 1 else f"torchrun --nproc_per_node {processes} Train.py"


def write_settings(run: Run) -> None:
    """Write every setting of a run, and in a comment the version that it began with.

    It comes last when a run begins, since a folder with settings is a run.
    """
    config = run.config
    assert config.dir is not None
    settled = dataclasses.replace(_with_full_paths(config), dir=config.dir.resolve(), out=None, resume=None)
    text = yaml.safe_dump(to_plain(settled), sort_keys=False)
    write_text(run.folder / SETTINGS, f"# {PROJECT} {VERSION}\n{text}")


def _with_full_paths(config: TrainConfig) -> TrainConfig:
    """Let the files that a training starts from be found from any folder, as those of a system that is resumed."""
    encoder, weights = config.init_encoder, config.encoder_weights
    return dataclasses.replace(
        config,
        init_encoder=encoder and encoder.resolve(),
        teacher=config.teacher and tuple(str(Path(source).resolve()) for source in config.teacher),
        unlabelled=config.unlabelled and config.unlabelled.resolve(),
        encoder_weights=weights
        if weights == "none" or weights in get_args(EncoderWeights)
        else str(Path(weights).resolve()),
    )


def read_settings(given: TrainConfig) -> TrainConfig:
    """Return the settings of the run that ``-resume`` names.

    Raises:
        InputError: no run there, or a flag beside ``-resume`` that would change the result.
    """
    assert given.resume is not None
    path, stored = given.resume / SETTINGS, _stored(given.resume)
    changes: dict[str, Any] = {}
    names = given_fields(given) - {"resume"}
    repeated = _with_full_paths(given)
    for name in (field.name for field in dataclasses.fields(TrainConfig) if field.name in names):
        value = getattr(repeated, name)
        if name in MAY_CHANGE:
            changes[name] = value
        elif value != getattr(stored, name):
            raise InputError(
                f"-{name}: a resumed run keeps its settings ({path}); leave the flag out, or start a new run"
            )
    return dataclasses.replace(stored, **changes)


def _stored(folder: Path) -> TrainConfig:
    """Read the settings that a run folder keeps; ``InputError`` where there are none or they are damaged."""
    path = folder / SETTINGS
    if not path.is_file():
        raise InputError(f"-resume {folder}: no run there ({SETTINGS} is missing); name a folder that Train.py made")
    try:
        stored = from_plain(TrainConfig, yaml.safe_load(path.read_text(encoding="utf-8")))
        if stored.dir is None:
            raise ValueError
    except (yaml.YAMLError, ValueError, AttributeError, TypeError):  # undecodable text is a ValueError
        raise InputError(f"{path}: damaged; start the run again with another -out") from None
    return stored
