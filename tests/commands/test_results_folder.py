"""Folders of results: one prediction at a time, whose pictures take the place of the one before, and nothing of the user's."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from utils.commands.results_folder import PICTURES_OF, about_replaced, left_over, marked
from utils.data.listing import SUMMARY, UNFINISHED
from utils.errors import InputError
from utils.files import alone_in


def write(out: Path, *names: str, folders: tuple[str, ...] = ("overlays",), error: type | None = None) -> None:
    """Write pictures of these names as a prediction does."""
    places = [out / word for word in folders]
    out.mkdir(exist_ok=True)
    with marked(out, places, names) as results:
        for place in places:
            place.mkdir(exist_ok=True)
            for name in names:
                (place / name).write_text(f"of {len(names)}")
        if error:
            raise error
        (out / SUMMARY).write_text(json.dumps({PICTURES_OF: results.settle([])}))


def there(out: Path) -> list[str]:
    return sorted(
        path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and path.name != SUMMARY
    )


def test_pictures_of_the_prediction_before_are_removed_and_the_users_stay(tmp_path):
    write(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "overlays/mine.png").write_text("mine")
    (tmp_path / "overlays/notes.txt").write_text("mine")
    write(tmp_path, "b.png")
    assert there(tmp_path) == ["overlays/b.png", "overlays/mine.png", "overlays/notes.txt"]
    assert left_over(tmp_path, ["overlays/"]) == ["overlays/mine.png", "overlays/notes.txt"]
    write(tmp_path, "d.png")
    assert there(tmp_path) == ["overlays/d.png", "overlays/mine.png", "overlays/notes.txt"]


def test_pictures_from_before_there_was_a_list_stay_and_are_named(tmp_path):
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays/old.png").write_text("earlier")
    (tmp_path / "submission.csv").write_text("earlier")
    write(tmp_path, "a.png")
    assert there(tmp_path) == ["overlays/a.png", "overlays/old.png", "submission.csv"]
    assert left_over(tmp_path, ["overlays/", "defects.csv"]) == ["overlays/old.png", "submission.csv"]


def test_pictures_of_another_kind_stay(tmp_path):
    write(tmp_path, "a.png", "b.png", folders=("overlays", "masks"))
    write(tmp_path, "a.png", folders=("masks",))
    assert there(tmp_path) == ["masks/a.png", "overlays/a.png", "overlays/b.png"]
    assert left_over(tmp_path, ["masks/"]) == ["overlays/"]
    write(tmp_path, "c.png")
    assert there(tmp_path) == ["masks/a.png", "overlays/c.png"]


def test_after_an_error_nothing_is_removed_and_the_next_one_removes_what_both_wrote(tmp_path):
    write(tmp_path, "a.png", "b.png")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "b.png", "c.png", error=KeyboardInterrupt)
    assert there(tmp_path) == [UNFINISHED, "overlays/a.png", "overlays/b.png", "overlays/c.png"]
    write(tmp_path, "c.png")
    assert there(tmp_path) == ["overlays/c.png"]


def test_a_picture_that_was_not_written_is_not_the_predictions(tmp_path):
    """Of an image that was skipped: a file that the user puts there later stays."""
    write(tmp_path, "a.png")
    with marked(tmp_path, [tmp_path / "overlays"], ["a.png", "skipped.png"]) as results:
        (tmp_path / "overlays/a.png").write_text("anew")
        (tmp_path / SUMMARY).write_text(json.dumps({PICTURES_OF: results.settle([])}))
    (tmp_path / "overlays/skipped.png").write_text("mine")
    write(tmp_path, "b.png")
    assert there(tmp_path) == ["overlays/b.png", "overlays/skipped.png"]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"overlays": ["../mine"]}', '{"overlays": 3}', '{"..": ["mine"]}', '{"overlays": [["a"]]}']
)
def test_a_list_that_leads_elsewhere_removes_nothing(tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out" / SUMMARY).write_text(content if content == "{" else f'{{"{PICTURES_OF}": {content}}}')
    write(tmp_path / "out", "a.png")
    assert (tmp_path / "mine").read_text() == "mine"


def test_two_predictions_at_once_do_not_mix(tmp_path):
    write(tmp_path, "a.png")
    with (
        alone_in(tmp_path),
        pytest.raises(InputError, match=r"-out .*: another prediction is writing there; wait for it"),
    ):
        write(tmp_path, "b.png")
    assert there(tmp_path) == ["overlays/a.png"]


def test_tables_of_the_prediction_before_are_removed_unless_somebody_has_changed_them(tmp_path):
    def predict(*written):
        with marked(tmp_path, [], []) as results:
            for name in written:
                (tmp_path / name).write_text("image\n")
            (tmp_path / SUMMARY).write_text(json.dumps({PICTURES_OF: results.settle(written), "written": written}))

    predict("submission.csv", "defects.csv")
    predict("defects.csv")
    assert not (tmp_path / "submission.csv").exists()
    later = (tmp_path / SUMMARY).stat().st_mtime_ns + 10**9
    (tmp_path / "defects.csv").write_text("mine\n")
    os.utime(tmp_path / "defects.csv", ns=(later, later))
    predict()
    assert (tmp_path / "defects.csv").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (None, ""),
        ('{"weights": "a-00000001.pth", "sha8": "00000001"}', ""),
        (
            '{"weights": "b-00000002.pth", "sha8": "00000002"}',
            "the evaluation of b-00000002.pth that was in {} is replaced; -out names another folder for each",
        ),
        ("damaged", ""),
        ("[]", ""),
        ('{"mean_dice": 0.5}', ""),
    ],
)
def test_an_evaluation_of_other_weights_is_named_when_it_goes(tmp_path, there, said):
    if there is not None:
        (tmp_path / "metrics.json").write_text(there)
    assert about_replaced(tmp_path, SimpleNamespace(sha8="00000001")) == said.format(tmp_path)
