"""Any COCO or YOLO file is converted or refused in one line; nothing else is raised, and nothing is written then."""

import copy
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError

pytestmark = pytest.mark.slow
RELAXED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
GOOD = {
    "images": [{"id": 1, "file_name": "a.png", "height": 12, "width": 20}, {"id": 2, "file_name": "b.png"}],
    "categories": [{"id": 1, "name": "pit", "supercategory": "defect"}, {"id": 2, "name": "crack"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[3, 2, 9, 2, 9, 5, 3, 5]]},
        {"id": 2, "image_id": 2, "category_id": 2, "segmentation": {"counts": [20, 5, 215], "size": [12, 20]}},
    ],
}
NUMBERS = st.one_of(
    st.integers(-3, 30), st.sampled_from([0, -1, 2**63, 10**30, 1e308, -1e308, 0.5, float("nan"), float("inf"), 1e-320])
)
VALUES = st.recursive(
    st.one_of(
        NUMBERS, st.none(), st.booleans(), st.text(max_size=6), st.sampled_from(["../a.png", "/", "a.png", "1", "a"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8), st.dictionaries(st.sampled_from(["counts", "size", "x"]), inner)
    ),
    max_leaves=12,
)


def places(value, here=()):
    """List where a value may be replaced: tuples of keys and indices."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [here] * bool(here) + [place for key in keys for place in places(value[key], (*here, key))]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.fromarray(np.full((12, 20), 90, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def converts_or_refuses(root, **given):
    shutil.rmtree(root / "data", ignore_errors=True)
    try:
        convert(ConvertConfig(dir=root / "data", images=root / "images", **given))
    except InputError as error:
        problem: str | None = str(error)
    else:
        problem = None
    if problem is not None:
        assert "\n" not in problem
        assert not (root / "data").exists()
    else:
        dataset = open_dataset(root / "data")
        for name in dataset.images:
            dataset.annotations.mask(name, 12, 20)


@given(st.lists(st.tuples(st.sampled_from(places(GOOD)), VALUES), min_size=1, max_size=3), st.booleans())
@RELAXED
def test_any_coco_file(root, changes, skip_bad):
    content = copy.deepcopy(GOOD)
    for place, value in changes:
        inside = content
        for key in place[:-1]:
            inside = inside[key] if isinstance(inside, (dict, list)) and key in places_of(inside) else {}
        if isinstance(inside, (dict, list)) and place[-1] in places_of(inside):
            inside[place[-1]] = value
    (root / "coco.json").write_text(json.dumps(content))
    converts_or_refuses(root, source="coco", annotations=root / "coco.json", skip_bad=skip_bad)


def places_of(value):
    return value.keys() if isinstance(value, dict) else range(len(value))


@given(
    st.lists(st.one_of(NUMBERS.map(str), st.floats(-0.1, 1.1).map(str), st.text(max_size=3)), max_size=12),
    st.booleans(),
)
@RELAXED
def test_any_yolo_line(root, words, skip_bad):
    (root / "labels").mkdir(exist_ok=True)
    (root / "labels" / "a.txt").write_text(" ".join(words), encoding="utf-8", errors="replace")
    converts_or_refuses(root, source="yolo", annotations=root / "labels", skip_bad=skip_bad)
