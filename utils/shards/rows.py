"""The row of an image that was judged, in a part."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.data.parts import CLEAN, DEFECTIVE, OK
from utils.data.rle import encode_part
from utils.decision.components import defect_shapes
from utils.inference.chosen import Chosen
from utils.inference.inspected import Inspected


def found_row(result: Inspected, chosen: Chosen, class_ids: Sequence[int]) -> dict[str, Any]:
    """Return the row of an image that was judged, but for its name.

    Args:
        result: what is known of it.
        chosen: names of classes and labels.
        class_ids: number of each class.
    """
    height, width = result.image.shape[:2]
    defects, names = result.defects, chosen.class_names
    classes = []
    for mask in np.unique(defects["class_id"]).tolist():
        own = defects[defects["class_id"] == mask]
        classes.append(
            {
                "class_id": class_ids[mask - 1],
                "name": names[mask - 1],
                "defects": len(own),
                "area_px": int(own["area_px"].sum()),
            }
        )
    labels = [] if result.labels is None else result.labels.tolist()
    if chosen.weights.spec.is_classifier:
        defective = any(one >= least for one, least in zip(labels, chosen.label_thresholds, strict=True))
    else:
        defective = bool(classes)
    return {
        "status": OK,
        "reason": None,
        "verdict": DEFECTIVE if defective else CLEAN,
        "height": height,
        "width": width,
        "classes": classes,
        "labels": [
            {"name": name, "probability": round(one, 4)} for name, one in zip(chosen.label_names, labels, strict=False)
        ],
        "defects": [
            {
                "class_id": class_ids[mask - 1],
                "name": names[mask - 1],
                "x": x,
                "y": y,
                "width": w,
                "height": h,
                "area_px": area,
                "mean_probability": round(probability, 4),
                "rle": encode_part(shape, x, y, height),
            }
            for (mask, area, x, y, w, h, probability), shape in zip(
                defects.tolist(), defect_shapes(result.masks, defects), strict=True
            )
        ],
    }
