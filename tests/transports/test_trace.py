"""A trace holds every input of a session, and no more than it may; replayed, the session puts out the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smallest_proto import SynthesisSession, TranscriptionSession
from smallest_proto.commands import OpenLink, SendBinary
from smallest_proto.config import RetryPolicy, SynthesisConfig, Timeouts, TranscriptionConfig
from smallest_proto.errors import LocalProtocolError, RemoteError
from smallest_proto.events import LinkOpened
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_proto.synthesis.events import SegmentDone, WordSpoken
from smallest_proto.transcription.events import FinalTranscript
from smallest_transports._trace import TracedSession, decoded
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

    for kind in (TranscriptionSession, SynthesisSession):
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
