"""The far end and the way there: a service that is hosted in virtual time, and connections to which things happen."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from smallest_proto.commands import AbortRequest, OpenLink, SendRequest
from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.http.exchange import Answer, ExchangeFailed, ExchangeRetried, HttpExchange
from smallest_proto.refusals import refusal
from smallest_proto.requests import Request
from smallest_proto.server.answers import Response, error_answer
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import CodedRecogniser, Heard, Recognised, RecogniserFactory
from smallest_proto.server.requests import FileRequest, LiveRequest, file_answer, read_request
from smallest_proto.server.transcription import Close, Finalize, Hear, LiveService, Reply
from smallest_proto.transcription.session import TranscriptionSession
from smallest_proto.wav import read_wav

from .clock import Alarm, Happening, VirtualClock


class Pipe:
    """One direction of a connection: what goes in comes out later, in order, unless something happens to it."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self._held: deque[Happening] | None = None
        self._last = 0.0  # when the newest will be there
        self._cut = False

    @property
    def held(self) -> bool:
        """Whether what arrives is held back."""
        return self._held is not None

    def put(self, arrive: Happening) -> None:
        """Call ``arrive`` at the other end."""
        clock = self._network.clock
        self._last = max(self._last, clock.now + self._network.delay())
        clock.at(self._last, partial(self._arrive, arrive))

    def hold(self) -> None:
        """From now on nothing comes out, until ``release``."""
        self._held = deque() if self._held is None else self._held

    def release(self) -> None:
        """What was held back comes out at once."""
        held, self._held = self._held or (), None
        for arrive in held:
            self._arrive(arrive)

    def cut(self) -> None:
        """From now on nothing comes out, for ever; whoever puts something in does not notice."""
        self._cut = True
        self._held = None

    def _arrive(self, arrive: Happening) -> None:
        if self._held is not None:
            self._held.append(arrive)
        elif not self._cut:
            arrive()


