"""What is pushed, in frames of any length: taken at once or after a wait, it arrives whole and in order."""

from __future__ import annotations

import asyncio
import itertools
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc
from livekit.plugins import smallest_proto

from smallest_proto.config import TranscriptionConfig

from .stage import KEY, RATE

Step = tuple[str, int]
Given = bytes | str | TranscriptionConfig

TRACK = array("h", (number % 30000 for number in range(4 * RATE))).tobytes()  # no sample is like one near it

# What is done, and with which of these milliseconds of audio, turns of the event loop, or values of an option.
DONE = ("push", "push", "push", "push", "turns", "turns", "flush", "eou_timeout_ms", "sample_rate")
STEPS = st.lists(st.tuples(st.sampled_from(DONE), st.sampled_from((1, 2, 10, 20, 50, 130))), min_size=4, max_size=30)


class Ear:
    """A transcription that notes what it is given, and has room for what is offered as ``room`` says."""

    def __init__(self, config: TranscriptionConfig, room: Iterator[bool]) -> None:
        self.config = config
        self.given: list[Given] = []
        self.at_once: list[int] = []  # bytes of what was taken so
        self._room = room
        self._over = asyncio.Event()

    def offer(self, audio: bytes) -> bool:
        if room := next(self._room):
            self.at_once.append(len(audio))
            self._note(audio)
        return room

    async def send_audio(self, audio: bytes) -> None:
        await asyncio.sleep(0)
        self._note(audio)

    async def finalize(self) -> None:
        self.given.append("finalize")

    async def update(self, config: TranscriptionConfig) -> None:
        self.given.append(config)

    async def end_input(self) -> None:
        self._over.set()

    def listen(self, told: Callable[[Any], None]) -> None:
        """Nothing is heard."""

    def __aiter__(self) -> Ear:
        return self

    async def __anext__(self) -> None:
        await self._over.wait()
        raise StopAsyncIteration

    def _note(self, audio: bytes) -> None:
        last = self.given[-1] if self.given else ""
        if isinstance(last, bytes):
            self.given[-1] = last + audio
        else:
            self.given.append(audio)


class Deaf(smallest_proto.STT):
    """Its streams go to an ``Ear``."""

    def __init__(self, room: Iterable[bool]) -> None:
        super().__init__(api_key=KEY, http_session=object())  # type: ignore[arg-type]
        self.room = itertools.cycle(room)

    def live_client(self, *_: Any) -> Any:
        return self

    async def __aenter__(self) -> Deaf:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    @asynccontextmanager
    async def stream_transcription(self, config: TranscriptionConfig) -> AsyncIterator[Ear]:
        self.ear = Ear(config, self.room)
        try:
            yield self.ear
        finally:
            await self.ear.end_input()


async def given_of(steps: Iterable[Step], room: Iterable[bool]) -> list[Given]:
    """What the transcription is given when these things are done to a stream."""
    stt = Deaf(room)
    stream = stt.stream()
    at = 0
    for what, value in steps:
        if what == "push":
            audio = TRACK[at : at + RATE * value // 1000 * 2]
            at += len(audio)
            stream.push_frame(rtc.AudioFrame(audio, RATE, 1, len(audio) // 2))
        elif what == "turns":
            for _ in range(value):
                await asyncio.sleep(0)
        elif what == "flush":
            stream.flush()
        elif what == "sample_rate":
            stream.update_options(sample_rate=8000 if value < 20 else RATE)
        else:
            stream.update_options(eou_timeout_ms=100 + value)
    stream.end_input()
    assert [event async for event in stream] == []
    with pytest.raises(RuntimeError, match="input ended"):
        stream.push_frame(rtc.AudioFrame(bytes(100), RATE, 1, 50))
    await stream.aclose()
    return stt.ear.given


@given(STEPS, st.lists(st.booleans(), min_size=1, max_size=6))
def test_what_is_taken_at_once_comes_as_what_has_to_wait(steps: list[Step], room: list[bool]) -> None:
    resampled = any(what == "sample_rate" for what, _ in steps)
    pushed = sum(RATE * value // 1000 * 2 for what, value in steps if what == "push")
    waited, mixed, direct = (asyncio.run(given_of(steps, room)) for room in ([False], room, [True]))
    if not resampled:
        assert waited == mixed == direct
        assert b"".join(one for one in waited if isinstance(one, bytes)) == TRACK[:pushed]
    else:  # the framework's resampler makes each sample a little different, by chance
        assert bare(waited) == bare(mixed) == bare(direct)
    assert waited.count("finalize") == 1 + sum(what == "flush" for what, _ in steps)


def bare(given: Iterable[Given]) -> list[int | Given]:
    """The same with the mere length of audio."""
    return [len(one) if isinstance(one, bytes) else one for one in given]


async def test_short_frames_go_on_with_the_one_that_fills_a_message() -> None:
    stt = Deaf([True])
    stream = stt.stream()
    for _ in range(3):
        await asyncio.sleep(0)
    for number, sent in enumerate([0, 0, 0, 0, 1600, 0, 0, 0, 0, 1600]):
        before = sum(stt.ear.at_once)
        stream.push_frame(rtc.AudioFrame(TRACK[number * 320 : number * 320 + 320], RATE, 1, 160))
        assert sum(stt.ear.at_once) - before == sent
    await stream.aclose()
    assert stt.ear.given == [TRACK[:3200]]
