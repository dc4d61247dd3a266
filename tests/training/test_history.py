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


SHOWN = {"dice": 0.91234, "defect_dice": 0.51234, "iou": 0.41234}


@pytest.mark.parametrize(
    ("epoch", "figures", "loss", "speed", "waiting", "shown", "hidden"),
    [
        (3, SHOWN, 0.1234, 12.3, 0.02, ["Dice 0.9123", "defect Dice 0.5123", "12.3 images/s"], ["waiting"]),
        (3, SHOWN, 0.1234, 12.3, 0.4, ["Dice 0.9123", "defect Dice 0.5123", "40% waiting"], []),
        (
            3,
            {"f1": 0.7, "average_precision": 0.8},
            0.1,
            9.0,
            0.02,
            ["F1 0.7000", "avg. precision 0.8000", "9.0 images/s"],
            [],
        ),
        (1234, {**SHOWN, "f1": 0.7, "average_precision": 0.8}, 98765.4321, 12345.6, 0.5, ["Dice 0.9123"], ["IoU"]),
    ],
)
def test_the_line_of_an_epoch_fits_a_terminal(epoch, figures, loss, speed, waiting, shown, hidden):
    row = {
        "epoch": epoch,
        "train_loss": loss,
        "valid_loss": loss,
        "train_seconds": 10.0,
        "train_seconds_waiting": 10 * waiting,
        "train_images_per_second": speed,
        "lr_encoder": 1e-3,
        "lr_decoder": 1e-2,
        **{f"valid_{key}": value for key, value in figures.items()},
    }
    line = history.epoch_line(row, max(epoch, 20))
    assert len(line) <= 100
    assert all(part in line for part in shown)
    assert not any(part in line for part in hidden)
