"""Flags made from config.py: where a value comes from, what each wrong one is told, and how a command ends."""

import dataclasses
import errno
import functools
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

import config as configs
from config import (
    RECIPES,
    VERSION,
    CollectConfig,
    ConvertConfig,
    DownloadWeightsConfig,
    EvaluateConfig,
    PackConfig,
    PredictConfig,
    PublishWeightsConfig,
    SelectConfig,
    SynthesiseConfig,
    TrainConfig,
    WatchConfig,
)
from utils.cli import parse, run
from utils.errors import InputError
from utils.settings import FLAG_OF_FIELD, from_plain, given_fields, to_plain

ROOT = Path(__file__).resolve().parent.parent
CONFIG_CLASSES = [kind for name, kind in vars(configs).items() if name.endswith("Config")]


def parsed(kind: type, *words: str):
    return parse(kind, words, "Command.py", "Does something.")


def complaint(kind: type, *words: str) -> str:
    with pytest.raises(InputError) as error:
        parsed(kind, *words)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def yaml_file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "settings.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


# Where a value comes from


def test_without_flags_every_value_is_the_default_or_the_recipe():
    defaults = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    assert dataclasses.asdict(parsed(TrainConfig)) == {**defaults, **RECIPES["balanced-1000"]}


def test_recipe_overrides_defaults_and_flags_override_the_recipe(monkeypatch, yaml_file):
    monkeypatch.setitem(RECIPES, "quick", {"num_epochs": 3, "batch_size": 4, "loss": "bce"})
    quick = parsed(TrainConfig, "-recipe", "quick", "-batch_size", "16")
    assert (quick.recipe, quick.num_epochs, quick.batch_size, quick.loss) == ("quick", 3, 16, "bce")
    named_in_file = parsed(TrainConfig, "-config", yaml_file("recipe: quick\nloss: focal\n"))
    assert (named_in_file.num_epochs, named_in_file.loss) == (3, "focal")


def test_flags_override_the_file_and_the_file_overrides_defaults(yaml_file):
    file = yaml_file("dir: data/strips\nencoder: efficientnet-b3\nnum_epochs: 7\n")
    config = parsed(TrainConfig, "-config", file, "-num_epochs", "9")
    assert (config.dir, config.encoder, config.num_epochs) == (Path("data/strips"), "efficientnet-b3", 9)


@pytest.mark.parametrize(
    ("words", "text", "names"),
    [
        ("", "", set()),
        ("-num_epochs 20 -cache none", "", {"num_epochs", "cache"}),
        ("-recipe muon", "seed: 42", {"recipe", "seed"}),
    ],
)
def test_what_was_given_is_remembered_also_where_it_is_the_default(yaml_file, words, text, names):
    config = parse(TrainConfig, ["-config", yaml_file(text), *words.split()], "Train.py", "")
    assert given_fields(config) == names
    plain = from_plain(TrainConfig, to_plain(config))
    assert (plain, hash(plain)) == (config, hash(config))
    # Of a config that nobody noted anything in: what is not the default.
    assert given_fields(TrainConfig(seed=42, cache="ram")) == {"cache"}


def test_required_flag_may_stand_in_the_file(yaml_file):
    file = yaml_file("dir: out\nfrom: coco\n")
    assert parsed(ConvertConfig, "-config", file).source == "coco"


def test_last_of_repeated_flags_counts():
    assert parsed(TrainConfig, "-seed", "1", "-seed", "2").seed == 2


@pytest.mark.parametrize("nothing", ["", "# only a comment\n"])
def test_empty_file_changes_nothing(yaml_file, nothing):
    assert parsed(TrainConfig, "-config", yaml_file(nothing)) == parsed(TrainConfig)


# Words and what they become


