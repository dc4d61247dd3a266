"""Which weights file of a folder is meant, and what is said when none is."""

import json
from pathlib import Path

import pytest

from tests.weights.misbehaving_server import entry, write_index
from utils.errors import InputError
from utils.files import replacing
from utils.weights import finding
from utils.weights.finding import find, list_weights
from utils.weights.run_files import FOLDS

A, B, C = entry("net-a", b"a"), entry("net-b", b"b"), entry("net-c", b"c")
OTHER_A = "net-a-00000000.pth"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder whose index lists net-a, net-b (the default) and net-c; the program's own index is empty."""
    write_index(tmp_path / "weights", A, B, C, default="net-b")
    own = Path(write_index(tmp_path / "own"))
    monkeypatch.setattr(finding, "OWN_INDEX", own)
    return tmp_path / "weights"


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("there", "name", "chosen"),
    [
        ([A.file, B.file, C.file], None, B.file),
        ([A.file], None, A.file),
        ([B.file, "mine.pth"], None, B.file),
        ([A.file, B.file], "net-a", A.file),
        ([A.file, B.file], A.file, A.file),
        ([A.file, B.file], Path(A.file).stem, A.file),
        ([A.file, OTHER_A], "net-a", A.file),
        ([A.file, OTHER_A], Path(OTHER_A).stem, OTHER_A),
        (["mine-1234abcd.pth", B.file], "mine", "mine-1234abcd.pth"),
        (["mine.pth", "mine-1234abcd.pth"], "mine", "mine.pth"),
    ],
)
def test_the_file_that_is_meant(folder, there, name, chosen):
    put(folder, *there)
    assert find(folder, name) == folder / chosen
    assert find(folder / chosen, name) == folder / chosen


def test_several_stand_between_commas_where_nothing_has_the_whole_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert finding.named(Path("a.pth, runs/b,~/c")) == [Path("a.pth"), Path("runs/b"), Path.home() / "c"]
    (tmp_path / "with,comma").mkdir()
    assert finding.named(Path("with,comma")) == [Path("with,comma")]
    assert len(finding.named(Path(",".join(["a" * 100] * 5)))) == 5, "longer than a name of a file may be"
    for words in ("a,", ",a", "a,,b"):
        with pytest.raises(InputError, match="expected weights files or run folders between the commas"):
            finding.named(Path(words))
    with pytest.raises(InputError, match="-weights x: -weights_dir names 2 networks; leave one of the two out"):
        finding.open_weights(Path("a,b"), "x")


def test_a_file_and_the_name_of_another_contradict_each_other(folder):
    put(folder, A.file, B.file)
    with pytest.raises(
        InputError, match=rf"-weights net-b: -weights_dir is the file .*{A.file}; leave one of the two out"
    ):
        find(folder / A.file, "net-b")


@pytest.mark.parametrize(
    ("there", "name", "message"),
    [
        ([], None, r"no \.pth file in it; fetch it: python Download_weights\.py -to .*weights, or give a weights file"),
        ([], "net-c", r"no \.pth file in it; fetch it: python Download_weights\.py net-c -to .*weights, or give"),
        (
            [B.file],
            "net-c",
            r"-weights net-c: not in .*, which has net-b-\w+; fetch it: python Download_weights\.py net-c",
        ),
        ([B.file], "net-d", r"-weights net-d: not in .*, which has net-b-\w{8}$"),
        (
            ["mine-1234abcd.pth", "mine-1234abce.pth"],
            "mine",
            r"-weights mine: not in .*, which has mine-1234abcd, mine-",
        ),
        ([A.file, C.file], None, r"holds several weights files, choose with -weights from net-a-\w+, net-c-\w+$"),
    ],
)
def test_what_is_said_when_none_is_meant(folder, there, name, message):
    put(folder, *there)
    with pytest.raises(InputError, match=message) as error:
        find(folder, name)
    assert "\n" not in str(error.value)


def test_the_usual_folder_needs_no_to(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(InputError, match=r"fetch it: python Download_weights\.py net-c, or"):
        find(Path("weights"), "net-c")


def test_a_folder_without_an_index_offers_what_the_program_lists(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "OWN_INDEX", folder / "index.json")
    (tmp_path / "mine").mkdir()
    put(tmp_path / "mine", A.file, "b.pth")
    assert find(tmp_path / "mine", "net-a").name == A.file
    with pytest.raises(InputError, match=r"fetch it: python Download_weights\.py net-c -to "):
        find(tmp_path / "mine", "net-c")
    with pytest.raises(InputError, match="several"):
        find(tmp_path / "mine")


@pytest.mark.parametrize("own", ["nowhere.json", "index.json"])
def test_a_program_without_an_index_still_finds_files(folder, tmp_path, monkeypatch, own):
    (tmp_path / "index.json").write_text("{")
    monkeypatch.setattr(finding, "OWN_INDEX", tmp_path / own)
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match=r"no \.pth file in it; give a weights file"):
        find(tmp_path / "run")
    put(tmp_path / "run", "a.pth")
    assert find(tmp_path / "run").name == "a.pth"


def test_a_damaged_index_of_the_folder_is_told(folder):
    (folder / "index.json").write_text(json.dumps({"format": "other"}))
    put(folder, A.file)
    with pytest.raises(InputError, match=r"index\.json: not an index of weights"):
        find(folder)


def test_half_a_file_that_a_kill_may_leave_is_none(tmp_path):
    with replacing(tmp_path / "mine.pth") as temporary:
        temporary.write_bytes(b"half")
        assert list_weights(tmp_path) == []
    assert list_weights(tmp_path) == [tmp_path / "mine.pth"]


def test_the_default_folder_is_found_from_any_working_directory(tmp_path, monkeypatch):
    own = Path(write_index(tmp_path / "program" / "weights", A))
    put(own.parent, A.file)
    monkeypatch.setattr(finding, "OWN_INDEX", own)
    monkeypatch.chdir(tmp_path)
    assert find(Path("weights")) == own.parent / A.file
    assert find(Path("weights"), "net-a") == own.parent / A.file
    with pytest.raises(InputError, match="-weights_dir other: no such file or folder"):
        find(Path("other"))
    Path("weights").mkdir()  # one's own comes first
    put(Path("weights"), "mine.pth")
    assert find(Path("weights")) == Path("weights/mine.pth")


def test_a_run_of_folds_stands_for_its_networks(tmp_path):
    folds = [tmp_path / "run" / f"fold-{number}" for number in (1, 2, 10)]
    for fold in folds:
        fold.mkdir(parents=True)
    (tmp_path / "run" / FOLDS).write_text("image,fold\n")
    put(folds[0], "a.pth")
    put(folds[1], "a.pth")
    with pytest.raises(InputError, match=r"run: fold-10 not trained yet; go on with: python Train.py -resume \S+run$"):
        finding.named(tmp_path / "run")
    put(folds[2], "a.pth")
    assert finding.named(tmp_path / "run") == folds
    assert finding.named(Path(f"other.pth,{tmp_path / 'run'}")) == [Path("other.pth"), *folds]
