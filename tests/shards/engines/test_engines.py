"""Engines: what each refuses in one line, and that jobs and processes together run every shard once."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("pyarrow")

from config import PredictConfig
from utils.commands.predict import predict
from utils.data.parts import committed
from utils.data.stores import Store
from utils.errors import InputError
from utils.shards.engines import ENGINES
from utils.shards.engines.ray import OnRay, _fit
from utils.shards.engines.slurm import Slurm
from utils.shards.job import Task, read_job

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def config(make_dataset, make_weights, tmp_path) -> PredictConfig:
    folder = make_dataset(count=7) / "train_images"
    flags = {"backend": "torch", "precision": "f32", "device": "cpu", "threads": 1, "shard_size": 1}
    return PredictConfig(images=folder, weights_dir=make_weights(), out=tmp_path / "out", engine="local", **flags)


@pytest.mark.parametrize(
    ("engine", "package", "message"),
    [
        ("ray", "ray", "-engine ray: the package ray is not installed; run .venv/bin/uv pip install ray"),
        (
            "slurm",
            "submitit",
            "-engine slurm: the package submitit is not installed; run .venv/bin/uv pip install submitit",
        ),
        ("torchrun", "", "-engine torchrun: torchrun did not start this process; type torchrun --nproc_per_node N"),
        ("local", "pyarrow", "-engine: the package pyarrow is not installed; run .venv/bin/uv pip install pyarrow"),
    ],
)
def test_what_an_engine_lacks_is_one_line_and_nothing_is_written(config, monkeypatch, engine, package, message):
    monkeypatch.delenv("RANK", raising=False)
    if package:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError) as error:
        predict(replace(config, engine=engine))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert not config.out.exists()


def test_without_slurm_one_line_says_so(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", sys)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="-engine slurm: there is no sbatch here; type the command where Slurm is"):
        ENGINES["slurm"](config)


@pytest.mark.parametrize("word", ["gpu", "=3"])
def test_words_for_slurm_are_keys_and_values(config, monkeypatch, word):
    monkeypatch.setitem(sys.modules, "submitit", sys)
    with pytest.raises(InputError, match=f"-slurm {word}: expected KEY=VALUE, as timeout_min=600"):
        Slurm(replace(config, slurm=(word,)), cluster="local")


@pytest.mark.parametrize(
    ("cores", "gpus", "threads", "wants_gpu", "many"),
    [(4, 0, 1, 0, 3), (1, 0, 1, 0, 0), (16, 0, 4, 0, 3), (16, 2, 1, 1, 2), (3, 8, 1, 1, 2), (8, 0, 1, 1, 0)],
)
def test_a_core_of_each_machine_stays_free(cores, gpus, threads, wants_gpu, many):
    resources = {"CPU": float(cores), **({"GPU": float(gpus)} if gpus else {})}
    assert _fit({"Resources": resources}, threads, wants_gpu) == many


@pytest.mark.parametrize("named", [True, False])
def test_a_cluster_that_does_not_answer_is_one_line_at_once(config, monkeypatch, tmp_path, named):
    """Ray would try for minutes, be it at the address that is named or at that of a cluster that was started here."""
    pytest.importorskip("ray")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if named:
        monkeypatch.setenv("RAY_ADDRESS", address)
    else:
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray/ray_current_cluster").write_text(address)
    with pytest.raises(
        InputError, match=r"^-engine ray: no cluster \(.* does not answer: .*\); check RAY_ADDRESS"
    ) as error:
        predict(replace(config, engine="ray"))
    assert "\n" not in str(error.value)
    assert not config.out.exists()


@pytest.mark.parametrize(("named", "begins"), [("local", True), (None, True), ("ray://mill:10001", False)])
def test_a_cluster_that_cannot_be_started_is_one_line(config, monkeypatch, named, begins):
    """Ray raises a bare ``Exception`` where this machine is too busy; its page in the browser is not started."""
    asked = {}

    def init(**words):
        asked.update(words)
        raise Exception("The current node timed out\nduring startup.")

    services = SimpleNamespace(canonicalize_bootstrap_address=lambda address: None)
    fake = SimpleNamespace(is_initialized=lambda: False, init=init, _private=SimpleNamespace(services=services))
    monkeypatch.setattr("utils.shards.engines.ray.optional", lambda *_: fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if named:
        monkeypatch.setenv("RAY_ADDRESS", named)
    remedy = "try again when this machine is less busy, or take -engine local" if begins else "check RAY_ADDRESS, "
    said = rf"^-engine ray: no cluster \(The current node timed out during startup\.\); {remedy}"
    with pytest.raises(InputError, match=said):
        OnRay(config)
    assert asked.get("include_dashboard", True) is not begins


@pytest.mark.parametrize(("alive", "ends"), [(True, False), (False, True), (None, True)])
def test_a_driver_whose_machine_left_the_cluster_ends_with_one_line(config, alive, ends):
    """Tasks of such a driver never finish; ``None``: the machine is forgotten."""
    context = SimpleNamespace(get_node_id=lambda: "own")
    nodes = [{"NodeID": "other", "Alive": True, "Resources": {"CPU": 4.0}}]
    if alive is not None:
        nodes.append({"NodeID": "own", "Alive": alive, "Resources": {"CPU": 4.0}})
    waited: list[object] = []

    def wait(running, num_returns, timeout):
        waited.append(timeout)
        return (running[:1], running[1:]) if len(waited) > 1 else ([], running)

    engine = OnRay.__new__(OnRay)
    engine.config = config
    engine.ray = SimpleNamespace(
        remote=lambda **asked: lambda work: SimpleNamespace(remote=lambda about, shard: shard),
        put=lambda about: about,
        get=lambda one: one,
        wait=wait,
        nodes=lambda: nodes,
        get_runtime_context=lambda: context,
        exceptions=SimpleNamespace(RayTaskError=OSError, RayError=OSError),
    )
    task = SimpleNamespace(config=config, job=None, todo=[0, 1])
    if ends:
        with pytest.raises(InputError, match="-engine ray: Ray has ended on this machine; start it there again, then"):
            list(engine.run(task))
    else:
        assert list(engine.run(task)) == [0, 1]


def begun(config: PredictConfig) -> tuple[Store, Task]:
    """Begin a job, and leave all its shards to do."""
    predict(config)
    store = Store(config.out)
    for name in store.names():
        if name.startswith("part-"):
            (config.out / name).unlink()
    job = read_job(store)
    assert job is not None
    return store, Task(config, job, job.missing(store))


@pytest.mark.slow
def test_jobs_of_slurm_run_every_shard_once_and_a_failed_one_is_told(config, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store, task = begun(replace(config, workers=2))
    engine = Slurm(task.config, cluster="local")
    assert sorted(engine.run(task)) == task.todo == list(range(7))
    assert len(committed(store, 7)) == 7
    broken = replace(task, config=replace(task.config, weights_dir=Path("missing")))
    with pytest.raises(InputError, match=r"-engine slurm: 2 of 2 jobs failed \(job .*; type the command again"):
        list(engine.run(broken))


@pytest.mark.slow
def test_processes_of_torchrun_share_the_shards(config, tmp_path):
    script = [ROOT / "Predict_masks.py", "-images", config.images, "-weights_dir", config.weights_dir]
    script += ["-out", config.out, "-engine", "torchrun", "-shard_size", 1, "-backend", "torch", "-threads", 1]
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(*more: object) -> subprocess.CompletedProcess[str]:
        command = [str(word) for word in (*start, *script, *more)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path)

    answer = run()
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("7 shards predicted, 0 were there already") == 1
    assert len(committed(Store(config.out), 7)) == 7
    refused = run("-threshold", 0.9)
    assert refused.returncode != 0
    assert refused.stderr.count("error: -out") == 1
