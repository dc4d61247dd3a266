"""The repository keeps the layout and the import rules that docs/architecture.md promises."""

import ast
import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from config import VERSION
from tests.conftest import SLOWEST_FIRST

ROOT = Path(__file__).resolve().parent.parent
ENTRY_POINTS = sorted(path for path in ROOT.glob("*.py") if path.stem != "config")
MODULES = [ROOT / "config.py", *ENTRY_POINTS, *sorted((ROOT / "utils").rglob("*.py"))]
FOR_EVERYBODY = {"config", "device", "errors", "files", "settings", "text"}
COMMAND_OF = {"Predict_masks": "predict"}
OWN_FOLDERS = {"integration", "benchmarks", "reference", "fuzz"}  # more than one room, scripts, an oracle, damage
TORCH_FREE = ["dataset_folder", "rle", "convert", "checks", "splits", "synthetic", "kaggle", "images", "exploration"]
PLATFORMS = [("linux", "Linux", "x86_64"), ("darwin", "Darwin", "arm64"), ("win32", "Windows", "AMD64")]


def rules() -> dict[str, set[str]]:
    """Read from docs/architecture.md who may import whom: room -> rooms."""
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    block = re.search(r"## Import rules.*?```text\n(.*?)```", page, re.DOTALL)
    assert block, "docs/architecture.md has lost the block of import rules"
    allowed = {}
    for line in re.sub(r",\n +", ", ", block[1]).splitlines():  # a long line goes on in the next
        room, _, imported = line.partition("->")
        words = imported.split("(")[0].replace(" and ", ", ").split(",")
        allowed[room.strip()] = {word.strip() for word in words} - {"", "nothing of ours"}
    return allowed


def room_of(name: str) -> str:
    """Name the room of a module given as a dotted name: utils.data.rle -> data, Train -> entry points."""
    parts = name.split(".")
    if parts[0] == "utils":
        return parts[1] if len(parts) > 1 else "utils"
    return "config" if parts[0] == "config" else "entry points"


