"""Download_weights.py against servers that misbehave: the right bytes under their name, or one line and no such file."""

import gzip
import hashlib
import json
import math
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import Download_weights
from config import DownloadWeightsConfig
from tests.weights.misbehaving_server import (
    CONTENT,
    Site,
    bomb,
    certificate,
    cut_after,
    endless,
    entry,
    good,
    no_ranges,
    range_refused,
    redirect,
    running,
    server_context,
    silent,
    slow,
    slow_head,
    status,
    trickle,
    without_length,
    write_index,
    wrong_range,
)
from utils.commands import download_weights as downloading
from utils.commands.download_weights import download_weights
from utils.errors import InputError
from utils.weights import http as web
from utils.weights.transfer import local_path, whole_address

WRONG = bytes(len(CONTENT))


def offer(site: Site, folder: Path, **more) -> DownloadWeightsConfig:
    """Put a file on the server and an index of it on the disk; give the settings that fetch it."""
    listed = entry(**more)
    listed = entry(urls=(f"{site.address}/{listed.file}",), **more)
    site.files[f"/{listed.file}"] = CONTENT
    return DownloadWeightsConfig(index=write_index(folder / "list", listed), to=folder / "to")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def refusal(config: DownloadWeightsConfig) -> str:
    with pytest.raises(InputError) as error:
        download_weights(config)
    assert "\n" not in str(error.value)
    assert not [name for name in files(config.to) if name.endswith(".pth")], "no file gets its name before its check"
    return str(error.value)


# Faults that pass


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [slow],
        [cut_after(100_000)],
        [cut_after(100_000), *[cut_after(20_000)] * 6],
        [cut_after(100_000), no_ranges],
        [cut_after(100_000), range_refused],
        [cut_after(100_000), wrong_range],
        [cut_after(0)],
        [status(500)],
        [status(503, Retry_After=0), status(429), status(502)],
        [cut_after(100_000), status(500)],
        [silent],
        [without_length(CONTENT)],
        [without_length(CONTENT[:1000])],
        [redirect],
    ],
    ids=lambda faults: "-".join(getattr(fault, "__qualname__", "").split(".")[0] for fault in faults) or "none",
)
def test_the_right_bytes_arrive_in_spite_of(site, tmp_path, monkeypatch, faults):
    monkeypatch.setattr(web, "TIMEOUTS", (5.0, 0.3))
    config = offer(site, tmp_path)
    site.faults = list(faults)
    result = download_weights(config)
    assert result.states == {"unet-resnet18-a": "fetched"}
    assert files(config.to) == {entry().file: CONTENT}
    assert not site.faults, "every fault was met"


def test_an_interrupted_download_goes_on_where_it_broke_off(site, tmp_path):
    config = offer(site, tmp_path)
    config.to.mkdir()
    (config.to / f"{entry().file}.part").write_bytes(CONTENT[:123_456])
    download_weights(config)
    assert [asked for _, asked in site.asked] == ["bytes=123456-"]
    assert files(config.to) == {entry().file: CONTENT}


def test_a_part_of_something_else_is_fetched_anew(site, tmp_path):
    config = offer(site, tmp_path)
    config.to.mkdir()
    for wrong in (WRONG[:5000], WRONG, WRONG + b"more"):
        (config.to / f"{entry().file}.part").write_bytes(wrong)
        (config.to / entry().file).unlink(missing_ok=True)
        download_weights(config)
        assert files(config.to) == {entry().file: CONTENT}


@pytest.mark.parametrize("damaged", [WRONG, CONTENT[:-1], CONTENT + b"x", b""])
def test_a_damaged_file_is_fetched_again_and_a_whole_one_is_not(site, tmp_path, damaged):
    config = offer(site, tmp_path)
    config.to.mkdir()
    (config.to / entry().file).write_bytes(damaged)
    assert download_weights(config).states == {"unet-resnet18-a": "fetched"}
    assert download_weights(config).states == {"unet-resnet18-a": "whole"}
    assert len(site.asked) == 1


