"""The networks of a run of ``-folds``, each for the images that it has not learnt."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from config import EvaluateConfig
from utils.data.bit_depth import BitDepth
from utils.data.folds import read_folds
from utils.errors import InputError
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.pipeline import InspectionPipeline
from utils.inference.systems.system import System
from utils.weights.finding import list_weights
from utils.weights.run_files import FOLDS

T = TypeVar("T")


def fold_folder(fold: int) -> str:
    """Return the name of the run folder of a fold's network."""
    return f"fold-{fold}"


class FoldPipelines:
    """The pipelines of several networks, each of which inspects its own images; to be used as one pipeline.

    Args:
        pipelines: of the networks.
        number_of: image file -> place of its network among them.
    """

    def __init__(self, pipelines: Sequence[InspectionPipeline], number_of: dict[Path, int]) -> None:
        self.pipelines, self.number_of = tuple(pipelines), number_of

    @property
    def system(self) -> System:
        """The first network, to which the others are alike."""
        return self.pipelines[0].system

    @property
    def depth(self) -> BitDepth:
        """How images with more than 8 bits are read."""
        return self.pipelines[0].depth

    @property
    def gates(self) -> bool:
        """Whether networks may turn images away."""
        return self.pipelines[0].gates

    @gates.setter
    def gates(self, gates: bool) -> None:
        for pipeline in self.pipelines:
            pipeline.gates = gates

    def run(
        self, paths: Sequence[Path], finish: Callable[[Path, Inspected], T], folder: Path | None = None
    ) -> Iterator[tuple[Path, T]]:
        """Inspect images, one network after the other; see ``InspectionPipeline.run``."""
        for number, pipeline in enumerate(self.pipelines):
            own = [path for path in paths if self.number_of[path] == number]
            if own:
                yield from pipeline.run(own, finish, folder)


@dataclasses.dataclass(frozen=True)
class FoldNetworks:
    """The networks of a run of ``-folds``.

    Attributes:
        run: its folder.
        chosen: the weights of each network, by fold.
        fold_of: image name -> fold.
    """

    run: Path
    chosen: dict[int, Chosen]
    fold_of: dict[str, int]

    @property
    def first(self) -> Chosen:
        """The network that stands for all of them where one is named."""
        return next(iter(self.chosen.values()))

    @property
    def others(self) -> tuple[Chosen, ...]:
        """All networks but the first."""
        return tuple(self.chosen.values())[1:]

    @property
    def names(self) -> list[str]:
        """Names of the images, sorted."""
        return sorted(self.fold_of)

    def pipeline(self, config: EvaluateConfig, skipped: list[Refused], image_dir: Path) -> FoldPipelines:
        """Make the networks ready to run, each on its own images.

        Args:
            config: the flags.
            skipped: every image that cannot be read is added here.
            image_dir: folder of the images.
        """
        place = {fold: number for number, fold in enumerate(self.chosen)}
        count = len(self.fold_of) // len(self.chosen)
        return FoldPipelines(
            [open_pipeline(one, config, skipped, describe=False, images=count) for one in self.chosen.values()],
            {image_dir / name: place[fold] for name, fold in self.fold_of.items()},
        )


def is_folds_run(folder: Path) -> bool:
    """Check whether a folder is that of a run of ``-folds``."""
    return (folder / FOLDS).is_file()


def open_folds(config: EvaluateConfig, images: Sequence[str] | None = None) -> FoldNetworks:
    """Open all networks of the run that ``-weights_dir`` names.

    Args:
        config: the flags.
        images: names of the dataset; None: they are not compared.

    Raises:
        InputError: no such run, one of its networks is not trained yet, or the table of its images is malformed.
    """
    run = config.weights_dir
    if not is_folds_run(run):
        raise InputError(
            f"-weights_dir {run}: no run of Train.py -folds ({FOLDS} is missing), which is what answers out of fold; name"
            " the folder of one"
        )
    folds = read_folds(run / FOLDS, images)
    numbers = sorted(set(folds["fold"]))
    missing = [fold_folder(fold) for fold in numbers if not list_weights(run / fold_folder(fold))]
    if missing:
        raise InputError(
            f"-weights_dir {run}: {', '.join(missing)} not trained yet; go on with: python Train.py -resume {run}"
        )
    chosen = {
        fold: choose_weights(dataclasses.replace(config, weights_dir=run / fold_folder(fold))) for fold in numbers
    }
    return FoldNetworks(run, chosen, dict(zip(folds["image"], folds["fold"], strict=True)))