@pytest.mark.parametrize(
    ("kind", "words", "field", "value"),
    [
        (TrainConfig, "-image_size 128,800", "image_size", (128, 800)),
        (TrainConfig, "-image_size native", "image_size", None),
        (TrainConfig, "-image_size none", "image_size", None),
        (TrainConfig, "-crop=256,256", "crop", (256, 256)),
        (TrainConfig, "-num_of_workers auto", "num_of_workers", None),
        (TrainConfig, "-num_of_workers 0", "num_of_workers", 0),
        (TrainConfig, "-encoder_weights none", "encoder_weights", "none"),
        (TrainConfig, "-lr_encoder 3e-4", "lr_encoder", 0.0003),
        (TrainConfig, "-group_duplicates false", "group_duplicates", False),
        (TrainConfig, "-group_duplicates YES", "group_duplicates", True),
        (TrainConfig, "-group_duplicates", "group_duplicates", True),
        (TrainConfig, "-dir ~", "dir", Path.home()),
        (TrainConfig, "-threshold 1", "threshold", 1.0),
        (PredictConfig, "-threshold none", "threshold", None),
        (PredictConfig, "-threshold 0.25", "threshold", 0.25),
        (PredictConfig, "-save overlays,masks", "save", ("overlays", "masks")),
        (PredictConfig, "-out None", "out", None),
        (ConvertConfig, "-from yolo -dir x -class_names pit,long crack", "class_names", ("pit", "long crack")),
        (ConvertConfig, "-from yolo -dir x -link", "link", True),
    ],
)
def test_word_becomes(kind, words, field, value):
    flags = [word.replace("long_crack", "long crack") for word in words.replace("long crack", "long_crack").split()]
    got = getattr(parsed(kind, *flags), field)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("image_size: [128, 800]", "image_size", (128, 800)),
        ("image_size: 128,800", "image_size", (128, 800)),
        ("image_size: null", "image_size", None),
        ("crop:", "crop", None),
        ("lr_encoder: 1e-4", "lr_encoder", 1e-4),
        ("lr_encoder: 1", "lr_encoder", 1.0),
        ("group_duplicates: no", "group_duplicates", False),
        ("num_of_workers: auto", "num_of_workers", None),
        ("encoder_weights: none", "encoder_weights", "none"),
    ],
)
def test_yaml_value_becomes(yaml_file, line, field, value):
    got = getattr(parsed(TrainConfig, "-config", yaml_file(line)), field)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("words", "names", "listed"),
    [
        ("", None, False),
        ("a b", ("a", "b"), False),
        ("a -to x b", ("a", "b"), False),
        ("-to x a b", ("a", "b"), False),
        ("-list", None, True),
        ("-list a", ("a",), True),
        ("-list true a", ("a",), True),
        ("-list=false a", ("a",), False),
        ("-list -verify a", ("a",), True),
    ],
)
def test_words_without_a_flag(words, names, listed):
    config = parsed(DownloadWeightsConfig, *words.split())
    assert (config.names, config.list) == (names, listed)


def test_words_without_a_flag_may_stand_in_the_file(yaml_file):
    assert parsed(DownloadWeightsConfig, "-config", yaml_file("names: [a, b]\n")).names == ("a", "b")