def test_two_programs_that_fetch_the_same_file_do_not_harm_each_other(site, tmp_path, capsys):
    config = offer(site, tmp_path)
    begun = threading.Event()

    def signal_and_serve(handler):
        begun.set()
        slow(handler)

    site.faults = [signal_and_serve]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(download_weights, config)
        assert begun.wait(10)
        second = download_weights(config)
        assert set(first.result().states.values()) == set(second.states.values()) == {"fetched"}
    assert len(site.asked) == 1
    assert list(files(config.to).values()) == [CONTENT]
    assert "another program is fetching it" in capsys.readouterr().err


def test_the_second_address_is_taken_when_the_first_fails(site, tmp_path):
    listed = entry(urls=(f"{site.address}/gone.pth", f"{site.address}/there.pth"))
    site.files["/there.pth"] = CONTENT
    download_weights(DownloadWeightsConfig(index=write_index(tmp_path / "list", listed), to=tmp_path / "to"))
    assert files(tmp_path / "to") == {listed.file: CONTENT}


# Faults that stay


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([status(404)], r"not fetched; localhost:\d+: has no such file \(404\): http://localhost:\d+/.*\.pth; correct"),
        ([status(403)], r"refuses \(403\)"),
        ([status(500)] * 5, "the server answers 500 Internal Server Error$"),
        (
            [cut_after(20_000)] + [cut_after(0)] * 4,
            "the connection was cut; what came so far is kept, run the command again to go on",
        ),
        ([redirect] * 11, "sends from one address to the next in a circle"),
        ([without_length(CONTENT + b"more")], "sends more than the 300000 bytes that the index promises"),
        ([status(204)], "answers 204"),
        ([status(302, Location="ftp://localhost/x")], "not an address that files can be fetched from"),
    ],
)
def test_what_stays_wrong_is_one_line(site, tmp_path, faults, message):
    config = offer(site, tmp_path)
    site.faults = list(faults)
    with pytest.raises(InputError, match=message) as error:
        download_weights(config)
    assert "\n" not in str(error.value)
    assert entry().file not in files(config.to)
    assert not site.faults


def test_wrong_bytes_are_refused_and_removed(site, tmp_path):
    config = offer(site, tmp_path)
    site.files = dict.fromkeys(site.files, WRONG)
    assert refusal(config).endswith("is not the file that the index means (the sha256 differs); take another -index")
    assert files(config.to) == {}
    assert len(site.asked) == 1, "nothing says that a second download would be any better"


def test_another_length_is_refused_before_it_is_fetched(site, tmp_path):
    config = offer(site, tmp_path)
    site.files = dict.fromkeys(site.files, CONTENT * 3)
    assert "its file has 900000 bytes where the index promises 300000" in refusal(config)
    assert files(config.to) == {}


def test_silence_is_not_waited_for_for_ever(site, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "TIMEOUTS", (5.0, 0.1))
    monkeypatch.setattr(web, "WAITS", (0.0,))
    config = offer(site, tmp_path)
    site.faults = [silent, silent, silent]
    assert "no answer for 0.1 seconds; check the network connection" in refusal(config)


@pytest.mark.parametrize(
    ("fault", "setting", "said"),
    [
        (trickle, ("WINDOW", 0.2), r"sends \d+ bytes a second, which takes for ever; what came so far is kept, run .*"),
        (slow_head, ("HEAD_TIMEOUT", 0.2), "no answer within 0.2 seconds; take another -index"),
    ],
)
def test_what_comes_byte_by_byte_is_not_followed_for_ever(site, tmp_path, monkeypatch, fault, setting, said):
    monkeypatch.setattr(web, *setting)
    config = offer(site, tmp_path)
    site.faults = [fault]
    assert re.search(rf"localhost:\d+: {said}$", refusal(config))


