"""Bring other layouts of labels into a dataset folder, and index masks out of one.

``index_masks``, ``coco`` and ``yolo`` read one layout each into ``labels.Labels``, ``polygons`` fills outlines, and
``folder`` writes.
"""

from utils.data.convert.folder import ConvertSummary, convert

__all__ = ["ConvertSummary", "convert"]
