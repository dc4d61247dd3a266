"""Images of clean steel: those of a folder that nobody has labelled a defect in."""

from dataclasses import dataclass
from pathlib import Path

from utils.data.annotations import Annotations, make_rows
from utils.data.dataset_folder import Dataset, has_images, names_of_images, open_dataset
from utils.data.folder_layout import LABELS
from utils.data.listing import TRAIN_IMAGES, image_names
from utils.data.packed import open_pack
from utils.data.tables import read_table
from utils.errors import InputError


@dataclass(frozen=True)
class CleanImages:
    """The clean images of a folder.

    Attributes:
        dataset: all images of the folder.
        clean: names of those without a label, sorted.
        defective: names of the others, sorted.
    """

    dataset: Dataset
    clean: tuple[str, ...]
    defective: tuple[str, ...]


def open_clean(root: Path) -> CleanImages:
    """Open a dataset folder, labelled or not, or a plain folder of images.

    Raises:
        InputError: no such folder, no images, a malformed table, or a defect in every image.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; -dir expects a folder of images of clean steel, or a dataset folder")
    dataset = _open(root)
    if not dataset.images:
        raise InputError(f"{dataset.image_dir}: holds no images; put images of clean steel there")
    rows, ignored = set(dataset.annotations.rows["image"]), dataset.annotations.ignored
    defective = tuple(name for name in dataset.images if name in rows or name in ignored)
    clean = tuple(name for name in dataset.images if name not in rows and name not in ignored)
    if not clean:
        raise InputError(
            f"{dataset.annotations.source}: labels a defect in every image, none is clean; add images of clean steel, or"
            " train a network on the labels (leave -task anomaly out)"
        )
    return CleanImages(dataset, clean, defective)


def _open(root: Path) -> Dataset:
    if not has_images(root, "train"):
        return Dataset(root, root, tuple(image_names(root)), _none(root))
    table = root / LABELS["train"]
    if table.is_file() and len(read_table(table)):
        return open_dataset(root)
    return Dataset(root, root / TRAIN_IMAGES, names_of_images(root, "train"), _none(table), pack=open_pack(root))


def _none(source: Path) -> Annotations:
    return Annotations(make_rows([]), (), (), source)