@pytest.mark.parametrize("fault", [endless, bomb])
def test_an_index_without_end_is_not_read_to_its_end(site, tmp_path, fault):
    site.faults = [fault]
    config = DownloadWeightsConfig(index=f"{site.address}/index.json", to=tmp_path / "to")
    assert refusal(config).endswith("sends more than 16 MB, which is no index of weights; correct the address")


def test_an_index_that_is_packed_as_nobody_asked_is_read(site, tmp_path):
    listed = entry(urls=("x",))
    content = Path(write_index(tmp_path, listed)).read_bytes()

    def packed(handler):
        handler.head(200, Content_Length=len(gzip.compress(content)), Content_Encoding="gzip")
        handler.wfile.write(gzip.compress(content))

    site.faults = [packed]
    assert downloading.find_index(f"{site.address}/index.json").entries == (listed,)


@pytest.mark.parametrize("secret", ["user:secret@", "secret@", "user:se@cret@"])
def test_no_line_shows_what_is_secret_in_an_address(site, tmp_path, secret):
    address = f"{site.address.replace('//', f'//{secret}')}"
    for word in (f"{address}/index.json?token=secret", f"{address}/a b", f"ftp://{secret}localhost/x"):
        assert "secret" not in refusal(DownloadWeightsConfig(index=word, to=tmp_path / "to"))
    listed = entry(urls=(f"{address}/{entry().file}?token=secret",))
    config = DownloadWeightsConfig(index=write_index(tmp_path / "list", listed), to=tmp_path / "to")
    assert "secret" not in refusal(config)
    site.files[f"/{entry().file}?token=secret"] = WRONG
    assert "secret" not in refusal(config)


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_part_that_is_a_link_is_not_written_through(site, tmp_path, scheme):
    config = offer(site, tmp_path)
    if scheme == "file":
        (tmp_path / "list" / entry().file).write_bytes(CONTENT)
        config = DownloadWeightsConfig(index=write_index(tmp_path / "list", entry()), to=tmp_path / "to")
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    config.to.mkdir()
    (config.to / f"{entry().file}.part").symlink_to(mine)
    download_weights(config)
    assert mine.read_bytes() == b"mine"
    assert files(config.to) == {entry().file: CONTENT}
    assert not (config.to / entry().file).is_symlink()


def test_letters_that_a_terminal_obeys_are_shown_as_codes(tmp_path, capsys):
    listed = entry("net", scores={"valid": {"data": "\x1b[2Jsteel\u202e\nx", "mean_dice": 0.5}})
    index = write_index(tmp_path, listed)
    code, said = command(capsys, "-list", "-index", index, "-to", tmp_path / "to")
    assert code == 0
    assert "\x1b" not in said
    assert r"\x1b[2Jsteel\u202e\nx" in said


