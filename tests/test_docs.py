"""What the documents tell a stranger to type and to open is there, and short enough to read."""

import dataclasses
import functools
import re
import shlex
import typing
from pathlib import Path
from typing import get_args

import pytest
import torch

import config
from utils.cli import parse
from utils.decision.decision import Decision
from utils.models.factory import build
from utils.models.spec import MASK_TASKS, ModelSpec
from utils.settings import flag_of
from utils.weights.weights_file import WeightsFile

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "data/README.md",
    "weights/README.md",
    *PAGES,
]
NARROW = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md", *PAGES]
CONFIG_OF_COMMAND = {
    "Train": config.TrainConfig,
    "Map_coil": config.MapCoilConfig,
    "Watch_line": config.WatchConfig,
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
    "Prepare_data copies": config.CopiesConfig,
    "Prepare_data balance": config.BalanceConfig,
    "Prepare_data collect": config.CollectConfig,
    "Prepare_data pack": config.PackConfig,
    "Prepare_data select": config.SelectConfig,
    "Prepare_data suspect": config.SuspectConfig,
    "Prepare_data synthesise": config.SynthesiseConfig,
}


GENERAL_FLAGS = {"h", "config", "version"}  # of every command


def text_of(name: str) -> str:
    """Read a document, each command on one line."""
    return re.sub(r" *\\\n *", " ", (ROOT / name).read_text("utf-8"))


USER_PAGES = "\n".join(map(text_of, ["README.md", *PAGES]))
SHOWN_FILES = re.findall(r"with `([\w-]+\.yaml)`:\n\n```yaml\n(.*?)```", USER_PAGES, re.DOTALL)


def code_spans(text: str) -> list[str]:
    """List what stands between backticks outside of blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def command_lines() -> list[str]:
    """List every command of ours with flags that a document shows, as `Train -dir DATA ...`."""
    found = []
    for name in DOCUMENTS:
        for line in re.findall(r"(?:python|torchrun|accelerate)[^`\n#]*?(\w+\.py[^`\n#]*)", text_of(name)):
            if line.split(".")[0] in {command.split()[0] for command in CONFIG_OF_COMMAND}:
                found.append(line.replace(".py", "", 1).strip())
    return sorted(set(found) - {f"{line} {flag}" for line in CONFIG_OF_COMMAND for flag in ("-h", "-version")})


@pytest.mark.parametrize("line", command_lines())
def test_shown_command_is_understood(line, tmp_path, monkeypatch):
    for name, content in SHOWN_FILES:
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    command = next(name for name in CONFIG_OF_COMMAND if words[: len(name.split())] == name.split())
    parse(CONFIG_OF_COMMAND[command], words[len(command.split()) :], command, "")


def flags_of(command: str) -> set[str]:
    """Name the flags of an entry point, of all its programs where it has several."""
    kinds = [kind for name, kind in CONFIG_OF_COMMAND.items() if name.split()[0] == command]
    names = {flag_of(field.name).removeprefix("-") for kind in kinds for field in dataclasses.fields(kind)}
    return GENERAL_FLAGS | names


@functools.cache  # every document is looked through for them
def flags_of_scripts() -> frozenset[str]:
    """Name the flags of the scripts in benchmarks/ and images/, and of pytest that CONTRIBUTING.md names."""
    source = "\n".join(
        path.read_text("utf-8") for name in ("benchmarks", "images") for path in (ROOT / name).glob("*.py")
    )
    return frozenset(
        {"k", *re.findall(r"^    (\w+): .*\bflag\(", source, re.MULTILINE), *re.findall(r'"-(\w+)"', source)}
    )


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_flag_exists(name):
    known = flags_of_scripts().union(*(flags_of(command.split()[0]) for command in CONFIG_OF_COMMAND))
    spans = [span for span in code_spans(text_of(name)) if span.startswith("-") or ".py " in span or "make " in span]
    named = {flag for span in spans for flag in re.findall(r"(?:^| |\")-([a-z]\w*)", span)}
    assert named - known == set()


@pytest.mark.parametrize("name", ["README.md", *PAGES])
def test_row_about_a_command_names_flags_of_that_command(name):
    for row in re.findall(r"^\| *`(\w+)\.py` *\|(.*)$", text_of(name), re.MULTILINE):
        named = {word for span in code_spans(row[1]) for word in re.findall(r"(?:^| )-([a-z]\w*)", span)}
        assert named <= flags_of(row[0]), row[0]


def test_readme_is_short():
    text = (ROOT / "README.md").read_bytes()
    assert len(text.splitlines()) < 180
    assert len(text) < 12 * 1024


@pytest.mark.parametrize("name", NARROW)
def test_lines_fit_on_a_screen(name):
    lines = (ROOT / name).read_text("utf-8").splitlines()
    # Tables and the addresses of links cannot be broken.
    shown = {number: re.sub(r"\]\([^)]*\)", "]", line) for number, line in enumerate(lines, 1) if line[:1] != "|"}
    assert {number: len(line) for number, line in shown.items() if len(line) > 120} == {}


@pytest.mark.parametrize("name", PAGES)
def test_page_begins_with_its_task_and_a_command(name):
    head = re.match(
        r"# [^\n]+\n\n[A-Z][^#|`-](?:(?!\n\n).)*:\n\n```sh\n(?:(?:python|make|git|\.venv)[^\n]*\n)",
        text_of(name),
        re.DOTALL,
    )
    assert head, "title, one paragraph that ends with a colon, a block of commands"


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
            waiting += [(page.parent / link).resolve() for link in links]
    assert {ROOT / name for name in DOCUMENTS} <= reached


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


def choices(name: str) -> list[str]:
    """List what a flag of training offers."""
    return [word for word in _words(typing.get_type_hints(config.TrainConfig)[name]) if isinstance(word, str)]


def _words(kind: object) -> list[object]:
    return [word for part in get_args(kind) for word in (_words(part) if get_args(part) else [part])]


@pytest.mark.parametrize(
    "word", [*config.RECIPES, *(word for name in ("task", "architecture", "loss", "system") for word in choices(name))]
)
def test_documents_name_every_choice(word):
    assert f"`{word}`" in USER_PAGES


@pytest.mark.parametrize("task", MASK_TASKS)
def test_documents_load_a_weights_file_in_plain_smp(task, tmp_path, monkeypatch):
    model = build(
        ModelSpec("unet", "resnet18", task, ("pit", "crack"), target="crack" if task == "per-class" else None)
    )
    scored = len(model.spec.scored_names)
    file = WeightsFile(model.spec, model.net.state_dict(), model.mean, model.std, None, Decision.uniform(scored, 0.5))
    file.save(tmp_path / "weights.pth")
    monkeypatch.chdir(tmp_path)
    shown: dict = {}
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/weights.md").read_text("utf-8"), re.DOTALL)
    exec(next(block for block in code if "load_state_dict" in block), shown)
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (file.mean, file.std))
    with torch.no_grad():
        expected = file.build()(images)
        torch.testing.assert_close(shown["net"].eval()((images / 255 - mean) / std), expected, atol=1e-4, rtol=1e-3)


def test_every_picture_is_shown_and_small():
    folders = (ROOT / "images", ROOT / "benchmarks" / "results")
    pictures = [path for folder in folders for path in folder.iterdir() if path.suffix in (".png", ".jpg", ".svg")]
    shown = {
        ((ROOT / name).parent / target).resolve()
        for name in DOCUMENTS
        for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / name).read_text("utf-8"))
    }
    assert pictures
    assert shown == set(pictures)
    for path in pictures:
        assert path.stat().st_size < 300_000
