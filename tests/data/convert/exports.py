"""Write small exports by the programs' own libraries: what ``recorded/`` holds, and what the tests compare anew.

``python -m tests.data.convert.exports FOLDER`` writes them all, where pycocotools, label-studio-sdk, cvat-sdk, datumaro,
labelme and supervisely are installed. Two pictures, of which ``b.png`` is clean; masks with a hole, of two parts that touch
at a corner, and at the borders of the image.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 20
NAMES = ("scratch", "pit")


def masks() -> dict[str, np.ndarray]:
    """Return what is labelled on ``a.png``: name -> (H, W) bool."""
    scratch, pit = np.zeros((2, HEIGHT, WIDTH), dtype=bool)
    scratch[1:6, 2:9] = True
    scratch[3, 4:6] = False  # a hole
    scratch[6:8, 9:11] = True  # touches at a corner
    pit[11, :] = True
    pit[0, 19] = True
    return {"scratch": scratch, "pit": pit}


def save_images(folder: Path) -> None:
    """Write the two pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for shade, name in ((60, "a.png"), (90, "b.png")):
        Image.fromarray(np.full((HEIGHT, WIDTH), shade, np.uint8)).save(folder / name)


def coco(folder: Path) -> None:
    """Write run lengths by pycocotools, and categories under a heading as Roboflow has them."""
    from pycocotools import mask as tool

    save_images(folder)
    annotations = []
    for number, mask in enumerate(masks().values(), 1):
        code = tool.encode(np.asfortranarray(mask.astype(np.uint8)))
        annotations.append(
            {
                "id": number - 1,
                "image_id": 0,
                "category_id": number,
                "bbox": tool.toBbox(code).tolist(),
                "area": int(tool.area(code)),
                "segmentation": {"size": code["size"], "counts": code["counts"].decode("ascii")},
                "iscrowd": 0,
            }
        )
    images = [{"id": k, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH} for k, n in enumerate("ab")]
    categories = [{"id": 0, "name": "defects", "supercategory": "none"}]
    categories += [{"id": k, "name": name, "supercategory": "defects"} for k, name in enumerate(NAMES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "_annotations.coco.json").write_text(json.dumps(content))


def cvat(folder: Path) -> None:
    """Write "CVAT for images 1.1" with the code of masks by cvat-sdk; a mask for each connected part."""
    from cvat_sdk.masks import encode_mask

    save_images(folder / "images")
    scratch, pit = masks().values()
    upper = scratch.copy()
    upper[6:8, 9:11] = False
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        "<annotations>",
        "  <version>1.1</version>",
        "  <meta>",
        "    <task>",
        "      <id>4</id>",
        "      <name>steel</name>",
        "      <mode>annotation</mode>",
        "      <labels>",
        *(
            f"        <label>\n          <name>{name}</name>\n          <color>#fa3253</color>\n          <type>any</type>\n"
            "          <attributes>\n          </attributes>\n        </label>"
            for name in NAMES
        ),
        "      </labels>",
        "    </task>",
        "    <dumped>2026-01-05 10:00:00.000000+00:00</dumped>",
        "  </meta>",
        f'  <image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}">',
    ]
    lower = scratch & ~upper
    corner = pit.copy()
    corner[11] = False
    for name, mask in (("scratch", upper), ("scratch", lower), ("pit", corner), ("pit", pit & ~corner)):
        *runs, left, top, right, bottom = map(int, encode_mask(mask))
        lines += [
            f'    <mask label="{name}" source="manual" occluded="0" rle="{str(runs)[1:-1]}" left="{left}" top="{top}"'
            f' width="{right - left + 1}" height="{bottom - top + 1}" z_order="0">',
            "    </mask>",
        ]
    lines += [
        "  </image>",
        f'  <image id="1" name="b.png" width="{WIDTH}" height="{HEIGHT}">',
        "  </image>",
        "</annotations>",
    ]
    (folder / "annotations.xml").write_text("\n".join(lines) + "\n")


def cvat_masks(folder: Path) -> None:
    """Write "Segmentation mask 1.1" as CVAT does: by datumaro's writer of Pascal VOC."""
    from datumaro.components.annotation import Mask
    from datumaro.components.dataset import Dataset
    from datumaro.components.dataset_base import DatasetItem
    from datumaro.components.media import Image as Media

    labelled = [Mask(image=mask.astype(np.uint8), label=k) for k, mask in enumerate(masks().values())]
    items = [
        DatasetItem(
            id=name,
            subset="default",
            media=Media.from_numpy(np.full((HEIGHT, WIDTH, 3), 60, np.uint8)),
            annotations=found,
        )
        for name, found in (("a", labelled), ("b", []))
    ]
    dataset = Dataset.from_iterable(items, categories=list(NAMES))
    label_map = {"background": [(0, 0, 0), [], []], "scratch": [(250, 50, 83), [], []], "pit": [(51, 221, 255), [], []]}
    dataset.export(str(folder), "voc_segmentation", save_media=False, apply_colormap=True, label_map=label_map)
    save_images(folder / "JPEGImages")


