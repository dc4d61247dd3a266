"""While an epoch runs: a bar on a terminal, elsewhere a line every few minutes."""

from types import SimpleNamespace

import pytest

from utils.training import history

BATCHES = 100


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(history, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def run_epoch(clock, seconds_a_batch, main=True, processes=1):
    """One training epoch as the runner tells of it."""
    progress = history.Progress(num_epochs=4)
    runner = SimpleNamespace(
        engine=SimpleNamespace(is_main_process=main, num_processes=processes),
        loader=range(BATCHES),
        epoch_step=2,
        loader_key="train",
        batch_metrics={"loss": 0.5},
    )
    progress.on_loader_start(runner)
    for runner.loader_batch_step in range(processes, processes * BATCHES + 1, processes):
        clock.seconds += seconds_a_batch
        progress.on_batch_end(runner)
    progress.on_loader_end(runner)


@pytest.mark.parametrize("processes", [1, 2])
def test_without_a_terminal_a_slow_epoch_tells_how_far_it_is(clock, capsys, processes):
    run_epoch(clock, seconds_a_batch=8, processes=processes)
    # The first line after a minute, the next ones five minutes apart.
    assert capsys.readouterr().err.splitlines() == [
        "epoch 2/4 train: 8 of 100 batches in 01:04, 12:16 left",
        "epoch 2/4 train: 46 of 100 batches in 06:08, 07:12 left",
        "epoch 2/4 train: 84 of 100 batches in 11:12, 02:08 left",
    ]


def test_a_quick_epoch_prints_nothing(clock, capsys):
    run_epoch(clock, seconds_a_batch=0.5)
    assert capsys.readouterr() == ("", "")


def test_only_the_main_process_prints(clock, capsys):
    run_epoch(clock, seconds_a_batch=8, main=False)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar_and_no_line(clock, capsys, monkeypatch):
    monkeypatch.setattr(history.sys.stderr, "isatty", lambda: True)
    run_epoch(clock, seconds_a_batch=8)
    shown = capsys.readouterr().err
    assert "epoch 2/4 train:   0%|" in shown
    assert "batches in" not in shown
