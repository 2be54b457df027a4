"""One session that is told anything at all, and what always holds of what it gives: of it all, and after each call."""

from __future__ import annotations

import gc
import math
import random
from types import FunctionType, ModuleType
from typing import Any

from smallest_proto.commands import AbortLink, CloseLink, OpenLink, SendBinary, SendPing, SendText
from smallest_proto.config import Endpoint, RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import LinkLost, LinkOpened, SessionEnded
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.transcription.events import (
    AudioLost,
    FinalTranscript,
    InterimTranscript,
    SpeechEnded,
    SpeechStarted,
    Usage,
)
from smallest_proto.transcription.session import TranscriptionSession

from .peer import Peer

KEY = "the-key-of-the-machine"
TIMEOUTS = Timeouts()
FORMATS: tuple[dict[str, Any], ...] = (
    {"encoding": "linear16", "sample_rate": 16000},
    {"encoding": "linear16", "sample_rate": 8000},
    {"encoding": "mulaw", "sample_rate": 8000},
    {"encoding": "linear32", "sample_rate": 48000},
)


class Run:
    """One session and the outputs that it gave; ``checked`` as they come. ``make`` makes the session."""

    def __init__(self, options: dict[str, Any], make: Any, *, checked: bool = True) -> None:
        self.checked = checked
        self.imperfection = Imperfection.draw(options["imperfection"])
        self.buffer_seconds = options["buffer_seconds"]
        self.session: TranscriptionSession = make(
            TranscriptionConfig(**FORMATS[0], vad_events=options["vad_events"], word_timestamps=options["words"]),
            Endpoint(api_key=KEY, route=options["route"]),
            timeouts=TIMEOUTS,
            retry=RetryPolicy(max_retries=options["max_retries"]),
            jitter=random.Random(options["seed"]).random,
            buffer_seconds=self.buffer_seconds,
        )
        self.outputs: list[Any] = []
        self.peers: dict[int, Peer] = {}
        self.speaking: SpeechStarted | None = None
        self.lost: list[tuple[float, float]] = []
        self.changes: list[float] = []  # where the format of the audio was changed, in seconds of the stream
        self.usage = 0.0

    def tell(self, name: str, *arguments: Any) -> bool:
        """Tell the session something; whether it took it. What it does not take must change nothing."""
        before, format = self.looks(), self.session.config.audio_format
        try:
            getattr(self.session, name)(*arguments)
        except LocalProtocolError:
            assert self.session.poll_output() is None
            assert self.looks() == before
            return False
        if self.session.config.audio_format != format:
            self.changes.append(self.session.stats.seconds_given)
        while (output := self.session.poll_output()) is not None:
            assert not (self.outputs and isinstance(self.outputs[-1], SessionEnded)), "something came after the end"
            self.outputs.append(output)
            if self.checked:
                self._check(output, arguments[-1])
        return True

    def looks(self) -> tuple[Any, ...]:
        session = self.session
        return (session.get_timer(), session.ready_for_audio, session.ended, session.config.audio_format, session.stats)

    def _check(self, output: Any, now: float) -> None:
        given = self.session.stats.seconds_given + 1e-6
        if isinstance(output, OpenLink):
            assert output.link == len(self.peers) + 1, "a link's number never returns"
            self.peers[output.link] = Peer(output.request, self.imperfection.on_link(output.link), now)
        elif isinstance(output, (SendText, SendBinary, SendPing)):
            assert self.peers[output.link].state == "open"
            if not isinstance(output, SendPing):
                self.peers[output.link].hear(output.text if isinstance(output, SendText) else output.data, now)
        elif isinstance(output, CloseLink):
            assert self.peers[output.link].state == "open"
            self.peers[output.link].state = "closing"
        elif isinstance(output, AbortLink):
            assert self.peers[output.link].state != "gone"
            self.peers[output.link].state = "gone"
        elif isinstance(output, LinkOpened):
            assert self.peers[output.link].state == "open"
        elif isinstance(output, LinkLost):
            assert self.peers[output.link].state == "gone"
            assert output.retry_in >= 0.0
        elif isinstance(output, SpeechStarted):
            assert self.speaking is None
            assert 0.0 <= output.time <= given
            self.speaking = output
        elif isinstance(output, SpeechEnded):
            assert self.speaking is not None
            assert 0.0 <= output.time <= given
            self.speaking = None
        elif isinstance(output, (InterimTranscript, FinalTranscript)):
            assert 0.0 <= output.start <= output.end <= given
            told = output.words if isinstance(output, FinalTranscript) else ()
            starts = [word.start for word in told if word.start is not None]
            assert starts == sorted(starts)
            assert all(0.0 <= time <= given for word in told for time in (word.start, word.end) if time is not None)
        elif isinstance(output, AudioLost):
            assert 0.0 <= output.start < output.end <= given
            told_of = [(start, end) for start, end in self.lost if start < output.end and output.start < end]
            assert not told_of, "each lost sample is told of once"
            self.lost.append((output.start, output.end))
        elif isinstance(output, Usage):
            assert output.seconds > 0
            self.usage += output.seconds
        elif isinstance(output, SessionEnded):
            assert self.session.ended
            assert self.speaking is None

    def check_whole(self) -> None:
        """What holds between two calls."""
        session, stats = self.session, self.session.stats
        assert session.ended == bool(self.outputs and isinstance(self.outputs[-1], SessionEnded))
        assert sum(isinstance(output, SessionEnded) for output in self.outputs) == session.ended
        assert _near(stats.seconds_lost, sum(end - start for start, end in self.lost))
        assert self.usage <= stats.seconds_sent + 1e-6 <= stats.seconds_given + 2e-6
        assert stats.seconds_finalised <= stats.seconds_given + 1e-6
        assert len(stats.links) == len(self.peers)
        for record in stats.links:
            assert record.ended == (self.peers[record.link].state == "gone")
        if session.ended:
            assert session.get_timer() is None
            assert all(peer.state == "gone" for peer in self.peers.values())
            assert _near(self.usage, stats.seconds_sent)

    @property
    def parts(self) -> int:
        """How many parts of the stream, each of a format of its own, may not be over yet."""
        finalised = self.session.stats.seconds_finalised - 1e-6
        return 1 + sum(at >= finalised for at in self.changes)

    def check_memory(self) -> None:
        """Each part that is not over may hold its bound; in 64 KiB is all the rest."""
        most = self.buffer_seconds * 4 * 48000 if self.wide else self.buffer_seconds * 2 * 16000
        assert held_bytes(self.session) <= self.parts * most + 65536

    wide = False  # linear32 at 48 kHz was used


def held_bytes(root: object) -> int:
    """The size of all byte strings that can be reached from ``root``."""
    seen: set[int] = set()
    todo, total = [root], 0
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, (type, ModuleType, FunctionType)):
            continue
        seen.add(id(thing))
        if isinstance(thing, bytes):
            total += len(thing)
        else:
            todo += gc.get_referents(thing)
    return total


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