# What is told about wrong ones


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        (TrainConfig, ["-encodr", "resnet18"], "Command.py: no flag -encodr, did you mean -encoder?; -h lists all"),
        (TrainConfig, ["--batch_size", "4"], "no flag --batch_size, did you mean -batch_size?"),
        (TrainConfig, ["-batch-size", "4"], "no flag -batch-size, did you mean -batch_size?"),
        (TrainConfig, ["-help"], "no flag -help"),
        # abbreviations would change their meaning with every new flag
        (TrainConfig, ["-arch", "unet"], "no flag -arch"),
        (TrainConfig, ["-lr", "1e-3"], "no flag -lr, did you mean -lr_encoder or -lr_decoder?"),
        (TrainConfig, ["--lr", "1e-3"], "no flag --lr, did you mean -lr_encoder or -lr_decoder?"),
        (TrainConfig, ["-epochs", "3"], "no flag -epochs, did you mean -num_epochs?"),
        (TrainConfig, ["-num_of_work", "2"], "no flag -num_of_work, did you mean -num_of_workers?"),
        (TrainConfig, ["-zzz"], "no flag -zzz; -h lists all"),
        (TrainConfig, ["data"], "unrecognized arguments: data"),
        (TrainConfig, ["-dir"], "-dir: expected one argument; -h explains"),
        (TrainConfig, ["-dir", ""], "-dir : expected a value"),
        (TrainConfig, ["-dir", "~nobody-of-that-name"], "no such user"),
        (TrainConfig, ["-batch_size", "many"], "-batch_size many: expected a whole number"),
        (TrainConfig, ["-batch_size", "2.5"], "-batch_size 2.5: expected a whole number"),
        (TrainConfig, ["-batch_size", "0"], "-batch_size 0: expected 1 or more"),
        (TrainConfig, ["-seed", "-1"], "-seed -1: expected 0 to 2147483647"),
        (TrainConfig, ["-num_of_workers", "lots"], "-num_of_workers lots: expected a whole number or auto"),
        (TrainConfig, ["-lr_encoder", "fast"], "-lr_encoder fast: expected a number"),
        (TrainConfig, ["-lr_encoder", "nan"], "-lr_encoder nan: expected a number"),
        (TrainConfig, ["-lr_encoder", "inf"], "-lr_encoder inf: expected a number"),
        (TrainConfig, ["-threshold", "1.01"], "-threshold 1.01: expected 0 to 1"),
        (TrainConfig, ["-group_duplicates", "maybe"], "-group_duplicates maybe: expected true or false"),
        (TrainConfig, ["-image_size", "256"], "-image_size 256: expected two positive whole numbers H,W or native"),
        (TrainConfig, ["-image_size", "256x768"], "-image_size 256x768: expected two positive whole numbers"),
        (TrainConfig, ["-image_size", "256,768,3"], "expected two positive whole numbers"),
        (TrainConfig, ["-image_size", "256,,768"], "expected two positive whole numbers"),
        (TrainConfig, ["-image_size", "0,768"], "expected two positive whole numbers"),
        (TrainConfig, ["-image_size", "256,-768"], "expected two positive whole numbers"),
        (TrainConfig, ["-image_size", "256,99999999999"], "a side has at most 32767 pixels"),
        (TrainConfig, ["-seed", "9" * 30], ": expected 0 to 2147483647"),
        (TrainConfig, ["-loss", "dice-bce"], "choose from dice_bce, bce"),
        (TrainConfig, ["-loss", "tversk"], "did you mean tversky?"),
        (TrainConfig, ["-recipe", "mine"], "-recipe mine: no such recipe; choose from balanced-1000"),
        (ConvertConfig, ["-from", "voc", "-dir", "x"], "-from voc: choose from index-masks, colour-masks, coco"),
        (ConvertConfig, ["-from", "coco"], "Command.py: missing -dir; -h explains"),
        (ConvertConfig, [], "Command.py: missing -from -dir;"),
        (ConvertConfig, ["-class_names", "a,,b"], "-class_names a,,b: expected names between the commas"),
        (DownloadWeightsConfig, ["a", "-verfy"], "no flag -verfy, did you mean -verify?"),
        (PublishWeightsConfig, ["-data", "x"], "Command.py: missing -name; -h explains every flag"),
        (PublishWeightsConfig, ["a", "b"], "Command.py: unrecognized arguments: b"),
        (EvaluateConfig, ["-threshold", "low"], "-threshold low: expected a number or none"),
    ],
)
def test_wrong_words_are_explained(kind, words, message):
    assert message in complaint(kind, *words)


def test_native_is_offered_only_where_it_is_allowed():
    assert complaint(SynthesiseConfig, "-dir", "x", "-image_size", "native").endswith("whole numbers H,W")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("encodr: resnet18", "no setting encodr, did you mean encoder?"),
        ("config: other.yaml", "no setting config"),
        ("batch_size: many", "-batch_size many: expected a whole number"),
        ("batch_size: -3", "-batch_size -3: expected 1 or more"),
        ("batch_size:", "-batch_size None: expected a value"),
        ("encoder: [resnet18, resnet34]", "expected one value"),
        ("encoder: {name: resnet18}", "expected one value"),
        ("- encoder", "expected lines of the form flag: value"),
        ("just words", "expected lines of the form flag: value"),
        ("encoder: [resnet18", "not a YAML file"),
        ("encoder: " + "[" * 500, "lists within lists, hundreds deep"),
        ("encoder: 2020-13-45", "not a YAML file"),
        ("encoder: !!python/object:os.system x", "not a YAML file"),
    ],
)
def test_wrong_lines_of_the_file_are_explained(yaml_file, text, message):
    assert message in complaint(TrainConfig, "-config", yaml_file(text))


def test_misspelt_from_is_told_by_its_flag(yaml_file):
    assert "did you mean from?" in complaint(ConvertConfig, "-config", yaml_file("frm: coco"))


def test_file_that_cannot_be_read_is_named(tmp_path):
    assert complaint(TrainConfig, "-config", f"{tmp_path}/none.yaml").endswith("none.yaml: No such file or directory")
    assert "Is a directory" in complaint(TrainConfig, "-config", str(tmp_path))
    binary = tmp_path / "weights.pth"
    binary.write_bytes(b"\x80\x02\xff")
    assert "weights.pth: not a YAML file" in complaint(TrainConfig, "-config", str(binary))


