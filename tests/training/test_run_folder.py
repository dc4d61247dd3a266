"""The settings of a run: what -resume may change, and what it must not."""

import pytest
import yaml

from config import TrainConfig
from utils.cli import parse
from utils.errors import InputError
from utils.settings import to_plain
from utils.training.run_folder import read_settings, write_settings


@pytest.fixture
def run(tmp_path):
    """The settings of a run of one epoch whose images are in memory."""
    config = TrainConfig(dir=tmp_path, num_epochs=1, cache="ram")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(to_plain(config)))
    return tmp_path


def resumed(run, words):
    return read_settings(parse(TrainConfig, ["-resume", str(run), *words.split()], "Train.py", ""))


@pytest.mark.parametrize(
    ("words", "cache"),
    [("", "ram"), ("-cache none", "none"), ("-cache disk", "disk"), ("-num_epochs 1 -recipe balanced-1000", "ram")],
)
def test_how_the_machine_does_the_work_may_change_to_the_default_too(run, words, cache):
    assert resumed(run, words).cache == cache


@pytest.mark.parametrize("words", ["-num_epochs 20", "-num_epochs 21", "-recipe muon"])
def test_what_changes_the_result_is_refused_also_where_it_is_the_default(run, words):
    with pytest.raises(InputError, match=f"{words.split()[0]}: a resumed run keeps its settings"):
        resumed(run, words)


@pytest.mark.parametrize("name", ["encoder_weights", "init_encoder"])
def test_files_to_start_from_are_found_from_any_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_settings(tmp_path / "run", parse(TrainConfig, f"-dir data -{name} w.pth".split(), "Train.py", ""))
    assert str(getattr(resumed(tmp_path / "run", f"-{name} w.pth"), name)) == str(tmp_path / "w.pth")
    monkeypatch.chdir("/")
    assert str(getattr(resumed(tmp_path / "run", ""), name)) == str(tmp_path / "w.pth")


@pytest.mark.parametrize("word", ["imagenet", "none"])
def test_words_for_weights_are_no_files(tmp_path, word):
    write_settings(tmp_path, TrainConfig(dir=tmp_path, encoder_weights=word))
    assert resumed(tmp_path, "").encoder_weights == word