def labelstudio(folder: Path) -> None:
    """Write the JSON and JSON-MIN exports and the brush pictures by Label Studio's own converter."""
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.converter.brush import mask2rle

    save_images(folder / "images")
    results = [
        {
            "original_width": WIDTH,
            "original_height": HEIGHT,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": mask2rle(mask.astype(np.uint8) * 255), "brushlabels": [name]},
            "id": f"r{name}",
            "from_name": "tag",
            "to_name": "image",
            "type": "brushlabels",
            "origin": "manual",
        }
        for name, mask in masks().items()
    ]

    def task(number: int, name: str, found: list[dict[str, object]] | None) -> dict[str, object]:
        annotation = {"id": number + 70, "completed_by": 1, "result": found, "was_cancelled": False}
        annotation |= {"created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:01:00Z", "lead_time": 9.5}
        return {
            "id": number,
            "annotations": [] if found is None else [annotation],
            "file_upload": f"0a1b2c3d-{name}",
            "predictions": [],
            "data": {"image": f"/data/upload/1/0a1b2c3d-{name}"},
        }

    tasks = [task(11, "a.png", results), task(12, "b.png", [])]
    (folder / "export.json").write_text(json.dumps(tasks))
    interface = '<View><Image name="image" value="$image"/><BrushLabels name="tag" toName="image">'
    interface += "".join(f'<Label value="{name}"/>' for name in NAMES) + "</BrushLabels></View>"
    converter = Converter(interface, str(folder), download_resources=False)
    converter.convert_to_json_min(str(folder / "export.json"), str(folder / "min"), is_dir=False)
    (folder / "brush").mkdir()
    converter.convert(str(folder / "export.json"), str(folder / "brush"), "BRUSH_TO_PNG", is_dir=False)


def labelme(folder: Path) -> None:
    """Write a file with masks, and one without a shape, by LabelMe's own class."""
    from labelme._label_file import LabelFile
    from labelme.utils import img_arr_to_b64

    save_images(folder)
    shapes = []
    for name, mask in masks().items():
        rows, columns = np.nonzero(mask)
        top, left, bottom, right = (int(end) for end in (rows.min(), columns.min(), rows.max(), columns.max()))
        part = mask[top : bottom + 1, left : right + 1]
        shapes.append(
            {
                "label": name,
                "points": [[left, top], [right, bottom]],
                "group_id": None,
                "description": "",
                "shape_type": "mask",
                "flags": {},
                "mask": img_arr_to_b64(part.astype(np.uint8)),
            }
        )
    for name, found, data in (("a", shapes, None), ("b", [], (folder / "b.png").read_bytes())):
        LabelFile().save(
            filename=str(folder / f"{name}.json"),
            shapes=found,
            image_path=f"{name}.png",
            image_height=HEIGHT,
            image_width=WIDTH,
            image_data=data,
        )


def supervisely(folder: Path) -> None:
    """Write a project by Supervisely's own classes: bitmaps, and a polygon with a hole on ``b.png``."""
    import supervisely as sly

    classes = {name: sly.ObjClass(name, sly.Bitmap if name == "scratch" else sly.AnyGeometry) for name in NAMES}
    meta = sly.ProjectMeta(obj_classes=sly.ObjClassCollection(list(classes.values())))
    home = folder / "ds0"
    save_images(home / "img")
    (home / "ann").mkdir(parents=True)
    found = {
        "a.png": [sly.Label(sly.Bitmap(mask), classes[name]) for name, mask in masks().items()],
        "b.png": [sly.Label(polygon(sly), classes["pit"])],
    }
    for name, labels in found.items():
        annotation = sly.Annotation((HEIGHT, WIDTH), labels)
        (home / "ann" / f"{name}.json").write_text(json.dumps(annotation.to_json()))
    (folder / "meta.json").write_text(json.dumps(meta.to_json()))


def polygon(sly):
    """Make a polygon of Supervisely with a hole."""
    corners = [(1, 2), (1, 15), (9, 17), (10, 3)]
    hole = [(4, 6), (4, 10), (7, 9)]
    points = [[sly.PointLocation(row, column) for row, column in ring] for ring in (corners, hole)]
    return sly.Polygon(points[0], [points[1]])


EXPORTS = {function.__name__: function for function in (coco, cvat, cvat_masks, labelstudio, labelme, supervisely)}

if __name__ == "__main__":
    for program, write in EXPORTS.items():
        if len(sys.argv) < 3 or program in sys.argv[2:]:
            write(Path(sys.argv[1]) / program)
