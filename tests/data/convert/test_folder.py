"""A conversion that is interrupted leaves nothing that has to be removed by hand."""

import numpy as np
import pytest
from PIL import Image

from config import ConvertConfig
from utils.data.convert import convert, folder
from utils.data.dataset_folder import open_dataset

TABLES = ("write_annotations", "write_listed", "write_ignored", "write_text")


@pytest.fixture
def config(tmp_path):
    mask = np.zeros((8, 9), np.uint8)
    mask[2:4, 2:4], mask[5, 5] = 1, 255
    for place in ("images", "masks"):
        (tmp_path / place).mkdir()
        Image.fromarray(mask).save(tmp_path / place / "a.png")
    return lambda **changes: ConvertConfig(
        source="index-masks",
        dir=tmp_path / "data",
        images=tmp_path / "images",
        masks=tmp_path / "masks",
        ignore_value=255,
        **changes,
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("place", TABLES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_interruption_between_images_and_table_leaves_nothing(tmp_path, config, monkeypatch, place, error, split):
    if place == "write_listed" and split == "train":
        pytest.skip("lists test images")

    def stop(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(folder, place, stop)
        with pytest.raises((KeyboardInterrupt, OSError)):
            convert(config(split=split))
    assert list((tmp_path / "data").rglob("*")) == []
    assert convert(config(split=split)).images == 1


@pytest.mark.parametrize("place", TABLES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_a_killed_conversion_left_is_taken_away_by_the_next(tmp_path, config, monkeypatch, place, split):
    """SIGKILL runs no clean-up: leave it out, and stop where a table is written."""

    def stop(*_):
        raise KeyboardInterrupt

    if place == "write_listed" and split == "train":
        pytest.skip("lists test images")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "_remove_unfinished", lambda *_: None)
        # The first text is the mark itself, the second the names of the classes.
        patch.setattr(folder, place, _second(folder.write_text, stop) if place == "write_text" else stop)
        with pytest.raises(KeyboardInterrupt):
            convert(config(split=split, class_names=("pit",)))
    assert (tmp_path / "data" / f"{split}_images" / "a.png").is_file()
    summary = convert(config(split=split, class_names=("crack",)))  # another name: that of the killed one is gone
    assert summary.per_class == {"crack": 1}
    assert open_dataset(tmp_path / "data", split).annotations.class_names == ("crack",)
    assert not list((tmp_path / "data").rglob(".*"))


def _second(write, stop):
    """Return a function that writes when it is called first, and stops after that."""
    calls = []

    def called(*args):
        calls.append(args)
        (write if len(calls) == 1 else stop)(*args)

    return called


def test_images_that_somebody_else_put_there_are_not_touched(tmp_path, config):
    (tmp_path / "data" / "train_images").mkdir(parents=True)
    (tmp_path / "data" / "train_images" / "mine.png").touch()
    with pytest.raises(Exception, match="exists already"):
        convert(config())
    assert (tmp_path / "data" / "train_images" / "mine.png").is_file()