def test_no_network(tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    listed = entry(urls=("https://weights.example.org/a.pth",))
    config = DownloadWeightsConfig(index=write_index(tmp_path / "list", listed), to=tmp_path / "to")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert refusal(config) == (
        "unet-resnet18-a: not fetched; weights.example.org: this name is not known here; check the network connection or"
        " the address"
    )


def test_nobody_listens(tmp_path):
    with running(Site()) as gone:
        address = gone.address
    listed = entry(urls=(f"{address}/a.pth",))
    config = DownloadWeightsConfig(index=write_index(tmp_path / "list", listed), to=tmp_path / "to")
    assert "cannot be reached; check the network connection" in refusal(config)


@pytest.mark.parametrize(
    ("days", "name", "trusted", "message"),
    [
        (-1, "localhost", True, "its certificate has expired; check the date of this computer"),
        (1, "localhost", False, "signed by nobody that this computer trusts; .*REQUESTS_CA_BUNDLE"),
        (1, "elsewhere", True, "its certificate is for another name"),
        (99.5, "localhost", True, None),
        (150, "localhost", True, "not valid yet"),
    ],
)
def test_certificates(tmp_path, monkeypatch, days, name, trusted, message):
    pem = certificate(tmp_path, days, name)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    with running(Site(server_context(pem))) as site:
        config = offer(site, tmp_path)
        if message is None:
            download_weights(config)
            assert files(config.to) == {entry().file: CONTENT}
        else:
            with pytest.raises(InputError, match=f"^unet-resnet18-a: not fetched; localhost:.*{message}"):
                download_weights(config)
            assert files(config.to) == {}


# The disk


def test_a_disk_that_is_too_small_is_told_before(site, tmp_path, monkeypatch):
    config = offer(site, tmp_path)
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    assert "unet-resnet18-a needs 0.3 MB and 0.0 MB are free; free some space, or name another" in refusal(config)
    assert not site.asked


def test_a_disk_that_fills_up_names_the_file_and_keeps_nothing(site, tmp_path, small_disk):
    config = offer(site, tmp_path)
    with small_disk(), pytest.raises(OSError) as error:  # noqa: PT011 - its file is checked below
        download_weights(config)
    assert error.value.filename == str(config.to / entry().file)
    assert files(config.to) == {}


# Which index, which names


@pytest.fixture
def two(tmp_path) -> DownloadWeightsConfig:
    """Return the settings for an index with two files beside it, of which b is the default."""
    first, second = entry("net-a", b"aa"), entry("net-b", b"bbb")
    index = write_index(tmp_path / "list", first, second, default="net-b")
    (tmp_path / "list" / first.file).write_bytes(b"aa")
    (tmp_path / "list" / second.file).write_bytes(b"bbb")
    return DownloadWeightsConfig(index=index, to=tmp_path / "to")


def fetched(config: DownloadWeightsConfig, *names: str) -> list[str]:
    return sorted(download_weights(DownloadWeightsConfig(index=config.index, to=config.to, names=names or None)).states)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ["net-b"]),
        (("net-a",), ["net-a"]),
        (("net-a", "net-b", "net-a"), ["net-a", "net-b"]),
        (("all",), ["net-a", "net-b"]),
        ((Path(entry("net-a", b"aa").file).stem,), ["net-a"]),
        ((entry("net-a", b"aa").file,), ["net-a"]),
    ],
)
def test_names_with_and_without_digits(two, names, expected):
    assert fetched(two, *names) == expected
    assert len(files(two.to)) == len(expected)


def test_an_unknown_name_is_told_with_the_nearest(two):
    with pytest.raises(
        InputError, match=r"^net-c: no such weights, did you mean net-[ab]\?; the index has net-a, net-b"
    ):
        fetched(two, "net-c")
    assert not two.to.exists()


def test_the_index_may_be_a_folder_an_address_or_stand_in_the_environment(two, site, tmp_path, monkeypatch):
    folder = Path(str(two.index)).parent
    for path in folder.iterdir():
        site.files[f"/some/where/{path.name}"] = path.read_bytes()
    places = [folder, folder.as_uri() + "/index.json", f"{site.address}/some/where/index.json"]
    for number, place in enumerate(places):
        monkeypatch.setenv("STEEL_WEIGHTS_INDEX", str(place))
        to = tmp_path / str(number)
        assert sorted(download_weights(DownloadWeightsConfig(to=to, names=("all",))).states) == ["net-a", "net-b"]
        assert sorted(files(to).values()) == [b"aa", b"bbb"]


@pytest.mark.parametrize(
    ("word", "address"),
    [
        ("hf://me/steel", "hf://me/steel/index.json"),
        ("hf://me/steel@v1", "hf://me/steel@v1/index.json"),
        ("https://huggingface.co/me/steel", "hf://me/steel/index.json"),
        ("https://huggingface.co/me/steel/", "hf://me/steel/index.json"),
        ("https://huggingface.co/me/steel/tree/v1", "hf://me/steel@v1/index.json"),
        ("https://huggingface.co/me/steel/resolve/main/sub/index.json", "hf://me/steel@main/sub/index.json"),
        ("https://example.org/index.json", "https://example.org/index.json"),
    ],
)
def test_hub_pages_are_hub_addresses(word, address):
    assert whole_address(word) == address


