"""What benchmarks that train small networks have in common: their flags, and the settings of a training by them."""

import dataclasses
from pathlib import Path
from typing import Any

from config import RECIPES, SAID_BY_SPLIT, Device, Precision, flag
from utils.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallTraining:
    """Flags of a training that takes minutes; a benchmark adds its own, and may have other words and defaults."""

    dir: Path = flag("dataset folder")
    split: Path = flag("CSV with image, side and group")
    train_recipe: str = flag("recipe of the trainings", "muon")
    encoder: str = flag("SMP or timm encoder", "resnet18")
    decoder_channels: tuple[int, ...] | None = flag("as for Train.py", (128, 64, 32, 16, 16))
    crop: tuple[int, int] | None = flag("H,W in pixels of training crops; none: whole images", (128, 128))
    downsample: int = flag("as for Train.py", 1)
    augmentation: str = flag("as for Train.py", "d4")
    num_epochs: int = flag("passes over the training images", 6, low=1)
    batch_size: int = flag("images a step", 16, low=1)
    precision: Precision = flag("f32, bf16 or f16", "f32")
    device: Device = flag("auto takes a GPU when there is one", "auto")
    threads: int = flag("CPU threads; 0: all cores", 0, low=0)
    num_of_workers: int | None = flag("loading processes, or auto", None, low=0)

    def check_recipe(self) -> None:
        """Check that there is such a recipe.

        Raises:
            InputError: there is none.
        """
        if self.train_recipe not in RECIPES:
            raise InputError(f"-train_recipe {self.train_recipe}: choose from {', '.join(RECIPES)}")

    def values(self, *own: str) -> dict[str, Any]:
        """Return fields of ``TrainConfig``: those of the recipe, and over them what the flags say.

        Args:
            own: flags of the benchmark itself that ``Train.py`` has, too.
        """
        common = {field.name for field in dataclasses.fields(SmallTraining)} - {"dir", "split", "train_recipe"}
        return {
            **{name: value for name, value in RECIPES[self.train_recipe].items() if name not in SAID_BY_SPLIT},
            **{name: getattr(self, name) for name in (*sorted(common), *own)},
            "recipe": self.train_recipe,
            "crop_defect": 0.0,
        }
