"""The near end: one session, and an application that was planned in advance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from smallest_proto.audio import AudioFormat
from smallest_proto.commands import AbortLink, CloseLink, OpenLink, SendBinary, SendPing, SendText
from smallest_proto.config import TranscriptionConfig
from smallest_proto.transcription.events import Event
from smallest_proto.transcription.session import TranscriptionSession

from .clock import Alarm, Happening
from .network import MemoryLink, MemoryNetwork


class MemoryCall:
    """Drives one session over a ``MemoryNetwork``.

    Plan what the application does with ``at`` and ``feed``, then ``run``. What it does after the session has ended is
    passed over, as that can come early by a fault of the network. ``on_event`` is the application that answers.
    """

    def __init__(self, session: TranscriptionSession, network: MemoryNetwork) -> None:
        self.session = session
        self.network = network
        self.events: list[tuple[float, Event]] = []  # so far, with the virtual time of each
        # Gets each event as soon as it is there, with its time: an application that answers what it hears.
        self.on_event: Callable[[float, Event], object] | None = None
        self.links: dict[int, MemoryLink] = {}  # by the session's numbers
        self._waiting: Happening | None = None  # audio that back-pressure holds back
        self._alarm = Alarm(network.clock, session, self._settle)
        self._started = False

    def at(self, time: float, what: Happening) -> None:
        """Call ``what`` at ``time``, in virtual seconds: ``call.at(1.5, call.finalize)``."""
        self.network.clock.at(time, what)

    def start(self) -> None:
        """Start the session; ``run`` does it unless you did."""
        self._started = True
        self.tell(lambda session, now: session.start(now))

    def send_audio(self, audio: bytes) -> None:
        """As the session's, now."""
        self.tell(lambda session, now: session.send_audio(audio, now))

    def finalize(self) -> None:
        """As the session's, now."""
        self.tell(lambda session, now: session.finalize(now))

    def update(self, config: TranscriptionConfig) -> None:
        """As the session's, now."""
        self.tell(lambda session, now: session.update(config, now))

    def end_input(self) -> None:
        """As the session's, now."""
        self.tell(lambda session, now: session.end_input(now))

    def abort(self) -> None:
        """As the session's, now."""
        self.tell(lambda session, now: session.abort(now))

    def feed(
        self,
        audio: bytes,
        *,
        real_time: bool = True,
        end: bool = True,
        chunk: float = 0.02,
        format: AudioFormat = AudioFormat(),  # noqa: B008 - frozen
    ) -> None:
        """Give ``audio`` from now on, in pieces of ``chunk`` seconds, then end the input (unless ``end`` is False).

        In real time each piece comes when it has been spoken; else as fast as the session takes it.
        """
        size = max(1, format.samples(chunk)) * (format.sample_width or 1)
        began = self.network.clock.now

        def give(at: int) -> None:
            while at < len(audio) and not self.session.ended:
                if not real_time and not self.session.ready_for_audio:
                    self._waiting = partial(give, at)
                    return
                self.send_audio(audio[at : at + size])
                at += size
                if real_time and at < len(audio):
                    self.at(began + (at // size + 1) * chunk, partial(give, at))
                    return
            if end:
                self.end_input()

        self.at(began + chunk if real_time else began, partial(give, 0))

    def run(self, *, limit: float = 86400.0) -> list[tuple[float, Event]]:
        """Let everything happen until the session has ended; return its events with their times (virtual seconds).

        Raises ``TimeoutError`` if it does not end before ``limit``.
        """
        if not self._started:
            self.start()
        self.network.clock.run(lambda: self.session.ended, limit=limit)
        if not self.session.ended:
            raise TimeoutError("the session waits for nothing, and has not ended")
        if self.on_event is not None:
            self.network.clock.run_now()
        return self.events

    def tell(self, what: Callable[[TranscriptionSession, float], None]) -> None:
        if not self.session.ended:
            what(self.session, self.network.clock.now)
            self._settle()

    def written(self, link: MemoryLink) -> None:
        self.tell(lambda session, now: session.write_done(link.number, now))

    def _settle(self) -> None:
        written: set[int] = set()
        while (output := self.session.poll_output()) is not None:
            if isinstance(output, OpenLink):
                link = self.links[output.link] = MemoryLink(self.network, self, output)
                self.network.links.append(link)
                if self.network.on_link is not None:
                    self.network.on_link(link)
            elif isinstance(output, SendText):
                self.links[output.link].send(output.text)
                written.add(output.link)
            elif isinstance(output, SendBinary):
                self.links[output.link].send(output.data)
                written.add(output.link)
            elif isinstance(output, SendPing):
                self.links[output.link].ping()
            elif isinstance(output, CloseLink):
                self.links[output.link].close(output.code)
            elif isinstance(output, AbortLink):
                self.links[output.link].abort()
            else:
                self.events.append((self.network.clock.now, output))
                if self.on_event is not None:  # not now: the session is being asked
                    self.at(self.network.clock.now, partial(self.on_event, self.network.clock.now, output))
        for number in sorted(written):
            if not self.links[number].up.held:
                self.written(self.links[number])
        self._alarm.set()
        if self._waiting is not None and self.session.ready_for_audio:
            waiting, self._waiting = self._waiting, None
            waiting()
