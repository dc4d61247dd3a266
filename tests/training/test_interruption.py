"""What a signal does while a checkpoint is written."""

import signal

import pytest
import torch

from utils.training import checkpoints
from utils.training.checkpoints import read_best

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGCHLD") if hasattr(signal, name)]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_checkpoint_is_written_whole_before_a_signal_counts(tmp_path, monkeypatch, number):
    def die(*_):
        raise RuntimeError("a loading process was killed")

    class Writer:
        """A file whose writing a signal meets."""

        def __init__(self, file):
            self.file = file

        def write(self, data):
            signal.raise_signal(number)
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

    save = torch.save
    monkeypatch.setattr(torch, "save", lambda content, file: save(content, Writer(file)))
    before = signal.signal(number, die)
    try:
        with pytest.raises(RuntimeError, match="was killed"):
            checkpoints._write(
                {"epoch": 1, "network": {"weight": torch.ones(1000)}, "scores": {}}, tmp_path / checkpoints.BEST
            )
        assert signal.getsignal(number) is die
    finally:
        signal.signal(number, before)
    assert read_best(tmp_path)["network"]["weight"].sum() == 1000
    assert [path.name for path in tmp_path.iterdir()] == [checkpoints.BEST]
