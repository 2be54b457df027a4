"""What was said is heard: through a server that speaks and hears coded audio, and through the real engines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smallest_proto.errors import Failure, FailureKind
from smallest_proto.server.recogniser import CodedRecogniser
from smallest_proto.synthesis.events import AudioChunk, SpeechEvent, SpokenSoFar
from smallest_transports.cli.app import commands
from smallest_transports.cli.problems import KEY_VARIABLE
from smallest_transports.cli.say_and_hear import Mouth

from .stage import KEY, RunServer, StartCommand

RESET = Failure(kind=FailureKind.DISCONNECTED, reason="the connection was lost", code=1006)


def say_and_hear(*arguments: str, key: str = KEY, input: bytes | None = None) -> Result:
    typed = ["say-and-hear", *arguments]
    return CliRunner().invoke(commands, typed, env={KEY_VARIABLE: key}, input=input, prog_name="smallest-proto")


@pytest.mark.parametrize("text", ["w1 w2, w3.", "-"])
def test_what_was_said_is_heard(run_server: RunServer, text: str) -> None:
    result = say_and_hear(text, "--fast", "--base-url", run_server(CodedRecogniser), input=b"w1 w2, w3.\n")
    assert (result.exit_code, result.stderr) == (0, "")
    said, heard, figures = result.stdout.split("\n\n")
    assert said == "Said:\nw1 w2, w3."
    assert re.fullmatch(r"Heard:\n00:00\.0 – 00:00\.\d  w1 w2 w3", heard)
    errors, first, latency = figures.splitlines()
    assert errors.startswith("Word error rate    0.0%  (0 of 3 words other")
    assert re.match(r"First sound        \d\.\d\d s  \(from", first)
    assert "not measured" in latency


def test_in_real_time_there_is_a_latency(run_server: RunServer) -> None:
    result = say_and_hear("w1 w2", "--base-url", run_server(CodedRecogniser))
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.search(r"00:00\.0 – 00:00\.\d  w1 w2  \(\+\d\.\d\d s\)", result.stdout)
    assert re.search(r"Latency            p50 \d\.\d\d s, p99 .* 1 finals", result.stdout)


def test_what_was_not_heard_is_an_error_of_words(run_server: RunServer) -> None:
    result = say_and_hear("It was the worst.", "--fast", "--base-url", run_server())
    assert result.exit_code == 0
    assert "Word error rate    25.0%  (1 of 4 words other, 0 missed, 0 added" in result.stdout


def test_speech_that_breaks_off_is_told(run_server: RunServer) -> None:
    url = run_server(CodedRecogniser, faults=["drop@0.5"])
    result = say_and_hear(" ".join(f"w{number}" for number in range(1, 20)), "--fast", "--base-url", url)
    assert result.exit_code == 1
    assert " 0 added" in result.stdout
    error = result.stderr.splitlines()[-1]
    assert re.fullmatch(r"Error: the speech may lack what comes after its first \d\.\d s", error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["..."], "nothing that can be said"),
        (["w1", "--language", "auto"], "live transcription has no language 'auto': use one of"),
        (["w1", "--language", "xx"], "has no language 'xx': use one of"),
        (["w1", "--speed", "9"], "speed must be"),
    ],
)
def test_what_cannot_be_is_found_first(arguments: list[str], said: str) -> None:
    result = say_and_hear(*arguments, "--base-url", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_wrong_key(run_server: RunServer) -> None:
    result = say_and_hear("the treasure", "--base-url", run_server(key="right"))
    assert result.exit_code == 1
    assert "401" in result.stderr
    assert "treasure" not in result.stderr
    assert KEY not in result.output


def test_nobody_there_is_not_waited_for() -> None:
    result = say_and_hear("w1", "--base-url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "no connection to 127.0.0.1" in result.stderr
    assert result.stderr.count("\n") == 1


class TestMouth:
    """By a stream and a clock of the test's own."""

    class Stream:
        def __init__(self, *events: SpeechEvent) -> None:
            self._events = events
            self.given: list[str | None] = []

        async def send_text(self, text: str) -> None:
            self.given.append(text)

        async def end_input(self) -> None:
            self.given.append(None)

        async def __aiter__(self) -> AsyncIterator[SpeechEvent]:
            for event in self._events:
                yield event

    @staticmethod
    def audio(size: int) -> AudioChunk:
        return AudioChunk(segment=0, data=bytes(size), start=0.0, samples=size // 2)

    @staticmethod
    async def speak(mouth: Mouth) -> list[bytes]:
        await mouth.say("Hello")
        return [piece async for piece in mouth.pieces()]

    def test_audio_goes_on_in_messages_of_50_ms(self) -> None:
        times = iter([100.0, 100.25])
        stream: Any = self.Stream(self.audio(1000), self.audio(4000))
        mouth = Mouth(stream, clock=lambda: next(times))
        assert list(map(len, asyncio.run(self.speak(mouth)))) == [1600, 1600, 1600, 200]
        assert stream.given == ["Hello", None]
        (line,) = mouth.latency()
        assert line.startswith("First sound        0.25 s")
        assert mouth.missing == []

    def test_what_was_not_spoken_is_missing(self) -> None:
        cut = SpokenSoFar(segment=0, spoken="Hello", unspoken="there", seconds=0.5, exact=True, failure=RESET)
        stream: Any = self.Stream(cut)
        mouth = Mouth(stream)
        assert asyncio.run(self.speak(mouth)) == []
        assert mouth.latency() == []
        assert mouth.missing == ["the speech may lack what comes after its first 0.5 s"]


def test_real_speech_survives_faults_on_both_sides(start_command: StartCommand) -> None:
    text = "Hello there, how are you? The meeting begins at half past ten."
    faults = [part for fault in ("drop@1", "refuse:503", "no-last", "mute@60") for part in ("--fault", fault)]
    with start_command("say-and-hear", text, "--local", *faults) as process:
        stdout, stderr = (stream.decode() for stream in process.communicate())
    assert process.returncode == 0, stderr
    assert text in stdout
    rate = re.search(r"Word error rate +([0-9.]+)%", stdout)
    assert rate
    assert float(rate[1]) < 25
    speaking, hearing = (
        re.findall(rf"^{who}: link 1 lost .*", stderr, re.MULTILINE) for who in ("speaking", "hearing")
    )
    assert len(speaking) == len(hearing) == 1, stderr
    assert "Did not happen, as no link got so far: mute@60" in stderr
