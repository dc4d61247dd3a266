"""What a run folder keeps of its teachers."""

import pytest

from utils.data.soft_masks import SoftTargets
from utils.errors import InputError
from utils.training.teaching import Teaching, read_teachers, read_unlabelled, times, write_teaching


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


@pytest.mark.parametrize(
    ("share", "labelled", "unlabelled", "expected"),
    [(None, 10, 900, 1), (0.5, 10, 90, 9), (0.5, 90, 10, 1), (0.25, 10, 10, 3), (0.9, 10, 90, 1), (0.3, 10, 0, 1)],
)
def test_labelled_images_are_repeated_until_the_share_holds(share, labelled, unlabelled, expected):
    count = times(share, labelled, unlabelled)
    assert count == expected
    if share is not None:
        assert unlabelled / (count * labelled + unlabelled) <= share + 1e-9
