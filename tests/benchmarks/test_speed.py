"""benchmarks/inference.py and coil.py: what was measured on another machine is no reason to measure nothing here."""

import concurrent.futures
import csv
import shutil
from pathlib import Path

import pytest

from benchmarks import coil, inference, machine

ROOT = Path(__file__).parents[2]


class Pool:
    """Stands in for processes: answers at once."""

    asked = 0

    def __init__(self, *_, **__) -> None:
        pass

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_) -> None:
        pass

    def submit(self, *_):
        Pool.asked += 1
        done: concurrent.futures.Future = concurrent.futures.Future()
        with open(ROOT / "benchmarks/results/inference.csv", newline="") as file:
            columns = csv.DictReader(file).fieldnames
        own = columns[columns.index("images") : columns.index("cpu")]
        done.set_result({name: {"device": "cpu", "isa": ""}.get(name, "1") for name in own})
        return done


@pytest.mark.parametrize(
    ("benchmark", "words"),
    [
        (inference, "-networks unet:efficientnet-b0 -backends onnxruntime -precisions f32 -what network,pipeline"),
        (coil, "-cases half -systems two-stage"),
    ],
)
def test_rows_of_another_machine_are_left_alone(tmp_path, monkeypatch, capsys, benchmark, words):
    name = benchmark.__name__.split(".")[-1]
    out = Path(shutil.copy(ROOT / f"benchmarks/results/{name}.csv", tmp_path))
    shipped = out.read_text()
    arguments = [*words.split(), "-out", str(out), "-work", str(tmp_path)]
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(coil, "make_strips", lambda config: None)
    monkeypatch.setattr(machine, "processor", lambda: "AMD EPYC")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)  # the shipped rows that are meant have none
    for variable in ("OMP_NUM_THREADS", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, "1")  # put back after main has set it
    Pool.asked = 0
    assert benchmark.main(arguments) == 0
    assert capsys.readouterr().out == f"already measured on this machine, see {out}\n"
    assert (Pool.asked, out.read_text()) == (0, shipped)
    monkeypatch.setattr(machine, "processor", lambda: "another one")
    assert benchmark.main(arguments) == 0
    assert Pool.asked == 2, "two rows, or weights and a row"
    assert "already" not in capsys.readouterr().out
    if benchmark is inference:
        assert out.read_text().startswith(shipped)
        assert benchmark.main(arguments) == 0
        assert capsys.readouterr().out.startswith("already measured")
        assert benchmark.main([*arguments, "-device", "cuda"]) == 0
        assert Pool.asked == 4
