"""What the documents tell a stranger to type and to open is there."""

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import torch

import config
from utils.cli import parse
from utils.decision.decision import Decision
from utils.models.factory import build
from utils.models.spec import MASK_TASKS, ModelSpec
from utils.weights.weights_file import WeightsFile

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", "data/README.md", "weights/README.md"]
README = (ROOT / "README.md").read_text("utf-8")
CONFIG_OF_COMMAND = {
    "Train": config.TrainConfig,
    "Predict_masks": config.PredictConfig,
    "Evaluate": config.EvaluateConfig,
    "Export_model": config.ExportConfig,
    "Serve": config.ServeConfig,
    "Demo": config.DemoConfig,
    "Download_weights": config.DownloadWeightsConfig,
    "Publish_weights": config.PublishWeightsConfig,
    "Prepare_data download": config.DownloadDataConfig,
    "Prepare_data convert": config.ConvertConfig,
    "Prepare_data check": config.CheckConfig,
    "Prepare_data explore": config.ExploreConfig,
    "Prepare_data balance": config.BalanceConfig,
    "Prepare_data synthesise": config.SynthesiseConfig,
}


def command_lines() -> list[str]:
    """List every command of ours with flags that a document shows, as `Train -dir DATA ...`."""
    found = []
    for name in DOCUMENTS:
        for line in re.findall(
            r"(?:python|torchrun|accelerate)[^`\n#]*?(\w+\.py[^`\n#]*)", (ROOT / name).read_text("utf-8")
        ):
            if line.split(".")[0] in {command.split()[0] for command in CONFIG_OF_COMMAND}:
                found.append(line.replace(".py", "", 1).strip())
    return sorted(set(found))


@pytest.mark.parametrize("line", command_lines())
def test_shown_command_is_understood(line, tmp_path, monkeypatch):
    for name, content in re.findall(r"with `([\w-]+\.yaml)`:\n\n```yaml\n(.*?)```", README, re.DOTALL):
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    command = next(name for name in CONFIG_OF_COMMAND if words[: len(name.split())] == name.split())
    parse(CONFIG_OF_COMMAND[command], words[len(command.split()) :], command, "")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_link_inside_the_repository_leads_somewhere(name):
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / name).read_text("utf-8")):
        file, _, section = target.partition("#")
        path = (folder / file).resolve() if file else ROOT / name
        assert path.exists(), target
        if section:
            titles = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
            assert section in {re.sub(r"[^\w -]", "", title).replace(" ", "-").lower() for title in titles}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_make_target_exists(name):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / name).read_text("utf-8"), re.MULTILINE)) <= set(targets)


@pytest.mark.parametrize("word", [*get_args(config.Task), *config.RECIPES])
def test_readme_names_every_choice(word):
    assert f"`{word}`" in README


@pytest.mark.parametrize("task", MASK_TASKS)
def test_readme_loads_a_weights_file_in_plain_smp(task, tmp_path, monkeypatch):
    model = build(
        ModelSpec("unet", "resnet18", task, ("pit", "crack"), target="crack" if task == "per-class" else None)
    )
    scored = len(model.spec.scored_names)
    file = WeightsFile(model.spec, model.net.state_dict(), model.mean, model.std, None, Decision.uniform(scored, 0.5))
    file.save(tmp_path / "weights.pth")
    monkeypatch.chdir(tmp_path)
    shown: dict = {}
    exec(
        next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "load_state_dict" in code), shown
    )
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (file.mean, file.std))
    with torch.no_grad():
        expected = file.build()(images)
        torch.testing.assert_close(shown["net"].eval()((images / 255 - mean) / std), expected, atol=1e-4, rtol=1e-3)


def test_every_picture_is_shown_and_small():
    pictures = [path for path in (ROOT / "images").iterdir() if path.suffix in (".png", ".jpg", ".svg")]
    shown = {
        ((ROOT / name).parent / target).resolve()
        for name in DOCUMENTS
        for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / name).read_text("utf-8"))
    }
    assert pictures
    assert shown == set(pictures)
    for path in pictures:
        assert path.stat().st_size < 300_000
