"""The settings of a run: what -resume may change, and what it must not."""

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from config import VERSION, TrainConfig
from utils.cli import parse
from utils.commands.train_network import train_network
from utils.commands.train_system import train_system
from utils.errors import InputError
from utils.files import alone_in
from utils.settings import to_plain
from utils.training.run_folder import (
    Run,
    begun,
    claim,
    go_on,
    going_on,
    new_run,
    open_run,
    read_settings,
    write_settings,
)


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
    write_settings(Run(tmp_path / "run", parse(TrainConfig, f"-dir data -{name} w.pth".split(), "Train.py", "")))
    assert str(getattr(resumed(tmp_path / "run", f"-{name} w.pth"), name)) == str(tmp_path / "w.pth")
    monkeypatch.chdir("/")
    assert str(getattr(resumed(tmp_path / "run", ""), name)) == str(tmp_path / "w.pth")


def test_settings_name_the_version_in_a_comment_which_is_no_setting(tmp_path):
    config = TrainConfig(dir=tmp_path, num_epochs=3)
    write_settings(Run(tmp_path, config))
    text = (tmp_path / "config.yaml").read_text("utf-8")
    assert text.startswith(f"# steel-defects {VERSION}\ndir: ")
    assert yaml.safe_load(text) == to_plain(config)
    assert resumed(tmp_path, "") == config
    (tmp_path / "config.yaml").write_text(text.replace(VERSION, "99.0.0"))
    assert resumed(tmp_path, "") == config
    assert parse(TrainConfig, ["-config", str(tmp_path / "config.yaml")], "Train.py", "") == config


@pytest.mark.parametrize("word", ["imagenet", "none"])
def test_words_for_weights_are_no_files(tmp_path, word):
    write_settings(Run(tmp_path, TrainConfig(dir=tmp_path, encoder_weights=word)))
    assert resumed(tmp_path, "").encoder_weights == word


def test_trainings_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = new_run(TrainConfig(dir=tmp_path))
    names = [claim(dataclasses.replace(run, existed=existed)).folder.name for existed in (False, False, True)]
    assert names == [run.folder.name, f"{run.folder.name}-2", f"{run.folder.name}-3"]


def test_a_folder_that_another_training_took_meanwhile_is_refused(tmp_path):
    run = new_run(TrainConfig(dir=tmp_path, out=tmp_path / "run"))
    assert claim(run) == run
    with pytest.raises(InputError, match=r"-out .*run: already holds a run; continue it with -resume, or name another"):
        claim(run)
    # What a training left that was killed at once, or somebody made, is free.
    made = dataclasses.replace(run, existed=True)
    assert claim(made) == made
    write_settings(run)
    with pytest.raises(InputError, match="already holds a run"):
        claim(made)


@pytest.mark.parametrize(
    ("processes", "command"), [(1, "python Train.py"), (3, "torchrun --nproc_per_node 3 Train.py")]
)
def test_a_run_of_several_processes_goes_on_by_their_launcher(processes, command):
    assert go_on(Path("runs/a"), processes) == f"go on with: {command} -resume runs/a"


@pytest.mark.parametrize(("words", "said"), [("", 0), ("-threads 0", 0), ("-threads 2", 1), ("-cache none", 0)])
def test_what_changes_the_last_digits_is_said(run, words, said):
    notes = open_run(parse(TrainConfig, ["-resume", str(run), *words.split()], "Train.py", "")).notes
    assert len(notes) == said
    assert all("-threads: was 0 when the run began, and is now 2" in note for note in notes)


def test_of_trainings_that_begin_at_once_in_an_empty_folder_one_gets_it(tmp_path):
    """Without the lock both are in until one of them has written its settings."""
    run = dataclasses.replace(new_run(TrainConfig(dir=tmp_path, out=tmp_path / "run")), existed=True)
    together = threading.Barrier(4)

    def begin(_):
        together.wait()
        try:
            with begun(run) as mine:
                time.sleep(0.05)  # split.csv and others come first
                write_settings(mine)
        except InputError as error:
            return str(error)
        return "in"

    for number in range(5):
        run = dataclasses.replace(run, folder=tmp_path / f"run-{number}")
        run.folder.mkdir()
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(begin, range(4)))
        assert said.count("in") == 1
        assert sum("already holds a run" in word for word in said) == 3


def test_a_run_goes_on_in_one_program_at_a_time(tmp_path):
    run = Run(tmp_path, TrainConfig(), resumed=True, existed=True)
    with (
        going_on(run),
        pytest.raises(InputError, match=f"^-resume {tmp_path}: another training is at work there; wait") as error,
        going_on(run),
    ):
        pass
    assert "\n" not in str(error.value)
    with going_on(run):
        pass


@pytest.mark.parametrize("train", [train_network, train_system])
def test_a_training_that_runs_is_not_gone_on_with(tmp_path, train):
    """Nothing of the run is read before: the other training is writing it."""
    run = Run(tmp_path, TrainConfig(dir=tmp_path / "gone", device="cpu"), resumed=True, existed=True)
    with alone_in(tmp_path), pytest.raises(InputError, match=r"another training is at work there"):
        train(run)
    with pytest.raises(InputError, match=r"gone: no such folder"):
        train(run)


def test_a_new_run_is_held_from_its_beginning(tmp_path):
    (tmp_path / "run").mkdir()
    new = Run(tmp_path / "run", TrainConfig(dir=tmp_path, out=tmp_path / "run"), existed=True)
    with begun(new) as run:
        write_settings(run)
        with pytest.raises(InputError, match="another training is at work there"), going_on(run):
            pass
