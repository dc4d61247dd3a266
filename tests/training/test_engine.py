"""The engine of a training: what it says of a precision that the machine does not have."""

import datetime
from pathlib import Path

import pytest

from config import TrainConfig
from utils import device
from utils.errors import InputError
from utils.training.engine import has_lost_a_process, make_engine


def test_bf16_on_a_processor_without_it_is_a_warning(monkeypatch, capsys):
    config = TrainConfig(dir=Path("data"), device="cpu", precision="bf16")
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: True)
    make_engine(config)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: False)
    make_engine(config)
    assert capsys.readouterr().err == "warning: -precision bf16: this CPU only emulates it, f32 is faster here\n"


def test_processes_wait_for_hours_for_what_the_first_does_alone():
    handler = make_engine(TrainConfig(dir=Path("data"), device="cpu")).init_handler
    assert handler.to_kwargs()["timeout"] >= datetime.timedelta(days=1)


def test_f16_is_for_gpus():
    with pytest.raises(InputError, match="-precision f16: only for GPUs"):
        make_engine(TrainConfig(dir=Path("data"), device="cpu", precision="f16"))


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1234"), True),
        (RuntimeError("NCCL error: remote process exited or there was a network error"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("closed by peer"), False),
    ],
)
def test_a_lost_process_is_known_by_what_torch_says(error, lost):
    assert has_lost_a_process(error) is lost
