"""What a request claims by a proxy's headers is believed of the proxies that were named, and of nobody else."""

import pytest

from config import ServeConfig
from utils.errors import InputError
from utils.web.proxies import Proxies, below, read_root
from utils.web.security import Policy

EVIL = [
    (b"x-forwarded-host", b"evil.example"),
    (b"x-forwarded-prefix", b"/evil"),
    (b"x-forwarded-server", b"evil.example"),
    (b"x-forwarded-port", b"1"),
    (b"forwarded", b"host=evil.example;proto=https"),
    (b"x-original-url", b"/evil"),
    (b"x-rewrite-url", b"/evil"),
    (b"x-host", b"evil.example"),
    (b"x-real-ip", b"1.2.3.4"),
    (b"x-forwarded-for", b"1.2.3.4"),
]


def scope(client: str | None, *headers: tuple[bytes, bytes]) -> dict:
    whole = [(b"host", b"127.0.0.1:7860"), *headers]
    return {"client": client and (client, 50_000), "scheme": "http", "path": "/", "headers": whole}


@pytest.mark.parametrize("client", ["10.0.0.9", "::1", "testclient", None])
@pytest.mark.parametrize("words", [(), ("10.0.0.5", "10.0.1.0/24")])
def test_claims_of_anybody_are_left_out(client, words):
    read = Proxies(words).read(scope(client, *EVIL, (b"x-other", b"stays")))
    assert read == scope(client, (b"x-other", b"stays"))


@pytest.mark.parametrize(
    ("value", "kept"), [(b"https", b"https"), (b"http", b"http"), (b"a, HTTPS", b"https"), (b"javascript", None)]
)
def test_the_claim_of_https_is_harmless_and_stays(value, kept):
    read = Proxies(()).read(scope("10.0.0.9", (b"x-forwarded-proto", value)))
    assert dict(read["headers"]).get(b"x-forwarded-proto") == kept
    assert read["scheme"] == "http"


@pytest.mark.parametrize("client", ["10.0.0.5", "10.0.1.77"])
def test_a_named_proxy_is_believed(client):
    claims = [
        (b"x-forwarded-host", b"evil.example, strips.example.com"),  # the last one is the proxy's own
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-for", b"1.2.3.4, 192.168.3.4"),
    ]
    read = Proxies(("10.0.0.5", "10.0.1.0/24")).read(scope(client, *claims))
    assert dict(read["headers"]) == {b"host": b"strips.example.com", b"x-forwarded-proto": b"https"}
    assert (read["scheme"], read["client"][0]) == ("https", "192.168.3.4")


def test_an_origin_is_compared_with_the_name_that_the_proxy_was_asked_by():
    policy = Policy(ServeConfig(host="0.0.0.0", insecure=True, proxies=("10.0.0.5",)))
    claims = [(b"origin", b"https://strips.example.com"), (b"x-forwarded-host", b"strips.example.com")]
    read = policy.proxies.read(scope("10.0.0.5", *claims))
    policy.check("POST", "/api/v1/inspect", dict(read["headers"]))


@pytest.mark.parametrize("word", ["10.0.0", "10.0.0.0/33", "proxy.example.com", "*", ""])
def test_what_is_no_address_is_refused(word):
    with pytest.raises(InputError, match=r"^-proxies .*: expected an address as 10\.0\.0\.5 or a network"):
        Policy(ServeConfig(proxies=(word,)))


@pytest.mark.parametrize(
    ("word", "root"), [(None, ""), ("/", ""), ("/steel", "/steel"), ("/steel/", "/steel"), ("/a/b-1", "/a/b-1")]
)
def test_root_is_a_path(word, root):
    assert read_root(word) == root


@pytest.mark.parametrize("word", ["steel", "//evil", "/a/../b", "/a b", "http://x/", "/a?b", "/.hidden"])
def test_what_is_no_path_is_refused(word):
    with pytest.raises(InputError, match="-root_path"):
        read_root(word)


@pytest.mark.parametrize(
    ("path", "inside"),
    [("/steel/api", "/api"), ("/steel/", "/"), ("/steel", "/"), ("/api", "/api"), ("/steelworks", "/steelworks")],
)
def test_paths_below_the_root_are_those_of_the_server(path, inside):
    read = below({"path": path, "raw_path": path.encode(), "headers": []}, "/steel")
    assert (read["path"], read["raw_path"]) == (inside, inside.encode())
