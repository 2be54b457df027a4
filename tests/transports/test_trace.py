"""A trace holds every input of a session, and no more than it may; replayed, the session puts out the same."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smallest_proto import SynthesisSession, TranscriptionSession
from smallest_proto.commands import OpenLink, SendBinary, SendRequest
from smallest_proto.config import (
    Endpoint,
    FileTranscriptionConfig,
    RetryPolicy,
    SynthesisConfig,
    Timeouts,
    TranscriptionConfig,
)
from smallest_proto.errors import ConfigurationError, LocalProtocolError, RemoteError
from smallest_proto.events import LinkOpened
from smallest_proto.http.exchange import ExchangeFailed
from smallest_proto.http.files import FileTranscript, FileTranscription
from smallest_proto.http.synthesis import Synthesis
from smallest_proto.http.voices import VoiceList
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_proto.synthesis.events import AudioChunk, SegmentDone, SpeechFinished, WordSpoken
from smallest_proto.transcription.events import FinalTranscript
from smallest_transports import pictures
from smallest_transports._trace import Replay, Trace, TracedSession, decoded
from smallest_transports.asyncio import Client
from smallest_transports.local.server import LocalServer
from smallest_transports.memory import replay
from smallest_transports.testing.conformance.drivers import KEY

SPEECH = coded_speech([101, 102, 0.8, 103, 104, 105, 1.0])
CONFIG = TranscriptionConfig(keywords=("Blackwell", ("Jensen Huang", 2)))


@pytest.fixture
def run() -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
    """One driver is enough here."""
    return lambda test: asyncio.run(test())


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the sessions of a test put out."""
    outputs: list[Any] = []

    def watched(kind: Any) -> Callable[[Any], Any]:
        plain = kind.poll_output

        def poll_output(session: Any) -> Any:
            if (output := plain(session)) is not None:
                outputs.append(output)
            return output

        return poll_output

    for kind in (TranscriptionSession, SynthesisSession, FileTranscription, Synthesis, VoiceList):
        monkeypatch.setattr(kind, "poll_output", watched(kind))
    return outputs


def client(url: str, **options: Any) -> Client:
    retry = RetryPolicy(first_delay=0.01, longest_retry_after=0)
    return Client(
        **{"api_key": KEY, "base_url": url, "retry": retry, "timeouts": Timeouts(message_interval=0), **options}
    )


def server(*faults: str) -> LocalServer:
    return LocalServer(recogniser=CodedRecogniser, synthesiser=CodedSynthesiser, faults=faults, max_live=8)


def without_key(output: Any) -> Any:
    """A replayed session has another key."""
    if isinstance(output, SendRequest):
        return (output.request.full_url, output.request.body)
    return (output.link, output.request.url, output.request.query) if isinstance(output, OpenLink) else output


def replayed(path: Path, told: list[Any], number: int = 0) -> list[Any]:
    before = len(told)
    outputs = [output for _, output in replay(path, number)]
    del told[before:]
    return outputs