def spoilt(**changes) -> str:
    plain = {"format": "steel-defect-segmentation weights index", "version": 1, "default": "net", "weights": []}
    listed = {**entry("net").to_dict(), **changes.pop("weights", {})}
    return json.dumps({**plain, "weights": [listed], **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged index"),
        ("[]", "not an index of weights"),
        ("{}", "not an index of weights"),
        (spoilt(version=2), "format version 2, this program reads 1; update the program"),
        (spoilt(default="other"), "damaged index of weights .*'other' is none of its names"),
        (spoilt(weights={"file": "../net-12345678.pth"}), "is no plain file name"),
        (spoilt(weights={"name": "a/b"}), "is no plain file name"),
        (spoilt(weights={"sha256": "12"}), "not 64 hex digits"),
        (spoilt(weights={"file": "net-00000000.pth"}), "net-00000000.pth should be net-"),
        (spoilt(weights={"urls": []}), "no size or no address"),
        (spoilt(weights={"urls": ["../secret"]}), "leads out of the folder of the index"),
        (spoilt(weights={"size": 0}), "no size or no address"),
        (spoilt(weights={"urls": "x"}), "urls is no list"),
        ("\udcff", "damaged index"),
        (spoilt(weights={"size": math.inf}), "size of net is no whole number"),
        (spoilt(weights={"size": "12"}), "size of net is no whole number"),
        (spoilt(weights={"scores": {"valid": {"mean_dice": "x"}}}), "scores valid mean_dice is 'x', expected a number"),
        (spoilt(weights={"scores": {"valid": {"mean_dice": math.nan}}}), "mean_dice is nan, expected a number"),
        (spoilt(weights={"scores": {"valid": {"classes": {"a": {"iou": []}}}}}), "scores valid classes a iou is"),
        (spoilt(weights={"scores": {"valid": 0.5}}), "scores of net are no entries by name"),
        (spoilt(weights={"scores": [1]}), "scores is .*, expected entries by name"),
        (spoilt(weights={"scores": {"test": {"data": 3}}}), "scores test data is 3, expected text"),
        (spoilt(weights={"speed": {"images_per_second": "fast"}}), "images_per_second is 'fast', expected a number"),
        (spoilt(weights={"speed": {"images_per_second": 3.0}}), "speed of net lacks a figure"),
        (spoilt(weights={"training": {"command": ["x"]}}), "training command is .*, expected text"),
        (spoilt(weights={"storage": 16}), "storage is missing"),
    ],
)
def test_a_bad_index_is_refused(tmp_path, text, message):
    (tmp_path / "index.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=f"index.json: .*{message}") as error:
        download_weights(DownloadWeightsConfig(index=str(tmp_path / "index.json"), to=tmp_path / "to"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("word", ["https://[::1/index.json", "http://a..b/index.json"])
def test_an_address_that_cannot_be_one_is_one_line(tmp_path, word):
    assert refusal(DownloadWeightsConfig(index=word, to=tmp_path / "to")).endswith("is no address; correct it")


@pytest.mark.parametrize(
    ("address", "path"),
    [("file:///a%20b/c", "/a b/c"), ("file://localhost/a/c", "/a/c"), ("file://server/share/c", "//server/share/c")],
)
def test_a_network_share_keeps_its_server(address, path):
    assert local_path(address) == Path(path)


def test_an_index_that_is_not_there(site, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json: no such index"):
        download_weights(DownloadWeightsConfig(index=str(tmp_path / "nowhere.json")))
    with pytest.raises(InputError, match=r"^-index http://localhost.*has no such file \(404\)"):
        download_weights(DownloadWeightsConfig(index=f"{site.address}/index.json"))
    with pytest.raises(InputError, match="expected https://, file:// or hf://"):
        download_weights(DownloadWeightsConfig(index="ftp://example.org/index.json"))


# The Hugging Face hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Stand in for the hub with a folder; gives it and what was asked for."""
    import huggingface_hub

    asked = []

    def fetch(repository, file, revision=None, force_download=False):
        asked.append((repository, file, revision, force_download))
        path = tmp_path / "cache" / file
        if not path.exists() or force_download:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes((tmp_path / "hub" / file).read_bytes())
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    listed = entry()
    write_index(tmp_path / "hub", listed)
    (tmp_path / "hub" / listed.file).write_bytes(CONTENT)
    return tmp_path, asked


def test_an_index_and_its_files_come_from_the_hub(hub):
    folder, asked = hub
    download_weights(DownloadWeightsConfig(index="hf://me/steel@v1", to=folder / "to"))
    assert files(folder / "to") == {entry().file: CONTENT}
    assert asked == [("me/steel", "index.json", "v1", False), ("me/steel", entry().file, "v1", False)]


def test_a_damaged_file_in_the_cache_of_the_hub_is_fetched_again(hub):
    folder, asked = hub
    (folder / "cache").mkdir()
    (folder / "cache" / entry().file).write_bytes(WRONG)
    download_weights(DownloadWeightsConfig(index="hf://me/steel", to=folder / "to"))
    assert files(folder / "to") == {entry().file: CONTENT}
    assert asked[-1] == ("me/steel", entry().file, None, True)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("LocalEntryNotFoundError", "the hub cannot be reached; check the network connection"),
        ("RepositoryNotFoundError", "no such repository, or a private one"),
        ("RevisionNotFoundError", "no such repository"),
        ("EntryNotFoundError", "the repository has no index.json"),
        ("HFValidationError", "not a name that the hub can have"),
        ("OfflineModeIsEnabled", "the hub refuses .OfflineModeIsEnabled"),
    ],
)
def test_what_the_hub_refuses_is_one_line(tmp_path, monkeypatch, kind, message):
    import huggingface_hub

    def refuse(*_, **__):
        error = getattr(huggingface_hub.errors, kind)
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(InputError, match=f"^-index hf://me/steel: hf://me/steel: {message}"):
        download_weights(DownloadWeightsConfig(index="hf://me/steel", to=tmp_path / "to"))


# Listing and verifying


def command(capsys, *words: object) -> tuple[int, str]:
    code = Download_weights.main([str(word) for word in words])
    printed = capsys.readouterr()
    assert printed.err == "", "no terminal, no progress bar"
    return code, printed.out


def test_list_shows_what_there_is_and_fetches_nothing(tmp_path, capsys):
    scores = {"valid": {"data": "validation", "mean_dice": 0.5}, "test": {"data": "test images", "mean_dice": 0.91234}}
    index = write_index(tmp_path / "list", entry("net-a", b"aa", scores=scores), entry("net-b", b"b"))
    (tmp_path / "list" / entry("net-b", b"b").file).write_bytes(b"b")
    code, printed = command(capsys, "-list", "-index", index, "-to", tmp_path / "list")
    head, first, second = printed.splitlines()
    assert (code, head.split()[:3]) == (0, ["name", "MB", "task"])
    assert "net-a (default)" in first
    assert "0.9123" in first
    assert "test images" in first
    assert first.endswith("not here")
    assert second.endswith("here")
    assert not second.endswith("not here")


def test_an_empty_index_says_so(tmp_path, capsys):
    index = write_index(tmp_path / "list")
    code, printed = command(capsys, "-list", "-index", index)
    assert (code, "lists no weights yet" in printed) == (0, True)
    with pytest.raises(InputError, match="lists no weights yet; name another list with -index, or train"):
        Download_weights.main(["-index", index])


def test_verify_tells_whole_from_damaged_and_changes_nothing(two, capsys):
    words = ["-verify", "-index", two.index, "-to", two.to]
    with pytest.raises(InputError, match="none of the index's files is in"):
        Download_weights.main([str(word) for word in words])
    fetched(two, "net-a")
    assert command(capsys, *words)[0] == 0
    fetched(two, "all")
    damaged = two.to / entry("net-b", b"bbb").file
    damaged.write_bytes(b"bxb")
    code, printed = command(capsys, *words)
    assert code == 2
    assert f"{damaged}: damaged; fetch it: python Download_weights.py net-b" in printed
    assert "whole" in printed
    assert damaged.read_bytes() == b"bxb"
    damaged.unlink()
    assert command(capsys, *words)[0] == 0, "what nobody asked for may be missing"
    code, printed = command(capsys, "-verify", "net-b", *words[1:])
    assert (code, "not here" in printed) == (2, True)


def test_fetching_prints_where_the_file_is(two, capsys):
    code, printed = command(capsys, "net-a", "-index", two.index, "-to", two.to)
    assert (code, printed.strip()) == (0, f"{two.to / entry('net-a', b'aa').file}: fetched")


def test_to_may_not_be_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=f"^-to {tmp_path}/file: is a file; name a folder"):
        download_weights(DownloadWeightsConfig(to=tmp_path / "file"))


def test_a_file_that_is_missing_beside_its_own_index_is_told_so(tmp_path):
    index = write_index(tmp_path, entry())
    with pytest.raises(
        InputError, match="is missing or damaged, and comes with the repository; get it back by 'git checkout"
    ):
        download_weights(DownloadWeightsConfig(index=index, to=tmp_path))


def test_nothing_is_left_when_the_server_is_fine(site, tmp_path):
    site.faults = [good]
    config = offer(site, tmp_path)
    download_weights(config)
    assert [path.name for path in config.to.iterdir()] == [entry().file]


# The 8-bit network that comes with weights


def with_int8(folder: Path, **changed) -> DownloadWeightsConfig:
    """Publish a weights file with an 8-bit network in a folder; give the settings that fetch both."""
    listed = entry(urls=(entry().file,))
    packed = {"file": f"{listed.file[:-4]}-int8.zip", "sha256": hashlib.sha256(b"eight").hexdigest(), "size": 5}
    listed = entry(urls=(listed.file,), int8={**packed, **changed})
    index = write_index(folder / "list", listed)
    (folder / "list" / listed.file).write_bytes(CONTENT)
    (folder / "list" / packed["file"]).write_bytes(b"eight")
    return DownloadWeightsConfig(index=index, to=folder / "to")


def test_the_8_bit_network_comes_with_the_weights(tmp_path):
    config = with_int8(tmp_path)
    sibling = f"{entry().file[:-4]}-int8.zip"
    assert download_weights(config).states == {"unet-resnet18-a": "fetched"}
    assert files(config.to) == {entry().file: CONTENT, sibling: b"eight"}
    assert download_weights(config).states == {"unet-resnet18-a": "whole"}
    (config.to / sibling).unlink()
    assert download_weights(replace(config, verify=True)).whole  # it need not be there
    assert download_weights(config).states == {"unet-resnet18-a": "fetched"}
    (config.to / sibling).write_bytes(b"wrong")
    assert download_weights(replace(config, verify=True)).states == {"unet-resnet18-a": "damaged"}
    assert f"{len(CONTENT) / 1e6:.1f} + 0.0" in download_weights(replace(config, list=True)).text()


def test_weights_come_without_an_8_bit_network_that_is_gone(tmp_path, capsys):
    config = with_int8(tmp_path)
    (tmp_path / "list" / f"{entry().file[:-4]}-int8.zip").unlink()
    assert download_weights(config).states == {"unet-resnet18-a": "fetched"}
    assert files(config.to) == {entry().file: CONTENT}
    assert "in 8-bit integers: not fetched" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changed", [{"file": "../x-int8.zip"}, {"sha256": "0"}, {"size": 0}, {"size": True}, {"size": None}]
)
def test_an_index_with_a_bad_8_bit_file_is_damaged(tmp_path, changed):
    with pytest.raises(ValueError, match=r"8-bit file|sha256|has no size"):
        with_int8(tmp_path, **changed)
