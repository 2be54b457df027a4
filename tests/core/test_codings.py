"""What comes compressed, though nobody asked for it: decoded or refused, in pieces of any size."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.codings import MAX_CODINGS, PIECE_BYTES, Decoder, decoded
from smallest_proto.commands import AbortRequest
from smallest_proto.config import Endpoint, FileTranscriptionConfig
from smallest_proto.errors import FailureKind
from smallest_proto.http.exchange import _TABLE, ExchangeFailed, Input, State
from smallest_proto.http.files import FileTranscription
from smallest_proto.refusals import MAX_REFUSAL_BYTES, no_answer, refusal

BODY = json.dumps({"error": "this language is not known", "pad": "x" * 300}).encode()


def raw(body: bytes) -> bytes:
    """deflate as some servers have it: without zlib's header."""
    made = zlib.compressobj(wbits=-15)
    return made.compress(body) + made.flush()


def halves(body: bytes) -> bytes:
    """gzip in two members."""
    return gzip.compress(body[: len(body) // 2]) + gzip.compress(body[len(body) // 2 :])


Compress = Callable[[bytes], bytes]
CODINGS: dict[str, tuple[str, Compress]] = {
    "gzip": ("gzip", gzip.compress),
    "its old name, in capitals": ("X-GZIP", gzip.compress),
    "members": ("gzip", halves),
    "deflate": ("deflate", zlib.compress),
    "deflate without a header": ("deflate", raw),
    "one on top of the other": ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    "identity": ("identity", bytes),
    "none": ("", bytes),
}
EACH = pytest.mark.parametrize(("named", "compress"), CODINGS.values(), ids=CODINGS)


def read(decoder: Decoder, data: bytes, cuts: list[int]) -> bytes:
    at = [0, *sorted(min(one, len(data)) for one in cuts), len(data)]
    return b"".join(piece for start, end in itertools.pairwise(at) for piece in decoder.feed(data[start:end]))


@EACH
@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_is_read_in_any_pieces(named: str, compress: Compress, body: bytes, cuts: list[int]) -> None:
    decoder = Decoder([("Content-Encoding", named)] if named else [])
    assert read(decoder, compress(body), cuts) == body
    assert decoder.end() is None


@pytest.mark.parametrize(
    "named", ["br", "zstd", "compress", "gzip, br", ", ".join(["gzip"] * (MAX_CODINGS + 1)), "\x1b[2J"]
)
def test_what_is_not_decoded_is_refused_by_its_name(named: str) -> None:
    decoder = Decoder([("content-encoding", named)])
    assert list(decoder.feed(gzip.compress(BODY))) == []
    failure = decoder.end()
    assert failure is not None
    assert failure.kind is FailureKind.PROTOCOL
    assert failure.final
    assert failure.reason.isprintable()
    assert "came compressed (" in failure.reason


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(BODY)[:-9] + b"\0" * 9], ids=["none", "a wrong sum"])
def test_what_is_damaged_is_said(body: bytes) -> None:
    decoder = Decoder([("content-encoding", "gzip")])
    list(decoder.feed(body))
    assert decoder.failure is not None
    assert "damaged" in decoder.failure.reason
    assert list(decoder.feed(gzip.compress(BODY))) == []


@pytest.mark.parametrize(("named", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_what_is_cut_short_is_said(named: str, compress: Compress) -> None:
    decoder = Decoder([("content-encoding", named)])
    assert BODY.startswith(read(decoder, compress(BODY)[:-5], []))
    failure = decoder.end()
    assert failure is not None
    assert failure.kind is FailureKind.DISCONNECTED  # it can be tried again


@pytest.mark.parametrize("named", ["gzip", "gzip, gzip"])
def test_a_bomb_comes_in_small_pieces(named: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    if named != "gzip":
        bomb = gzip.compress(bomb)
    pieces = list(itertools.islice(Decoder([("content-encoding", named)]).feed(bomb), 20))
    assert len(pieces) == 20
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert len(decoded([("content-encoding", named)], bomb, 1000)) == 1000


@EACH
def test_the_words_of_a_refusal_are_read(named: str, compress: Compress) -> None:
    failure = refusal(400, (("Content-Encoding", named),) if named else (), compress(BODY))
    assert failure.detail == "this language is not known"
    cut = refusal(400, (("Content-Encoding", named),) if named else (), compress(BODY)[:-2])
    assert cut.status == 400


def test_a_page_that_cannot_be_read_is_no_detail() -> None:
    assert refusal(502, [("Content-Encoding", "br")], b"\x0b\x02\x80").detail is None
    bomb = gzip.compress(b"x" * 50_000_000)
    assert len(refusal(502, [("Content-Encoding", "gzip")], bomb).detail or "") <= MAX_REFUSAL_BYTES


def test_what_was_decoded_already_is_not_decoded_again() -> None:
    assert no_answer(200, [("Content-Encoding", "gzip")], BODY, "it is odd").detail == "this language is not known"


@pytest.mark.parametrize(("coding", "body"), [("br", b""), ("gzip", b"no gzip at all")])
def test_what_cannot_be_read_is_dropped(coding: str, body: bytes) -> None:
    assert [cell for cell in _TABLE if cell[1] is Input.DAMAGED] == [(State.ANSWERED, Input.DAMAGED)]
    exchange = FileTranscription(FileTranscriptionConfig(), Endpoint(api_key="k"), audio=b"RIFF")
    exchange.start(0.0)
    exchange.response_started(200, (("content-encoding", coding),), 1.0)
    if body:
        exchange.body_received(body, 2.0)
    _, aborted, failed = (exchange.poll_output() for _ in range(3))
    assert isinstance(aborted, AbortRequest)
    assert isinstance(failed, ExchangeFailed)
    assert exchange.ended
