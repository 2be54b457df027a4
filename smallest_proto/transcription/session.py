"""A live transcription: audio in, events out, whatever happens to the connections in between.

Told what happened and asked what to do; time is an argument: ``now`` is seconds of any monotonic clock. After every
call, drain ``poll_output``, and wake the session with ``handle_timer`` at ``get_timer``.

The stream has one part for each audio format; usually there is one. One link after the other serves a part, until its
last final is here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smallest_proto.commands import Command
from smallest_proto.config import Endpoint, RetryPolicy, Timeouts, TranscriptionConfig, check_seconds
from smallest_proto.errors import Failure
from smallest_proto.link import LinkState
from smallest_proto.reading import ErrorMessage
from smallest_proto.refusals import closed_failure, message_failure
from smallest_proto.requests import live_transcription_request
from smallest_proto.retry import no_jitter
from smallest_proto.stats import LinkPlace, SessionStats
from smallest_proto.timers import Timer

from .course import Course
from .events import Event
from .messages import Pong, SpeechOffset, SpeechOnset, Transcription, decode
from .states import SessionInput, SessionState

if TYPE_CHECKING:
    from typing_extensions import Buffer

_HEARD = (Transcription, SpeechOnset, SpeechOffset)  # only a recogniser sends these


class TranscriptionSession:
    """One live transcription.

    ``buffer_seconds`` bounds the audio that is held for replay; ``jitter`` gives numbers from 0 to 1 that spread the
    waits between tries (``random.random``). Raises ``ConfigurationError`` for a configuration that ``endpoint`` does
    not serve. What the application does wrong raises ``LocalProtocolError`` and changes nothing; nothing that a peer
    sends raises.
    """

    def __init__(
        self,
        config: TranscriptionConfig,
        endpoint: Endpoint,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
        buffer_seconds: float = 30.0,
    ) -> None:
        check_seconds("buffer_seconds", buffer_seconds, least=1.0)
        self._endpoint = endpoint
        self._course = Course(
            config, endpoint, timeouts=timeouts, retry=retry, jitter=jitter, buffer_seconds=buffer_seconds
        )
        self._alarm = self._course.alarm
        self._output = self._course.output
        self._received = self._repaired = self._ignored = 0

    # What the application tells.

    def start(self, now: float) -> None:
        """Open the first link. Audio can be given at once; it waits for the link."""
        self._course.step(SessionInput.START, now)
        self._course.links.open(now)

    def send_audio(self, audio: Buffer, now: float) -> None:
        """Give audio of ``config.audio_format``, in pieces of any size; opus and ogg_opus one packet or page at a time.

        Raises ``LocalProtocolError`` for what is not bytes-like, before the start and after the end of the input.
        """
        course = self._course
        if course.state is not SessionState.STREAMING:  # where audio is taken and changes no state
            course.step(SessionInput.AUDIO, now)
        course.now = now
        if course.stream.push(audio, now):
            course.pump(now)

    def finalize(self, now: float) -> None:
        """Ask for everything given so far as a final. The stream goes on.

        Each call gets exactly one ``FinalTranscript`` with ``from_finalize``, within ``Timeouts.finalize`` of a link
        that hears; it is empty where nothing was said, where the service does not answer, and where another call within
        0.3 s asked for the same.
        """
        self._course.step(SessionInput.FINALIZE, now)
        self._course.stream.newest.sender.finalize()
        self._course.pump(now)

    def update(self, config: TranscriptionConfig, now: float) -> None:
        """Change to other options, or tell ``UpdateRejected`` and keep the current ones.

        The stream does not stop: the current link goes on until a new one is open. Another sample rate or encoding is
        for the audio given from now on: the current link finishes the audio given before, then a new one takes over.
        After ``UpdateRejected`` read ``config`` again. Of several updates in a row only the last one counts.
        Raises ``ConfigurationError`` for options that the endpoint does not serve.
        """
        request = live_transcription_request(config, self._endpoint)
        self._course.step(SessionInput.UPDATE, now)
        self._course.handover.ask(config, request, now)
        self._course.pump(now)

    def end_input(self, now: float) -> None:
        """No more audio comes: send the rest, wait for the last final, end."""
        self._course.step(SessionInput.END_INPUT, now)
        self._course.stream.newest.sender.flush()
        if Timer.LAST not in self._course.timers:
            self._course.expect_last(now)
        self._course.pump(now)

    def abort(self, now: float) -> None:
        """End at once, wherever the session is. Once it has ended this does nothing."""
        self._course.step(SessionInput.ABORT, now)

    # What the transport tells. What it tells of a link that is gone is ignored.

    def link_opened(self, link: int, now: float) -> None:
        """The WebSocket of ``link`` is open."""
        self._course.changed(self._course.links.opened(link, now), now)

    def link_failed(self, link: int, failure: Failure, now: float) -> None:
        """``link`` could not be opened, or was lost without a close frame."""
        self._course.changed(self._course.links.failed(link, failure, now), now)

    def link_closed(self, link: int, code: int, reason: str, now: float) -> None:
        """The peer closed ``link``, or answered our ``CloseLink``. ``reason`` is the peer's, and private."""
        self._course.changed(self._course.links.closed(link, closed_failure(code, reason), now), now)

    def message_received(self, link: int, data: str | bytes, now: float) -> None:
        """A whole message of the service. A binary one is read as text: the service sends none."""
        course = self._course
        course.now = now
        self._received += 1
        links, part = course.links, course.stream.first
        sender, timeline = part.sender, part.timeline
        found = links.find(link)
        cursor = None if found is None else sender.cursor(found)
        if found is None or cursor is None:
            self._ignored += 1
            return
        found.heard_at = now
        message = decode(data)
        if isinstance(message, ErrorMessage):
            self._repaired += type(data) is not str
            links.doubt(found, message_failure(message), now)
            return
        if not isinstance(message, _HEARD):
            self._ignored += not isinstance(message, Pong)  # which the gateway sends: it proves no recogniser
            return
        if course.liveness.heard(cursor, sender, now):
            course.take_over(now)
        if found is not links.serving:
            return
        mended, watermark = timeline.mended, timeline.watermark
        odd = found.renamed(message.session_id) or type(data) is not str
        if cursor.settled is not None:
            course.receiver.settle(cursor, now)
        if isinstance(message, Transcription):
            odd = odd or message.repaired
            course.transcribed(cursor, message, now)
        else:
            course.receiver.voice_activity(cursor, message)
        self._repaired += odd or timeline.mended > mended
        if timeline.watermark > watermark:
            sender.trim()
        if course.receiver.has_times or found.state is not LinkState.OPEN or found is not links.serving:
            return
        if sender.probe(cursor, now):  # else we would never know what is final
            found.sent(now)

    def pong_received(self, link: int, now: float) -> None:
        """The peer answered a ``SendPing``."""
        self._course.links.ponged(link, now)

    def write_done(self, link: int, now: float) -> None:
        """Everything that was asked of ``link`` so far has left for the socket."""
        self._course.links.written(link, now)

    def handle_timer(self, now: float) -> None:
        """The time of ``get_timer`` has come. Called too early, it does nothing."""
        self._course.now = now
        while (timer := self._course.timers.pop_due(now)) is not None:
            if timer is Timer.PACE:
                self._course.pump(now)
            elif timer is Timer.ANSWER:
                self._course.answer_due(now)
            elif timer is Timer.TURN:
                self._course.receiver.pause()
            else:
                self._course.part_over(SessionInput.LAST_DUE, now)
        while (change := self._course.links.handle_timer(now)) is not None:
            self._course.changed(change, now)

    # What is asked.

    def poll_output(self) -> Command | Event | None:
        """The next command or event, in order, or ``None``."""
        return self._output.popleft() if self._output else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``. It can come early: then that only looks."""
        alarm = self._alarm
        if not alarm.known:
            links, own = self._course.links.next_timer(), self._course.timers.due
            alarm.due = links if own is None or (links is not None and links < own) else own
            alarm.known = True
        return alarm.due

    @property
    def config(self) -> TranscriptionConfig:
        """The options for the audio that is given next: those of an update once the service has accepted them.

        Another audio format is in use at once, until the service refuses it.
        """
        return self._course.stream.newest.config

    @property
    def ready_for_audio(self) -> bool:
        """Back-pressure: whether to give more now. Audio given anyway is accepted, up to the buffer's bound.

        In real time this is true as long as a link takes the audio. Audio that is faster waits until the service has
        finalised enough, so that nothing is lost with a link.
        """
        return self._course.stream.ready(self._course.now)

    ready_for_input = ready_for_audio

    @property
    def ended(self) -> bool:
        """Whether the session is over; ``SessionEnded`` is its last output."""
        return self._course.state is SessionState.ENDED

    @property
    def places(self) -> tuple[LinkPlace, ...]:
        """Where each link that is open is in the stream; the one that serves comes first."""
        first = self._course.stream.first
        seconds = first.timeline.seconds
        return tuple(
            LinkPlace(link=cursor.link.number, begins=seconds(cursor.start), sent=seconds(cursor.sent))
            for cursor in first.sender.cursors
        )

    @property
    def seconds_given(self) -> float:
        """The end of the audio that was given, in seconds of the stream: as in ``stats``, without the rest of them."""
        return self._course.stream.newest.end

    @property
    def stats(self) -> SessionStats:
        """What the session did so far."""
        teller, first = self._course.receiver.teller, self._course.stream.first
        given, sent, replayed, lost = self._course.stream.counts()
        return SessionStats(
            seconds_given=given,
            seconds_sent=sent,
            seconds_replayed=replayed,
            seconds_lost=lost,
            seconds_finalised=first.timeline.seconds(first.timeline.watermark),
            links=tuple(self._course.links.records),
            finals=teller.finals,
            final_latency_mean=teller.latency_sum / teller.timed if teller.timed else None,
            final_latency_max=teller.latency_max if teller.timed else None,
            messages_received=self._received,
            messages_repaired=self._repaired,
            messages_ignored=self._ignored,
        )
