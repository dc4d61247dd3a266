"""Write labels in the layouts of other programs, each writer into a new folder, with the images where the layout has them.

A writer takes the labels, the folder, and whether images are linked; it returns what the user should know, a line each.
"""

from collections.abc import Callable
from pathlib import Path

from utils.data.convert.labels import Labels
from utils.data.convert.writers.coco import write_coco
from utils.data.convert.writers.cvat import write_cvat
from utils.data.convert.writers.labelme import write_labelme
from utils.data.convert.writers.labelstudio import write_labelstudio
from utils.data.convert.writers.masks import write_colour_masks, write_index_masks
from utils.data.convert.writers.supervisely import write_supervisely
from utils.data.convert.writers.yolo import write_yolo

Writer = Callable[[Labels, Path, bool], list[str]]

WRITERS: dict[str, Writer] = {
    "index-masks": write_index_masks,
    "colour-masks": write_colour_masks,
    "coco": write_coco,
    "yolo": write_yolo,
    "cvat": write_cvat,
    "labelstudio": write_labelstudio,
    "labelme": write_labelme,
    "supervisely": write_supervisely,
}