async def hear(url: str, **options: Any) -> None:
    async with client(url, **options) as open_client, open_client.stream_transcription(CONFIG) as stream:
        await stream.send_audio(SPEECH.pcm[: len(SPEECH.pcm) // 2])
        with pytest.raises(LocalProtocolError):
            await stream.send_audio("no audio")  # type: ignore[arg-type]
        await stream.update(msgspec.structs.replace(CONFIG, numerals=True))
        await stream.send_audio(memoryview(SPEECH.pcm)[len(SPEECH.pcm) // 2 :])
        await stream.finalize()
        await stream.end_input()
        async for _ in stream:
            pass


async def speak(url: str, **options: Any) -> None:
    config = SynthesisConfig(sample_rate=16000, word_timestamps=True)
    async with (
        client(url, **options) as open_client,
        open_client.stream_synthesis(config, resume=True) as stream,
    ):
        await stream.send_text("w101 w102 w10")
        await stream.send_text("3. w104 w105.")
        await stream.end_input()
        async for _ in stream:
            pass


FAULTS = [(), ("drop@0.4", "refuse:503", "garbage"), ("error@0.3", "no-last")]
LIVES = pytest.mark.parametrize(("live", "faults"), [*((hear, f) for f in FAULTS), (speak, ()), (speak, ("drop@0.4",))])


@LIVES
async def test_with_all_that_was_said_the_outputs_are_the_same(
    tmp_path: Path, told: list[Any], live: Any, faults: tuple[str, ...]
) -> None:
    path = tmp_path / "calls.jsonl"
    async with server(*faults) as local:
        await live(local.base_url, trace=path, trace_private=True)
    assert any(isinstance(output, (FinalTranscript, WordSpoken)) for output in told)
    assert sum(isinstance(output, OpenLink) for output in told) > len(faults)
    assert list(map(without_key, replayed(path, told))) == list(map(without_key, told))
    assert KEY not in path.read_text()


@LIVES
async def test_without_what_was_said_the_same_happens(
    tmp_path: Path, told: list[Any], live: Any, faults: tuple[str, ...]
) -> None:
    path = tmp_path / "calls.jsonl"
    async with server(*faults) as local:
        await live(local.base_url, trace=path)
    again = replayed(path, told)
    assert list(map(type, again)) == list(map(type, told))
    for output, before in zip(again, told, strict=True):
        if isinstance(before, FinalTranscript):
            assert (output.start, output.end, len(output.words)) == (before.start, before.end, len(before.words))
        if isinstance(before, SendBinary):
            assert len(output.data) == len(before.data)
            assert output.data != before.data or not any(before.data), "how loud it was is all that is left of it"
    written = path.read_text()
    for private in (KEY, "w10", "Blackwell", "Huang"):
        assert private not in written


WHOLE_TEXT = "w101 w102. " + "w103 w104 w105, " * 20 + "w106."


def wav(pcm: bytes) -> bytes:
    size = len(pcm)
    form = struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size) + pcm


async def hear_file(open_client: Client) -> None:
    config = FileTranscriptionConfig(word_timestamps=True, keywords=("Blackwell",))
    assert "w101" in (await open_client.transcribe(wav(SPEECH.pcm), config)).text


async def hear_nothing(open_client: Client) -> None:
    with pytest.raises(RemoteError):
        await open_client.transcribe(b"RIFF, and no WAV at all: Blackwell")


async def hear_url(open_client: Client) -> None:
    with pytest.raises(RemoteError):  # this server fetches nothing
        await open_client.transcribe(url="https://Blackwell.example:8443/w101.wav?w102=1")


async def list_voices(open_client: Client) -> None:
    assert await open_client.voices("lightning-v3.1")


def speak_whole(form: str, *, sse: bool = False) -> Any:
    async def speak_it(open_client: Client) -> None:
        config = SynthesisConfig(output_format=form, sample_rate=16000)  # type: ignore[arg-type]
        assert await open_client.synthesize(WHOLE_TEXT, config, sse=sse).read()

    return speak_it


EXCHANGES = {
    "file": (hear_file, ()),
    "file, after a refusal": (hear_file, ("refuse:503",)),
    "no file": (hear_nothing, ()),
    "url": (hear_url, ()),
    "voices": (list_voices, ()),
    **{form: (speak_whole(form), ()) for form in ("pcm", "ulaw", "wav", "mp3")},
    "events": (speak_whole("pcm", sse=True), ()),
    "events, after a refusal": (speak_whole("pcm", sse=True), ("refuse:503",)),
}


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize(("exchange", "faults"), EXCHANGES.values(), ids=EXCHANGES)
async def test_an_exchange_is_in_it_too(
    tmp_path: Path, told: list[Any], exchange: Any, faults: tuple[str, ...], private: bool
) -> None:
    path = tmp_path / "calls.jsonl"
    async with server(*faults) as local, client(local.base_url, trace=path, trace_private=private) as open_client:
        await exchange(open_client)
    assert any(isinstance(output, SendRequest) for output in told)
    assert pictures.read_file(path) == (), "there is no call to draw"
    again = replayed(path, told)
    assert list(map(type, again)) == list(map(type, told))
    if private:
        assert list(map(without_key, again)) == list(map(without_key, told))
    for output, before in zip(again, told, strict=True):
        if isinstance(before, AudioChunk):
            assert len(output.data) == len(before.data)
            assert private or output.data != before.data or not any(before.data)
        if isinstance(before, FileTranscript):
            assert (output.duration, len(output.words)) == (before.duration, len(before.words))
        if isinstance(before, SpeechFinished):
            assert output == before
        if isinstance(before, ExchangeFailed):
            assert (output.failure.status, output.failure.reason) == (before.failure.status, before.failure.reason)
    written = path.read_text()
    assert KEY not in written
    if not private:
        assert not [said for said in ("w10", "Blackwell", "RIFF, and") if said in written]


@pytest.mark.parametrize("damage", ["", "cut", "spoilt", "unknown"])
def test_an_answer_that_came_compressed_is_replayed_as_such(damage: str) -> None:
    lines: list[bytes] = []
    jitter = lambda: 0.5  # noqa: E731
    endpoint = Endpoint(api_key=KEY)
    options = {"audio": b"some", "audio_url": None, "retry": RetryPolicy(max_retries=0)}
    exchange, traced = Trace(lines.append, private=False).make(
        FileTranscription, FileTranscriptionConfig(), endpoint, jitter, **options
    )
    body = gzip.compress(b'{"transcription": "said in private", "duration": 2.5}')
    body = {"cut": body[:-9], "spoilt": body[:20] + b"\0" * 30}.get(damage, body)
    coding = "br" if damage == "unknown" else "gzip"
    happens: list[tuple[Any, ...]] = [
        ("start",),
        ("response_started", 200, (("Content-Encoding", coding), ("Content-Type", "application/json"))),
        *(("body_received", body[at : at + 7]) for at in range(0, len(body), 7)),
        ("response_ended",),
    ]
    for at, (name, *args) in enumerate(happens):
        traced.note(name, tuple(args), float(at))
        getattr(exchange, name)(*args, float(at))
    outcomes = list(iter(exchange.poll_output, None))
    recorded = Replay([json.loads(line) for line in lines])
    again = recorded.make()
    for name, args, at in recorded.told:
        getattr(again, name)(*args, at)
    replayed_outcomes = list(iter(again.poll_output, None))
    assert [type(output) for output in replayed_outcomes] == [type(output) for output in outcomes]
    if damage:
        assert replayed_outcomes[-1] == outcomes[-1]
    else:
        assert (replayed_outcomes[-1].text, replayed_outcomes[-1].duration) == ("xxxx xx xxxxxxx", 2.5)


def test_what_cannot_be_made_leaves_no_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with pytest.raises(ConfigurationError):
        client("http://127.0.0.1:1", trace=path).synthesize("...")
    assert not path.exists() or not path.read_text()


async def test_sessions_are_told_apart(tmp_path: Path, told: list[Any]) -> None:
    path = tmp_path / "calls.jsonl"
    async with server() as local:
        await hear(local.base_url, trace=path)
        await speak(local.base_url, trace=path)
    ears, mouth = replayed(path, told), replayed(path, told, 1)
    assert [*map(type, ears), *map(type, mouth)] == list(map(type, told))
    assert any(isinstance(output, SegmentDone) for output in mouth)
    with pytest.raises(ValueError, match=r"holds 2 sessions"):
        replay(path, 2)


async def test_a_failure_becomes_a_test(tmp_path: Path, told: list[Any]) -> None:
    path = tmp_path / "calls.jsonl"
    async with server("refuse:401") as local:
        with pytest.raises(RemoteError):
            await speak(local.base_url, trace=path)
    again = replayed(path, told)[-1]
    assert (again.reason, again.failure.status) == (told[-1].reason, 401)
    assert not any(isinstance(output, LinkOpened) for output in told)


async def test_what_cannot_be_written_is_told_before_the_call(tmp_path: Path) -> None:
    async with server() as local:
        with pytest.raises(FileNotFoundError):
            await hear(local.base_url, trace=tmp_path / "no such folder" / "calls.jsonl")


def test_a_disk_that_is_full_ends_no_call() -> None:
    lines: list[bytes] = []

    def append(line: bytes) -> None:
        if len(lines) == 2:
            raise OSError(28, "No space left on device")
        lines.append(line)

    traced = TracedSession(append, "a", private=False)
    for at in range(5):
        traced.note("finalize", (), float(at))
    assert [json.loads(line)["at"] for line in lines] == [0.0, 1.0]


@pytest.mark.parametrize("text", ["", "no json\n", "[]\n", '{"session": "a", "told": "start", "args": [], "at": 1}\n'])
def test_what_is_no_trace_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"no trace|holds 0 sessions"):
        list(replay(path))


MESSAGES = [
    ('{"transcript": "Größe 12", "words": [{"word": "Größe", "start": 0.5}]}', ["Größe", "12"]),
    ('{"status": "chunk", "data": {"audio": "aGVsbG8="}}', ["aGVsbG8="]),
    ('{"status": "chunk", "data": {"audio": "no base64"}}', ["no base64"]),
    ('{"error": {"message": "you said नमस्ते"}}', ["said", "नमस्ते"]),
    ("not json at all", ["json"]),
    ("123456", ["1"]),
    (b'{"transcript": "in binary"}', ["binary"]),
    (b"\xff\xfe", ["\xff"]),
    ("[" * 100_000 + "deep", ["deep"]),
]


@pytest.mark.parametrize(("message", "private"), MESSAGES, ids=range(len(MESSAGES)))
def test_of_any_message_nothing_private_is_kept(message: str | bytes, private: list[str]) -> None:
    lines: list[bytes] = []
    TracedSession(lines.append, "a", private=False).note("message_received", (1, message), 2.5)
    (line,) = map(json.loads, lines)
    kept = decoded(line["args"][1])
    assert type(kept) is type(message)
    for text in private:
        assert text not in (kept if isinstance(kept, str) else kept.decode("latin-1"))
    TracedSession(lines.append, "a", private=True).note("message_received", (1, message), 2.5)
    assert decoded(json.loads(lines[1])["args"][1]) == message