# Settings stored in run folders and weights files


@pytest.mark.parametrize("kind", CONFIG_CLASSES)
def test_stored_settings_come_back_equal(kind):
    words = {
        CollectConfig: ["-review", "kept"],
        PackConfig: ["-out", "packed"],
        SelectConfig: ["-images", "new", "-weights_dir", "weights"],
        ConvertConfig: ["-from", "coco", "-class_names", "a,b", "-link"],
        DownloadWeightsConfig: ["net-a", "net-b", "-list"],
        WatchConfig: ["-source", "folder://frames", "-sinks", "csv://events"],
        PublishWeightsConfig: ["runs/first", "-name", "net", "-data", "strips, all"],
    }.get(kind, [])
    where = ["-dir", "data/strips"] if "dir" in {field.name for field in dataclasses.fields(kind)} else []
    config = parsed(kind, *where, *words)
    through_yaml = yaml.safe_load(yaml.safe_dump(to_plain(config)))
    assert from_plain(kind, through_yaml) == config


def test_stored_settings_are_a_file_for_config(yaml_file):
    words = ["-image_size", "native", "-num_of_workers", "auto", "-lr_encoder", "1e-5", "-crop", "64,64", "-dir", "d"]
    config = parsed(TrainConfig, *words)
    assert parsed(TrainConfig, "-config", yaml_file(yaml.safe_dump(to_plain(config)))) == config


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"encodr": "x"}, "stored settings: no setting encodr, did you mean encoder?"),
        ({"batch_size": 0}, "-batch_size 0: expected 1 or more"),
    ],
)
def test_damaged_stored_settings_are_refused(plain, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        from_plain(TrainConfig, plain)


# Help and version


@pytest.mark.parametrize("kind", CONFIG_CLASSES)
def test_version_is_printed_whatever_is_missing(kind, capsys):
    with pytest.raises(SystemExit) as stop:
        parsed(kind, "-version")
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"steel-defects {VERSION}\n"


def test_help_shows_groups_under_their_headings(capsys):
    with pytest.raises(SystemExit):
        parsed(PredictConfig, "-h")
    shown = capsys.readouterr().out
    places = [shown.index(f"\n{heading}:\n") for heading in ("options", "weights", "decision", "machine")]
    assert places == sorted(places)
    assert places[0] < shown.index("\n  -images ") < places[1] < shown.index("\n  -weights ") < places[2]
    assert places[3] < shown.index("\n  -backend ")


@pytest.mark.parametrize("kind", CONFIG_CLASSES)
def test_help_explains_every_flag_with_its_default(kind, capsys):
    with pytest.raises(SystemExit) as stop:
        parsed(kind, "-h")
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(kind):
        flag = f"-{FLAG_OF_FIELD.get(field.name, field.name)}"
        word = field.name.removesuffix("s").upper() if field.metadata["positional"] else flag
        assert f" {word} " in shown.replace("[", " ").replace("]", " ").replace("...", " ")
        assert " ".join(field.metadata["help"].split()) in shown
    assert "%%" not in shown


def test_help_needs_no_heavy_library():
    code = "import sys, config, utils.cli; print(*sorted(sys.modules))"
    before = os.times()
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    after = os.times()
    heavy = {"torch", "cv2", "numpy", "pandas", "albumentations", "segmentation_models_pytorch", "yaml"}
    assert not heavy & set(answer.stdout.split())
    # Processor time, so that a busy machine does not fail the test.
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 1.0


# How a command ends


def command(body: str) -> list[str]:
    """An entry point whose ``main`` has this body."""
    source = "import errno, os, sys, time\nfrom pathlib import Path\nfrom utils.cli import run\n"
    source += "from utils.errors import InputError\nfrom utils.files import replacing\n"
    source += "def main(argv):\n" + textwrap.indent(textwrap.dedent(body), "    ") + "\nrun(main)\n"
    return [sys.executable, "-c", source]


NO_SPACE = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("return 0", 0, ""),
        ("return 3", 3, ""),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(4)", 4, ""),
        ("raise InputError('train.csv: row 7: start 0, must be 1 or more')", 2, "error: train.csv: row 7: start 0"),
        ("raise InputError('a.png: broken:\\nlibrary text')", 2, "error: a.png: broken: library text"),
        ("open('nowhere/train.csv')", 2, "error: nowhere/train.csv: No such file or directory"),
        ("raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))", 2, f"error: {NO_SPACE}; free some space or write"),
        ("raise OSError('no route')", 2, "error: no route"),
        (
            "bytearray(2**62)",
            2,
            "error: not enough memory; take a smaller -batch_size or -image_size, predict in tiles (-tile 512,512)",
        ),
        ("raise RuntimeError('CUDA error:\\nout of memory')", 2, "error: not enough memory; take a smaller"),
        ("raise BrokenPipeError(errno.EPIPE, 'Broken pipe')", 2, "error: Broken pipe"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("raise KeyboardInterrupt('go on with: -resume x')", 130, "interrupted: go on with: -resume x"),
    ],
)
def test_exit_code_and_one_line(body, code, said):
    ended = subprocess.run(command(body), cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == code
    assert ended.stderr.startswith(said)
    assert len(ended.stderr.splitlines()) == bool(said)
    assert ended.stdout.strip() == ""


def test_letters_that_the_terminal_lacks_are_printed_as_their_code():
    body = "print('\u94a2.png: L\\udcf6cher')\nraise InputError('\u94a2.png: empty file')"
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    ended = subprocess.run(command(body), cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stdout) == (2, "\\u94a2.png: L\\udcf6cher\n")
    assert ended.stderr == "error: \\u94a2.png: empty file\n"


def test_bug_of_ours_keeps_its_traceback():
    ended = subprocess.run(command("return [][0]"), cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "IndexError" in ended.stderr


def test_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    """A limit on the size of files stands for the full disk: the write fails in the middle."""
    path = tmp_path / "history.csv"
    path.write_text("old")
    body = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with replacing(Path({str(path)!r})) as temporary:
            temporary.write_bytes(bytes(5000))
    """
    ended = subprocess.run(command(body), cwd=ROOT, capture_output=True, text=True)
    remedy = "allow larger files (ulimit -f) or write to another disk"
    assert (ended.returncode, ended.stderr) == (2, f"error: {path}: {os.strerror(errno.EFBIG)}; {remedy}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["history.csv"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_interrupts_and_leaves_no_half_file(tmp_path, number):
    body = f"""
        with replacing(Path({str(tmp_path / "best.pth")!r})) as temporary:
            temporary.write_bytes(b"half")
            print("writing", flush=True)
            time.sleep(60)
    """
    # What a shell starts behind & inherits that SIGINT is ignored, and so would the process here.
    heeded = functools.partial(signal.signal, number, signal.SIG_DFL)
    with subprocess.Popen(
        command(body), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeded
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", ["print('x' * 1_000_000)\nreturn 0", "print('x')\nreturn 0"])
def test_reader_that_closes_the_pipe_ends_it_quietly(body):
    with subprocess.Popen(command(body), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 2


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_environment_says_otherwise(monkeypatch, given, expected):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    with pytest.raises(SystemExit) as end:
        run(lambda argv: print(os.environ["OMP_WAIT_POLICY"]) or 0)
    assert end.value.code == 0
    assert os.environ["OMP_WAIT_POLICY"] == expected
    assert ("GOMP_SPINCOUNT" in os.environ) == (given is None)


def test_entry_points_decide_how_threads_wait_before_torch_is_imported():
    code = "import sys, utils.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit it")
@pytest.mark.parametrize(
    ("limit", "program", "code", "said"),
    [
        (
            3_000_000_000,
            "__import__('torch')",
            2,
            "error: not enough memory: torch does not start within 3.0 GB; allow more (ulimit -v unlimited)\n",
        ),
        (3_000_000_000, "0", 0, ""),  # what needs no torch goes on
        (
            3_000_000_000,
            "(_ for _ in ()).throw(SystemError('error return without exception set'))",
            2,
            "error: not enough",
        ),
        (None, "0", 0, ""),
    ],
)
def test_a_limit_of_memory_that_torch_crashes_in_is_one_line(monkeypatch, limit, program, code, said):
    text = f"import utils.cli as cli; cli._room_for_torch = lambda: cli.ROOM_FOR_TORCH; cli.run(lambda argv: {program})"

    def limited():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run([sys.executable, "-c", text], preexec_fn=limited, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)