class MemoryNetwork:
    """A service, and the way there and back.

    ``recogniser`` makes the service's ear, one for each link. ``latency`` is one way, in seconds; ``jitter`` is what
    can come on top of it, evenly spread (messages stay in order). ``decode_time`` is what the recogniser needs for an
    interim or a final, in seconds, one after the other. ``api_key``: the one that is let in; ``None`` lets in any.
    ``imperfection`` is what the service does otherwise than an ideal one: ``Imperfection.draw(7)`` is one of the many.
    """

    def __init__(
        self,
        recogniser: RecogniserFactory = CodedRecogniser,
        *,
        latency: float = 0.03,
        jitter: float = 0.0,
        decode_time: float = 0.1,
        seed: int = 0,
        api_key: str | None = None,
        inactivity: float = 60.0,
        imperfection: Imperfection = Imperfection(),  # noqa: B008 - frozen
    ) -> None:
        self.clock = VirtualClock()
        self.random = random.Random(seed)  # the one source of chance; take yours from here as well
        self.recogniser = recogniser
        self.latency = latency
        self.jitter = jitter
        self.decode_time = decode_time
        self.api_key = api_key
        self.inactivity = inactivity
        self.imperfection = imperfection
        self.links: list[MemoryLink] = []  # all that were ever opened, in order
        self.refusals: list[Response] = []  # the links that are opened next are refused with them, one each
        self.on_link: Callable[[MemoryLink], object] | None = None  # gets each link as it is opened

    def delay(self) -> float:
        """How long the next message is under way, in seconds."""
        return self.latency + (self.random.uniform(0.0, self.jitter) if self.jitter else 0.0)

    def exchange(self, exchange: HttpExchange[Answer]) -> Answer | ExchangeFailed:
        """Carry out one HTTP exchange and return what came of it.

        A file must be raw audio, with its format set, or a WAV of one channel.
        """
        clock, outcome = self.clock, None

        def look() -> None:
            nonlocal outcome
            while (output := exchange.poll_output()) is not None:
                if isinstance(output, SendRequest):
                    clock.after(self.delay(), partial(self._serve, exchange, output.request, look))
                elif not isinstance(output, (AbortRequest, ExchangeRetried)):
                    outcome = output
            if (due := exchange.get_timer()) is not None:
                clock.at(due, wake)

        def wake() -> None:
            exchange.handle_timer(clock.now)
            look()

        exchange.start(clock.now)
        look()
        clock.run(lambda: exchange.ended)
        if outcome is None:
            raise TimeoutError("the exchange has no outcome")
        return outcome

    def _serve(self, exchange: HttpExchange[Answer], request: Request, look: Happening) -> None:
        """The request has arrived at the service."""
        asked = read_request(
            request.method,
            _target(request),
            request.headers,
            websocket=False,
            api_key=self.api_key,
            request_id="memory",
        )
        if isinstance(asked, FileRequest):
            asked = self._transcribe(asked, request.body or b"")
        assert isinstance(asked, Response)
        response = asked

        def answer() -> None:
            exchange.response_started(response.status, response.headers, self.clock.now)
            exchange.body_received(response.body, self.clock.now)
            exchange.response_ended(self.clock.now)
            look()

        self.clock.after(self.decode_time + self.delay(), answer)

    def _transcribe(self, request: FileRequest, audio: bytes) -> Response:
        if (read := read_wav(audio)) is None:
            return error_answer(400, "nothing here reads files but WAVs of one channel", "memory")
        encoding, sample_rate, audio = read
        live = TranscriptionConfig(encoding=encoding, sample_rate=sample_rate)
        recogniser = self.recogniser(live)
        heard = [item for item in (*recogniser.hear(audio), *recogniser.finalize()) if isinstance(item, Heard)]
        seconds = live.audio_format.seconds(len(audio) // (live.audio_format.sample_width or 1))
        return file_answer(request, heard, seconds, "memory")


class NearEnd(Protocol):
    """What a link tells of what happens to it."""

    def tell(self, what: Callable[[TranscriptionSession, float], None]) -> None:
        """Call ``what`` with the session and the time."""

    def written(self, link: MemoryLink) -> None:
        """What was sent on ``link`` has left."""


class MemoryLink:
    """One connection. What a network can do to it is a method; call it at any time of the virtual clock."""

    def __init__(self, network: MemoryNetwork, call: NearEnd, command: OpenLink) -> None:
        self.number = command.link  # the session's number for it
        self.request = command.request
        self.up = Pipe(network)  # to the service
        self.down = Pipe(network)  # to the client
        # Set it while the link is opened: the service refuses with it.
        self.refusal = network.refusals.pop(0) if network.refusals else None
        self.is_open = False  # for the client
        self._network = network
        self._call = call
        self._service: _Service | None = None
        self.up.put(self._arrived)

    # What a network can do.

    def lose(self) -> None:
        """The connection breaks, here and now: what is under way is lost, the client hears of it, the service too."""
        kind = FailureKind.DISCONNECTED if self.is_open else FailureKind.CONNECT
        failure = Failure(kind=kind, reason="the connection was lost", code=1006 if self.is_open else None)
        self.half_open()
        self._service = None
        self._call.tell(lambda session, now: session.link_failed(self.number, failure, now))

    def half_open(self) -> None:
        """Nothing arrives any more, at either end, and neither end gets to know."""
        self.up.cut()
        self.down.cut()

    def stall(self) -> None:
        """The service reads no more: what is sent waits, and its writing does not finish, until ``resume``."""
        self.up.hold()

    def resume(self) -> None:
        """After ``stall``: everything goes on, and what waited arrives at once."""
        self.up.release()
        self._call.written(self)

    def mute(self) -> None:
        """The service goes on reading and answers pings, but says nothing any more."""
        self._service = None

    def say(self, data: str | bytes) -> None:
        """Have the service say ``data`` to the client, whatever it is."""
        self.down.put(lambda: self._call.tell(lambda session, now: session.message_received(self.number, data, now)))

    def hang_up(self, code: int, reason: str = "") -> None:
        """Have the service close the connection."""
        self._service = None
        self.down.put(partial(self._closed, code, reason))

    def after(self, seconds: float, what: Happening) -> None:
        """Call ``what`` after so many virtual seconds."""
        self._network.clock.after(seconds, what)

    # What the client's end does.

    def send(self, data: str | bytes) -> None:
        def heard() -> None:
            if self._service is not None:
                self._service.heard(data)

        self.up.put(heard)

    def ping(self) -> None:
        def pong() -> None:
            self._call.tell(lambda session, now: session.pong_received(self.number, now))

        self.up.put(lambda: self.down.put(pong))

    def close(self, code: int) -> None:
        self.up.put(partial(self.hang_up, code))

    def abort(self) -> None:
        self.down.cut()
        self.up.put(partial(self.hang_up, 1006))

    def _closed(self, code: int, reason: str) -> None:
        self.half_open()
        self._call.tell(lambda session, now: session.link_closed(self.number, code, reason, now))

    # What the service's end does.

    def _arrived(self) -> None:
        network = self._network
        asked = self.refusal or read_request(
            "GET", _target(self.request), self.request.headers, websocket=True, api_key=network.api_key
        )
        if isinstance(asked, LiveRequest):
            self._service = _Service(network, self, asked)
            self.down.put(self._opened)
        elif isinstance(asked, Response):
            self.down.put(partial(self._refused, refusal(asked.status, asked.headers, asked.body)))

    def _opened(self) -> None:
        self.is_open = True
        self._call.tell(lambda session, now: session.link_opened(self.number, now))

    def _refused(self, failure: Failure) -> None:
        self.half_open()
        self._call.tell(lambda session, now: session.link_failed(self.number, failure, now))


class _Service:
    """Hosts a ``LiveService`` and its recogniser at the far end of a link."""

    def __init__(self, network: MemoryNetwork, link: MemoryLink, request: LiveRequest) -> None:
        self._network = network
        self._link = link
        number = network.links.index(link) + 1
        self._service = LiveService(
            request,
            f"session-{number}",
            inactivity=network.inactivity,
            imperfection=network.imperfection.on_link(number),
        )
        self._recogniser = network.recogniser(self._service.recogniser_options)
        self._busy_until = 0.0
        self._alarm = Alarm(network.clock, self._service, self._settle)
        self._service.start(network.clock.now)
        self._alarm.set()

    def heard(self, data: str | bytes) -> None:
        """A message of the client has arrived."""
        self._service.message_received(data, self._network.clock.now)
        self._settle()

    def _settle(self) -> None:
        if self._link._service is not self:  # the link is gone, or mute
            return
        while (command := self._service.poll_output()) is not None:
            if isinstance(command, Hear):
                self._decode(self._recogniser.hear(command.audio), self._service.recognised)
            elif isinstance(command, Finalize):
                self._decode(command.ask(self._recogniser), self._service.finalized)
            elif isinstance(command, Reply):
                self._link.say(command.text)
            elif isinstance(command, Close):
                self._link.hang_up(command.code, command.reason)
        self._alarm.set()

    def _decode(self, items: Sequence[Recognised], tell: Callable[[Sequence[Recognised], float], None]) -> None:
        clock = self._network.clock
        work = self._network.decode_time if any(isinstance(item, Heard) for item in items) else 0.0
        self._busy_until = max(clock.now, self._busy_until) + work
        clock.at(self._busy_until, partial(self._decoded, items, tell))

    def _decoded(self, items: Sequence[Recognised], tell: Callable[[Sequence[Recognised], float], None]) -> None:
        if self._link._service is self:
            tell(items, self._network.clock.now)
            self._settle()


def _target(request: Request) -> str:
    url = urlsplit(request.full_url)
    return f"{url.path}?{url.query}"
