import sys
import types
import zipfile

import pytest

from config import DownloadDataConfig
from utils.data import kaggle
from utils.data.kaggle import download
from utils.errors import InputError

NAME = "severstal-steel-defect-detection"
FILES = {
    "train.csv": b"ImageId,ClassId,EncodedPixels\na.jpg,1,1 2\n",
    "sample_submission.csv": b"ImageId,EncodedPixels,ClassId\nt.jpg,1 1,1\n",
    "train_images/a.jpg": b"a",
    "train_images/b.jpg": b"b",
    "test_images/t.jpg": b"t",
}


@pytest.fixture
def folder(tmp_path):
    """The competition's files in a folder, as one gets them by unpacking the zip file."""
    root = tmp_path / "unpacked"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(path, files=FILES, top="", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as bundle:
        for name, content in files.items():
            bundle.writestr(f"{top}{name}", content)
    return path


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def install(monkeypatch):
    """Let exactly the given modules be installed."""

    def replace(**modules):
        for name in ("kagglehub", "kaggle", "kaggle.api", "kaggle.api.kaggle_api_extended"):
            monkeypatch.setitem(sys.modules, name, modules.get(name.replace(".", "_")))

    return replace


def hub(result=None, error=None):
    def competition_download(handle):
        assert handle == NAME
        if error:
            raise error
        return str(result)

    return types.SimpleNamespace(competition_download=competition_download)


def client(archive=None, error=None, on_authenticate=None):
    """A kaggle package whose download writes the given bytes."""

    class KaggleApi:
        ready = False

        def authenticate(self):
            if on_authenticate:
                raise on_authenticate
            self.ready = True

        def competition_download_files(self, competition, path, quiet):
            assert self.ready
            if error:
                raise error
            zipped(f"{path}/{competition}.zip", archive)

    module = types.SimpleNamespace(KaggleApi=KaggleApi)
    return {"kaggle": module, "kaggle_api": module, "kaggle_api_kaggle_api_extended": module}


class HttpError(OSError):
    """As requests.HTTPError, which both clients raise."""

    def __init__(self, status):
        super().__init__(f"{status} Client Error: for url: https://www.kaggle.com/api")
        self.response = types.SimpleNamespace(status_code=status)


class UnauthenticatedError(Exception):
    """As that of kagglehub."""


class ApiException(Exception):
    """As that of older kaggle clients."""

    def __init__(self, status):
        super().__init__(f"({status})\nReason: Forbidden\nHTTP response headers: ...")
        self.status = status


def test_the_data_is_fetched_by_kagglehub(tmp_path, folder, install):
    install(kagglehub=hub(folder))
    summary = download(DownloadDataConfig(dir=tmp_path / "data"))
    assert contents(tmp_path / "data") == FILES
    assert summary.text().endswith(
        "2 images in train_images/, 1 images in test_images/; train.csv, sample_submission.csv"
    )


def test_the_data_is_fetched_by_the_kaggle_client(tmp_path, install):
    install(**client(FILES))
    download(DownloadDataConfig(dir=tmp_path / "data"))
    assert contents(tmp_path / "data") == FILES


@pytest.mark.parametrize("top", ["", f"{NAME}/", "x/y/"])
def test_a_zip_file_is_taken_by_hand(tmp_path, top, install):
    install()
    archive = zipped(tmp_path / "any name.zip", top=top)
    download(DownloadDataConfig(dir=tmp_path / "data", archive=archive))
    assert contents(tmp_path / "data") == FILES


def test_a_folder_is_taken_by_hand_and_left_as_it_was(tmp_path, folder, install):
    install()
    (folder / "notes.txt").write_text("mine")
    download(DownloadDataConfig(dir=tmp_path / "data", archive=folder))
    assert contents(tmp_path / "data") == FILES
    with open(tmp_path / "data" / "train.csv", "ab") as table:
        table.write(b"b.jpg,1,1 1\n")
    assert contents(folder) == {**FILES, "notes.txt": b"mine"}


def test_a_folder_of_relative_links_gives_the_images_that_they_point_to(tmp_path, folder):
    (folder / "store").mkdir()
    (folder / "train_images" / "a.jpg").rename(folder / "store" / "1.jpg")
    (folder / "train_images" / "a.jpg").symlink_to("../store/1.jpg")
    download(DownloadDataConfig(dir=tmp_path / "elsewhere" / "data", archive=folder))
    assert contents(tmp_path / "elsewhere" / "data") == FILES


def test_a_folder_on_another_disk_is_copied(tmp_path, folder, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(kaggle.os, "link", refuse)
    download(DownloadDataConfig(dir=tmp_path / "data", archive=folder))
    assert contents(tmp_path / "data") == FILES


def test_names_that_point_outside_are_not_followed(tmp_path):
    evil = {
        **FILES,
        "../evil.csv": b"x",
        "train_images/../../evil.jpg": b"x",
        "/evil.jpg": b"x",
        "train_images/.x.jpg": b"",
    }
    download(DownloadDataConfig(dir=tmp_path / "in" / "data", archive=zipped(tmp_path / "a.zip", evil)))
    assert contents(tmp_path / "in") == {f"data/{name}": content for name, content in FILES.items()}


RULES = rf"\(403\) until you accept the rules; open https://www.kaggle.com/c/{NAME}/rules, .* click 'I Understand and Accept'"
CREDENTIALS = (
    r"no Kaggle credentials found; at https://www.kaggle.com/settings click 'Create New Token' .* -archive FILE"
)


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        (
            {},
            r"no Kaggle client is installed; run 'pip install kagglehub' or download .*/data by hand and give -archive",
        ),
        ({"kagglehub": hub(error=HttpError(403))}, RULES),
        (client(error=ApiException(403)), RULES),
        (client(error=HttpError(403)), RULES),
        ({"kagglehub": hub(error=UnauthenticatedError("User is not authenticated"))}, CREDENTIALS),
        (client(on_authenticate=SystemExit(1)), CREDENTIALS),
        ({"kagglehub": hub(error=HttpError(401))}, r"Kaggle refuses the credentials \(401\); at https"),
        (
            {"kagglehub": hub(error=HttpError(404))},
            r"Kaggle has no competition 'severstal.*' \(404\); correct -competition",
        ),
        (
            {"kagglehub": hub(error=ConnectionError("no route"))},
            r"Kaggle cannot be reached \(no route\); check the network or",
        ),
        ({"kagglehub": hub(error=TimeoutError())}, r"Kaggle cannot be reached \(TimeoutError\); check"),
    ],
)
def test_a_refusal_says_what_to_do_in_one_line_and_writes_nothing(tmp_path, install, modules, reason):
    install(**modules)
    with pytest.raises(InputError, match=reason) as caught:
        download(DownloadDataConfig(dir=tmp_path / "data"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_missing_credentials_of_a_client_that_looks_for_them_on_import(tmp_path, monkeypatch):
    def refuse(name):
        if name == "kagglehub":
            raise ImportError
        raise OSError("Could not find kaggle.json.")

    monkeypatch.setattr(kaggle.importlib, "import_module", refuse)
    with pytest.raises(InputError, match=CREDENTIALS):
        download(DownloadDataConfig(dir=tmp_path / "data"))


def cut(archive):
    archive.write_bytes(archive.read_bytes()[:-40])
    return archive


def flip(archive):
    content = bytearray(archive.read_bytes())
    content[content.index(b"a.jpg,1,1 2")] ^= 1
    archive.write_bytes(content)
    return archive


def spoil(archive):
    """Damage the packed data of the first file, behind its header of 30 bytes, its name and the version of LZMA."""
    content = bytearray(archive.read_bytes())
    start = 30 + len("train.csv") + 4
    content[start : start + 20] = b"\xff" * 20
    archive.write_bytes(content)
    return archive


def without(name):
    return {key: content for key, content in FILES.items() if not key.startswith(name)}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: p, r"a.zip: no such file or folder; -archive expects"),
        (lambda p: p.write_bytes(b"x") and p, r"a.zip: not a whole zip file; download it again"),
        (lambda p: cut(zipped(p)), r"a.zip: not a whole zip file"),
        (lambda p: flip(zipped(p)), r"a.zip: not a whole zip file"),
        (lambda p: spoil(zipped(p, compression=zipfile.ZIP_DEFLATED)), r"a.zip: not a whole zip file"),
        (lambda p: spoil(zipped(p, compression=zipfile.ZIP_LZMA)), r"a.zip: not a whole zip file"),
        (lambda p: zipped(p, without("train.csv")), r"a.zip: holds no train.csv"),
        (lambda p: zipped(p, without("train_images")), r"a.zip: holds no images in train_images/"),
    ],
)
def test_a_bad_archive_is_a_named_error_and_nothing_is_written(tmp_path, make, reason):
    archive = make(tmp_path / "a.zip")
    with pytest.raises(InputError, match=reason):
        download(DownloadDataConfig(dir=tmp_path / "data", archive=archive))
    assert not list((tmp_path / "data").rglob("*"))


def test_existing_data_is_not_overwritten(tmp_path, folder):
    with pytest.raises(InputError, match=r"unpacked/train_images: exists already"):
        download(DownloadDataConfig(dir=folder, archive=folder))
