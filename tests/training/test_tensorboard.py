"""Curves arrive in TensorBoard's files, and a full disk is an error instead of a training that waits for ever."""

import errno
import resource
import signal
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from utils.training.tensorboard import TensorboardFiles


def write(folder, epochs):
    logger = TensorboardFiles(str(folder))
    for epoch in range(1, epochs + 1):
        runner = SimpleNamespace(loader_key="train", epoch_step=epoch, sample_step=epoch)
        logger.log_metrics({"loss": 1 / epoch}, "loader", runner)
        logger.flush_log()
    logger.close_log()


def test_curves_can_be_read_again(tmp_path):
    write(tmp_path, 3)
    read = EventAccumulator(str(tmp_path / "train"))
    read.Reload()
    values = [(event.step, event.value) for event in read.Scalars("loss/epoch")]
    assert values == [(epoch, pytest.approx(1 / epoch)) for epoch in (1, 2, 3)]


def test_a_score_that_does_not_exist_is_a_gap_and_no_remark(tmp_path, caplog):
    logger = TensorboardFiles(str(tmp_path))
    for epoch, dice in enumerate((0.5, float("nan"), 0.75), 1):
        runner = SimpleNamespace(loader_key="valid", epoch_step=epoch, sample_step=epoch)
        logger.log_metrics({"dice": dice}, "loader", runner)
    logger.close_log()
    read = EventAccumulator(str(tmp_path / "valid"))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("dice/epoch")] == [(1, 0.5), (3, 0.75)]
    assert not caplog.records


def test_full_disk_is_an_error_that_names_the_folder(tmp_path):
    size, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, size[1]))
        with pytest.raises(OSError) as error:  # noqa: PT011 - its number is checked below
            write(tmp_path, 30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
        signal.signal(signal.SIGXFSZ, handler)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(tmp_path))
