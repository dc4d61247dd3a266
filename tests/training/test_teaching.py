"""What a run folder keeps of its teachers."""

import pytest

from utils.data.soft_masks import SoftTargets
from utils.errors import InputError
from utils.training.teaching import Teaching, read_teachers, read_unlabelled, write_teaching


def test_teachers_and_unlabelled_images_are_read_as_they_were_written(tmp_path):
    write_teaching(tmp_path, None)
    assert not list(tmp_path.iterdir())
    assert read_teachers(tmp_path) == {}
    teachers = ({"file": "unet.pth", "sha256": "0" * 64},)
    write_teaching(tmp_path, Teaching(SoftTargets({}, frozenset(), 0.5), ("/steel/ü.png", "/steel/a.png"), teachers))
    assert read_unlabelled(tmp_path) == ("/steel/ü.png", "/steel/a.png")
    assert read_teachers(tmp_path) == {"teachers": [dict(teachers[0])]}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"teachers": 3, "unlabelled": []}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "teacher.json").write_text(text)
    with pytest.raises(InputError, match=r"teacher\.json: missing or damaged; start the run again"):
        read_unlabelled(tmp_path)