@functools.cache  # several tests ask about a module
def imports(source: str) -> list[tuple[int, str, bool]]:
    """List the imports of our own modules in a source text: line, dotted name, whether inside a function."""
    found = []

    def visit(node: ast.AST, inside: bool) -> None:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            # from utils.data import rle names a module, from utils.data.rle import parse does not: keep both
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found.extend((node.lineno, name, inside) for name in names if name.split(".")[0] in ("utils", "config"))
        for child in ast.iter_child_nodes(node):
            visit(child, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(ast.parse(source), False)
    return found


def violations(room: str, source: str, allowed: dict[str, set[str]]) -> list[str]:
    """List the imports of a source text that its room may not make."""
    wrong = []
    for line, name, _ in imports(source):
        target = room_of(name)
        if target != room and target not in FOR_EVERYBODY | allowed[room]:
            wrong.append(f"line {line}: {room} imports {name}")
    return wrong


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize(
    ("room", "source", "count"),
    [
        ("data", "from utils.errors import InputError", 0),
        ("data", "from utils.data import rle", 0),
        ("data", "from utils.models import factory", 1),
        ("data", "import utils.models.factory", 1),
        ("scoring", "def f():\n    from utils.data.rle import decode", 1),
        ("training", "from utils.decision.masks import decide", 0),
        ("training", "from utils.decision import masks", 0),
        ("training", "from utils.inference.pipeline import InspectionPipeline", 1),
        ("inference", "from utils.commands.train_network import train_network", 1),
        ("weights", "from utils.models.spec import ModelSpec\nfrom utils.scoring import counts", 1),
        ("models", "import config, torch", 0),
    ],
)
def test_rules_tell_allowed_from_forbidden(room, source, count):
    assert len(violations(room, source, rules())) == count


def test_modules_import_only_the_rooms_that_their_own_may():
    allowed, wrong = rules(), {}
    for path in MODULES:
        room, source = room_of(dotted(path)), path.read_text("utf-8")
        if room in FOR_EVERYBODY | {"utils"}:
            wrong[dotted(path)] = sorted({room_of(name) for _, name, _ in imports(source)} - FOR_EVERYBODY)
        else:
            wrong[dotted(path)] = violations(room, source, allowed)
    assert {name: lines for name, lines in wrong.items() if lines} == {}


def graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Map each module (dotted name) to the modules it imports, also inside functions."""
    arrows: dict[str, set[str]] = {}
    for module, source in sources.items():
        named = [name for _, name, _ in imports(source)]
        found = {name if name in sources else name.rpartition(".")[0] for name in named}
        arrows[module] = {name for name in found if name in sources} - {module}
    return arrows


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """List the groups of modules that import each other in a circle."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [*arrows[start]]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += arrows[one]
        return seen

    after = {name: reached(name) for name in arrows}
    found = [frozenset(other for other in seen if name in after[other]) for name, seen in after.items() if name in seen]
    return [set(one) for one in dict.fromkeys(found)]


def test_circle_is_found_also_through_a_function():
    sources = {
        "utils.a": "from utils.b import f",
        "utils.b": "def f():\n    import utils.c",
        "utils.c": "import utils.a",
    }
    assert circles(graph(sources)) == [{"utils.a", "utils.b", "utils.c"}]
    assert circles(graph({**sources, "utils.c": ""})) == []


def test_no_modules_import_each_other_in_a_circle():
    assert circles(graph({dotted(path): path.read_text("utf-8") for path in MODULES})) == []


@pytest.mark.parametrize("path", ENTRY_POINTS, ids=dotted)
def test_command_is_a_file_with_a_function_of_its_name(path):
    commands = [name for _, name, _ in imports(path.read_text("utf-8")) if name.startswith("utils.commands.")]
    assert commands or path.stem == "Prepare_data"
    for name in commands:
        _, _, module, function = name.split(".")
        assert module == function
        assert (ROOT / f"utils/commands/{module}.py").is_file()
    if path.stem != "Prepare_data":
        assert commands == [f"utils.commands.{name}.{name}" for name in [COMMAND_OF.get(path.stem, path.stem.lower())]]


def misplaced(tests: list[str], modules: set[str]) -> list[str]:
    """List test files below tests/ROOM/ that are not named for a module of utils/ROOM/."""
    wrong = []
    for name in tests:
        room, _, rest = name.partition("/")
        module = f"{room}/{rest}".replace("/test_", "/")
        package, _, stem = module.removesuffix(".py").rpartition("/")
        if package.endswith(f"/{stem}"):  # tests of a package as a whole, beside those of its modules
            module = package
        if rest and room not in OWN_FOLDERS and module not in modules and module.removesuffix(".py") not in modules:
            wrong.append(name)
    return wrong


def test_tests_mirror_the_rooms():
    modules = {str(path.relative_to(ROOT / "utils")) for path in (ROOT / "utils").rglob("*.py")}
    modules |= {str(path.parent.relative_to(ROOT / "utils")) for path in (ROOT / "utils").rglob("__init__.py")}
    modules |= {f"web/page/{path.stem}.py" for path in (ROOT / "utils/web/page/modules").glob("*.js")}
    assert misplaced(["data/test_rle.py", "data/test_convert.py", "web/page/test_gallery.py"], modules) == []
    assert misplaced(["data/test_rules.py", "nowhere/test_rle.py"], modules) == [
        "data/test_rules.py",
        "nowhere/test_rle.py",
    ]
    there = sorted(str(path.relative_to(ROOT / "tests")) for path in (ROOT / "tests").rglob("test_*.py"))
    assert misplaced(there, modules) == []


def test_files_that_are_sorted_to_the_front_exist():
    assert [name for name in SLOWEST_FIRST if not (ROOT / "tests" / name).is_file()] == []


def test_modules_are_named_for_their_concept():
    nameless = {"helpers", "helper", "common", "misc", "util", "utils"}
    folders = {"helpers", "common", "misc"}
    assert [dotted(path) for path in MODULES if path.stem in nameless or path.parent.name in folders] == []


@pytest.mark.parametrize("path", ENTRY_POINTS, ids=dotted)
def test_entry_point_imports_rooms_inside_functions_one_function_each(path):
    tree = ast.parse(path.read_text("utf-8"))
    outside = [name for _, name, inside in imports(path.read_text("utf-8")) if not inside]
    assert {room_of(name) for name in outside} <= {"config", "cli", "errors"}
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        inside = {
            name for _, name, _ in imports(ast.unparse(function)) if room_of(name) not in {"config", "cli", "errors"}
        }
        assert len(inside) <= 1, f"{function.name} imports {sorted(inside)}"


ASK = """
import json, runpy, sys
path, asked = sys.argv[1:]
for words in json.loads(asked):
    sys.argv = [path, *words]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as stop:
        print("ended with", stop.code)
print("torch" in sys.modules)
"""


@pytest.mark.parametrize("path", ENTRY_POINTS, ids=dotted)
def test_help_and_version_answer_within_a_second_and_without_torch(path):
    asked = [["-version"], *([["check", "-version"]] if path.stem == "Prepare_data" else []), ["-h"]]
    before = os.times()
    command = [sys.executable, "-c", ASK, str(path), json.dumps(asked)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    after = os.times()
    # Processor time, so that a busy machine does not fail the test.
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert (answer.returncode, answer.stderr) == (0, "")
    version, told = f"steel-defects {VERSION}\nended with 0\n", answer.stdout
    count = len(asked) - 1
    assert told.startswith(count * version + "usage:")
    assert told.endswith("\nended with 0\nFalse\n")
    assert spent < 1.0


def results(source: str) -> dict[str, set[str]]:
    """Map the classes of a source text that are what a command returns, by their names, to their methods' names."""
    return {
        node.name: {method.name for method in node.body if isinstance(method, ast.FunctionDef)}
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and re.search("(Result|Summary|Report)$", node.name)
    }


def test_results_have_a_text_and_nothing_else_to_print():
    places = [*(ROOT / "utils/commands").rglob("*.py"), *(ROOT / "utils/data").rglob("*.py")]
    found = [item for path in places for item in results(path.read_text("utf-8")).items()]
    assert len(found) >= 10
    assert {
        name for name, methods in found if "text" not in methods or methods & {"__str__", "summary", "table"}
    } == set()


def test_reading_data_needs_no_torch():
    existing = [f"utils.data.{name}" for name in TORCH_FREE if list((ROOT / "utils/data").glob(f"{name}*"))]
    assert existing
    code = f"import sys, {', '.join(existing)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_looking_through_shards_imports_no_networks():
    """timm and torchvision take longer to start than a finished job of many images takes to be counted."""
    code = "import sys, utils.commands.predict; sys.exit(bool({'timm', 'torchvision', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def requirement_lines(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]


def test_lock_file_has_exact_versions_and_no_index_address():
    for line in requirement_lines("requirements.lock"):
        assert re.fullmatch(r"[a-z0-9-]+==[\w.+!]+( ; .+)?", line), line
        assert "://" not in line


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize(("platform", "system", "machine"), PLATFORMS, ids=[platform[0] for platform in PLATFORMS])
def test_lock_file_holds_one_allowed_version_of_every_requirement(python, platform, system, machine):
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_system": system,
        "platform_machine": machine,
    }
    locked = [Requirement(line) for line in requirement_lines("requirements.lock")]
    for wanted in map(Requirement, (line.split("#")[0] for line in requirement_lines("requirements.txt"))):
        versions = [
            next(iter(found.specifier)).version
            for found in locked
            if found.name == wanted.name and (found.marker is None or found.marker.evaluate(environment))
        ]
        assert len(versions) == 1, f"{wanted.name}: {versions}"
        assert wanted.specifier.contains(versions[0]), f"{wanted} is locked to {versions[0]}"


def test_every_upper_bound_carries_its_reason():
    for line in requirement_lines("requirements.txt"):
        requirement, _, reason = line.partition("#")
        assert reason.strip() or not re.search(r"<|==", requirement), f"{line}: why not newer?"
