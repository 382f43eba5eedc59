"""Parts of a service: frames, tokens, addresses, and what may answer."""

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.flows.ops.serve import opener
from fingerpost.flows.ops.serve.following import Pointers
from fingerpost.flows.ops.serve.frames import Frames, packed, received
from fingerpost.flows.ops.serve.options import accepted, check_address, tokens_of
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.store import Store
from tests.support.commands import refused
from tests.support.served_glossaries import glossary, pointer, store_with
from tests.toy.contracts import GLOSSARY

FRAMES = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.binary(max_size=50)), max_size=8)


@given(FRAMES, st.lists(st.integers(1, 40), max_size=60))
def test_frames_come_out_as_they_went_in_whatever_the_pieces(
    frames: list[tuple[int, int, bytes]], pieces: list[int]
) -> None:
    data, found, read = b"".join(packed(*frame) for frame in frames), [], Frames()
    for size in [*pieces, len(data)]:
        found += read.fed(data[:size])
        data = data[size:]
    assert found == frames


def test_a_connection_that_ends_within_a_frame_has_no_further_one() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(packed(7, 3, b"body") + packed(8, 3, b"body")[:-1])
        ours.close()
        assert received(theirs) == (7, 3, b"body")
        assert received(theirs) is None


def test_an_opener_whose_service_ends_meanwhile_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener.signal, "signal", lambda *_: None)
    ours, theirs = socket.socketpair()
    asked = {"store": str(tmp_path), "products": {}, "workers": 1, "limits": {}}
    ours.sendall(json.dumps(asked).encode() + b"\n")
    ours.close()
    opener.main(theirs.detach())


def test_a_token_is_one_of_the_lines_of_a_file_or_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "first-token-of-two", "second-token-of-two"
    file = tmp_path / "tokens"
    file.write_text(f"{first}\n\n  {second} \n")
    tokens = tokens_of(file)
    for token in (first, second):
        assert accepted(f"Bearer {token}".encode(), tokens)
        assert token.encode() not in b"".join(tokens)
    for header in (b"", b"Bearer", first.encode(), f"Basic {first}".encode(), f"Bearer {first}{second}".encode()):
        assert not accepted(header, tokens)
    assert not accepted(b"Bearer ", ())
    monkeypatch.delenv("FINGERPOST_TOKEN", raising=False)
    assert tokens_of(None) == ()
    monkeypatch.setenv("FINGERPOST_TOKEN", second)
    assert accepted(f"Bearer {second}".encode(), tokens_of(None))
    for bad in ("short", "with a blank in the middle", "with-ünicode-in-the-token", "with\x07control-in-it"):
        monkeypatch.setenv("FINGERPOST_TOKEN", bad)
        with pytest.raises(FingerpostError, match="not shown") as problem:
            tokens_of(None)
        assert bad not in str(problem.value)
    file.write_text("\n")
    with pytest.raises(FingerpostError, match="found none"):
        tokens_of(file)
    with pytest.raises(FingerpostError, match="got the name of none") as problem:
        tokens_of(Path(first))
    assert first not in str(problem.value)
    with pytest.raises(FingerpostError, match="Is a directory"):
        tokens_of(tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "::1", "[::1]", "localhost"])
def test_an_address_of_this_machine_alone_needs_no_token(host: str) -> None:
    check_address(host, ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.org"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(FingerpostError, match="--host: expected a token"):
        check_address(host, ())
    check_address(host, (b"digest",))


def test_versions_that_lost_something_that_was_forgotten_are_gone(tmp_path: Path) -> None:
    store, (first, second) = store_with(tmp_path, 1, 2)
    look = Pointers(store, "words", [GLOSSARY.name, "toy.other"])
    pointer(store).promote(second, gates=[])
    live, problem = look.look()
    assert (live[GLOSSARY.name].ref, live[GLOSSARY.name].gone, problem) == (str(second), frozenset(), "")
    rebuilt = glossary(store, 3)
    pointer(store).forget({str(second): str(rebuilt)}, {str(first): "its input is gone"}, reason="asked to")
    now = look.look()[0][GLOSSARY.name]
    assert (now.ref, now.gone, now.generation) == (str(rebuilt), {str(first), str(second)}, 3)
    # A pointer that cannot be read leaves its product as it was.
    move = Path(store.url) / ".published" / "words" / GLOSSARY.name / "00000003.json"
    move.write_text("{")
    live, problem = look.look()
    assert live[GLOSSARY.name] == now
    assert "publication" in problem


def test_wrong_usage_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINGERPOST_TOKEN", raising=False)
    Store(str(tmp_path / ".fingerpost")).prepare()
    assert "expected a token" in refused("serve", "--host", "0.0.0.0", cwd=tmp_path, code=2)
    assert "--product: expected one of ann.index" in refused(
        "serve", "--product", "corpus.vectors", cwd=tmp_path, code=2
    )
    nothing = refused("serve", "--port", "0", cwd=tmp_path, code=1)
    assert "expected something published to serve" in nothing
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}" in refused("serve", "--port", port, cwd=tmp_path, code=1)
