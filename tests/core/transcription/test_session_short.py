"""The way of a message through a session is short where nothing is in the way: live, one link open, nothing waits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from smallest_proto.commands import OpenLink, SendBinary
from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.transcription.session import TranscriptionSession

AUDIO = b"\1\2" * 800  # 50 ms


def calls_of(what: Callable[[], object]) -> list[str]:
    """The calls of Python code that ``what`` makes."""
    made: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            made.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        what()
    finally:
        sys.setprofile(before)
    return made[1:]


class Live:
    """A call that is under way: so many messages were sent, and have left."""

    def __init__(self, messages: int = 50) -> None:
        self.session = TranscriptionSession(TranscriptionConfig(), Endpoint(api_key="a key"))
        self.session.start(0.0)
        (opening,) = [output for output in self.drain() if isinstance(output, OpenLink)]
        self.link, self.now = opening.link, 0.1
        self.session.link_opened(self.link, self.now)
        for _ in range(messages):
            self.send()
            self.leave()

    def drain(self) -> list[object]:
        outputs = []
        while (output := self.session.poll_output()) is not None:
            outputs.append(output)
        return outputs

    def send(self) -> object:
        self.now += 0.05
        self.session.send_audio(AUDIO, self.now)
        return self.session.poll_output()

    def leave(self) -> None:
        self.drain()
        self.session.write_done(self.link, self.now)


def test_audio_reaches_its_command_in_eight_calls() -> None:
    live = Live()
    sent: list[object] = []
    made = calls_of(lambda: sent.append(live.send()))
    assert sent == [SendBinary(link=live.link, data=AUDIO)]
    assert len(made[1:]) <= 8, made  # the first one is that of this test


def test_audio_that_leaves_at_once_moves_no_deadline() -> None:
    live = Live()
    before = live.session.get_timer()
    for _ in range(20):
        live.send()
        live.leave()
        assert live.session.get_timer() == before
