"""Write a dataset folder that holds some images of another one."""

from collections.abc import Sequence
from pathlib import Path

from utils.data.annotation_table import write_annotations, write_ignored
from utils.data.dataset_folder import Dataset
from utils.data.folder_layout import IGNORED, LABELS
from utils.data.listing import TRAIN_IMAGES
from utils.data.tables import CLASSES_FILE
from utils.files import new_folder, write_text


def write_subset(folder: Path, dataset: Dataset, names: Sequence[str]) -> Path:
    """Write images of a dataset, in files or packed, as a dataset folder of their own; return the folder.

    Args:
        folder: to write; it appears whole or not at all.
        dataset: where the images and their labels are.
        names: the images.
    """
    annotations, chosen = dataset.annotations, set(names)
    with new_folder(folder) as part:
        for name in names:
            dataset.place(name, part / TRAIN_IMAGES / name)
        write_annotations(annotations.rows[annotations.rows["image"].isin(chosen)], part / LABELS["train"])
        ignored = {name: code for name, code in annotations.ignored.items() if name in chosen}
        if ignored:
            write_ignored(ignored, part / IGNORED["train"])
        write_text(part / CLASSES_FILE, "".join(f"{name}\n" for name in annotations.class_names))
    return folder
