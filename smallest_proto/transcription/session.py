"""A live transcription: audio in, events out, whatever happens to the connections in between.

Told what happened and asked what to do; time is an argument: ``now`` is seconds of any monotonic clock. After every
call, drain ``poll_output``, and wake the session with ``handle_timer`` at ``get_timer``.

The stream consists of segments, each in one audio format; as a rule there is one. A segment is served by one link after
the other, until its last final came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from smallest_proto.commands import Command, SendText
from smallest_proto.config import Endpoint, RetryPolicy, Timeouts, TranscriptionConfig, check_seconds
from smallest_proto.connection import NORMAL_CLOSURE, Change, ChangeKind, Connection
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.link import Link, LinkInput, LinkState
from smallest_proto.reading import ErrorMessage, MalformedMessage, UnknownMessage
from smallest_proto.refusals import closed_failure, told_failure
from smallest_proto.requests import live_transcription_request
from smallest_proto.stats import SessionStats
from smallest_proto.timers import Timer, Timers

from .events import Event, LossReason, UpdateRejected
from .messages import CLOSE_STREAM, Pong, Transcription, decode
from .receiving import Hearing
from .states import SESSIONS, SessionAction, SessionInput, SessionState
from .stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Buffer


def _no_jitter() -> float:
    return 1.0


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
        jitter: Callable[[], float] = _no_jitter,
        buffer_seconds: float = 30.0,
    ) -> None:
        check_seconds("buffer_seconds", buffer_seconds, least=1.0)
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._state = SessionState.NEW
        self._output: deque[Command | Event] = deque()
        self._timers = Timers()
        self._connection = Connection(
            live_transcription_request(config, endpoint),
            keepalive=endpoint.paths.gateway,
            quotes=True,
            timeouts=timeouts,
            retry=retry,
            jitter=jitter,
            output=self._output,
        )
        self._stream = Stream(config, timeouts.message_interval, buffer_seconds, self._output)
        self._hearing = Hearing(config, self._stream.first.timeline, self._output)
        self._now = 0.0  # the time of the last call that moved audio
        self._unanswered = 0  # links that were asked for the last final of the segment, and closed without it
        self._received = self._repaired = self._ignored = 0

    # What the application tells.

    def start(self, now: float) -> None:
        """Open the first link. Audio can be given at once; it waits for the link."""
        self._step(SessionInput.START, now)
        self._connection.open(now)

    def send_audio(self, audio: Buffer, now: float) -> None:
        """Give audio of ``config.audio_format``, in pieces of any size; opus and ogg_opus one packet or page at a time.

        Raises ``LocalProtocolError`` for what is not bytes-like, before the start and after the end of the input.
        """
        self._step(SessionInput.AUDIO, now)
        self._now = now
        if self._stream.push(audio, now):
            self._pump(now)

    def finalize(self, now: float) -> None:
        """Ask for everything given so far as a final. The stream goes on."""
        self._step(SessionInput.FINALIZE, now)
        self._stream.newest.sender.finalize()
        self._pump(now)

    def update(self, config: TranscriptionConfig, now: float) -> None:
        """Go over to other options, or tell ``UpdateRejected`` and go on with the present ones.

        The stream does not stop for it: the present link hears on until a new one is open. Another sample rate or
        encoding holds for the audio given from now on: the present link finishes what was given before, then a new one
        takes over. After ``UpdateRejected`` look at ``config`` again. Of several updates in a row the last one counts.
        Raises ``ConfigurationError`` for options that the endpoint does not serve.
        """
        request = live_transcription_request(config, self._endpoint)
        self._step(SessionInput.UPDATE, now)
        segment = self._stream.newest
        if config.audio_format != segment.config.audio_format:
            segment.sender.flush()
            self._stream.add(config, segment.end)
            self._pump(now)
        else:
            if config == (segment.wanted or segment.config):
                return
            segment.wanted = None if config == segment.config else config
            if not self._stream.several and segment.fallback is None:  # else the format is to be accepted first
                self._connection.replace(None if segment.wanted is None else request, now)

    def end_input(self, now: float) -> None:
        """No more audio comes: send the rest, await the last final, end."""
        self._step(SessionInput.END_INPUT, now)
        self._stream.newest.sender.flush()
        if Timer.LAST not in self._timers:
            self._expect_last(now)
        self._pump(now)

    def abort(self, now: float) -> None:
        """End at once, wherever the session is. Once it has ended this does nothing."""
        self._step(SessionInput.ABORT, now)

    # What the transport tells. A number of a link that is gone finds nobody.

    def link_opened(self, link: int, now: float) -> None:
        """The WebSocket of ``link`` is open."""
        self._changed(self._connection.opened(link, now), now)

    def link_failed(self, link: int, failure: Failure, now: float) -> None:
        """``link`` could not be opened, or was lost without a close frame."""
        self._changed(self._connection.failed(link, failure, now), now)

    def link_closed(self, link: int, code: int, reason: str, now: float) -> None:
        """The peer closed ``link``, or answered our ``CloseLink``. ``reason`` is the peer's, and private."""
        self._changed(self._connection.closed(link, closed_failure(code, reason), now), now)

    def message_received(self, link: int, data: str | bytes, now: float) -> None:
        """A whole message of the service. A binary one is read as text: the service sends none."""
        self._now = now
        self._received += 1
        found = self._connection.find(link)
        if found is None:
            self._ignored += 1
            return
        message = decode(data)
        if isinstance(message, Pong):  # the gateway's: no proof that a recogniser hears
            return
        if isinstance(message, (UnknownMessage, MalformedMessage)):
            self._ignored += 1
            return
        found.suspected = False
        found.hesitated = 0
        found.timers.stop(Timer.QUIET)
        if isinstance(message, ErrorMessage):
            self._repaired += type(data) is not str
            self._connection.doubt(found, told_failure(message), now)
            return
        found.alive = True
        segment = self._stream.first
        mended, watermark = segment.timeline.mended, segment.timeline.watermark
        odd = found.renamed(message.session_id) or type(data) is not str
        if isinstance(message, Transcription):
            odd = odd or message.repaired
            ask = self._transcribed(found, message, now)
        else:
            ask = self._hearing.voice_activity(found, message)
        self._repaired += odd or segment.timeline.mended > mended
        if segment.timeline.watermark > watermark:
            found.confirmed_at = now
            segment.sender.trim()
        if found.state is LinkState.DRAINING:
            self._expect_word(found, now)
        elif (
            ask and found.open and segment.sender.crowded and not segment.sender.asked(found) and segment.sender.quiet()
        ):
            segment.sender.probe(found)  # long noise, or finals without times
            self._connection.sent(found, now)

    def pong_received(self, link: int, now: float) -> None:
        """The peer answered a ``SendPing``."""
        self._connection.ponged(link, now)

    def write_done(self, link: int, now: float) -> None:
        """Everything that was asked of ``link`` so far has left for the socket."""
        self._connection.written(link)

    def handle_timer(self, now: float) -> None:
        """The time of ``get_timer`` has come. Called early or for nothing, it does nothing."""
        self._now = now
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is Timer.PACE:
                self._pump(now)
            else:
                self._segment_over(SessionInput.LAST_DUE, now)
        while (change := self._connection.handle_timer(now)) is not None:
            self._changed(change, now)

    # What is asked.

    def poll_output(self) -> Command | Event | None:
        """The next command or event, in order, or ``None``."""
        return self._output.popleft() if self._output else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        links, own = self._connection.next_timer(), self._timers.next()
        return links if own is None or (links is not None and links < own) else own

    @property
    def config(self) -> TranscriptionConfig:
        """The options of the audio that is given next: those of an update once the service has taken them.

        Another audio format holds at once, and until the service refuses it.
        """
        return self._stream.newest.config

    @property
    def ready_for_audio(self) -> bool:
        """Back-pressure: whether to give more now. What is given all the same is taken, up to the buffer's bound.

        Audio that is given in real time is always welcome while a link takes it. Faster than that it waits until the
        service has finalised enough, so that a lost link costs nothing.
        """
        return self._stream.ready(self._now)

    @property
    def ended(self) -> bool:
        """Whether the session is over; ``SessionEnded`` is its last output."""
        return self._state is SessionState.ENDED

    @property
    def stats(self) -> SessionStats:
        """What the session did so far."""
        hearing, first = self._hearing, self._stream.first
        given, sent, replayed, lost = self._stream.counts()
        return SessionStats(
            seconds_given=given,
            seconds_sent=sent,
            seconds_replayed=replayed,
            seconds_lost=lost,
            seconds_finalised=first.timeline.seconds(first.timeline.watermark),
            links=tuple(self._connection.records),
            finals=hearing.finals,
            final_latency_mean=hearing.latency_sum / hearing.timed if hearing.timed else None,
            final_latency_max=hearing.latency_max if hearing.timed else None,
            messages_received=self._received,
            messages_repaired=self._repaired,
            messages_ignored=self._ignored,
        )

    # What follows.

    def _step(self, what: SessionInput, now: float, failure: Failure | None = None) -> SessionAction | None:
        try:
            action, self._state = SESSIONS[self._state, what]
        except KeyError:
            raise LocalProtocolError(f"{what.value} is not possible {self._state.value}") from None
        if isinstance(action, SessionAction):
            return action
        self._end(action, failure, now)
        return None

    @property
    def _segment_complete(self) -> bool:
        """Whether no more audio comes for the segment that is being served."""
        return self._stream.several or self._state is SessionState.ENDING

    def _pump(self, now: float) -> None:
        """Send what waits, as far as link and pace let it; after the last of a segment, ask for its last final."""
        self._now = now
        link = self._connection.serving
        if link is None or not link.open:
            return
        output, before = self._output, len(self._output)
        wake = self._stream.first.sender.pump(link, now)
        if wake is not None:
            self._timers[Timer.PACE] = wake
        elif self._segment_complete:
            link.take(LinkInput.DRAIN)
            output.append(SendText(link=link.number, text=CLOSE_STREAM))
            link.suspected = False
            self._expect_word(link, now)
            if Timer.LAST not in self._timers:  # after end_input() it counts from there
                self._expect_last(now)
        if len(output) > before:
            self._connection.sent(link, now)
            if Timer.QUIET not in link.timers:
                self._expect_word(link, now)

    def _expect_word(self, link: Link, now: float) -> None:
        """Audio went out: something is to come back."""
        link.timers[Timer.QUIET] = now + self._timeouts.mute / 2 + self._ahead(link, now)

    def _ahead(self, link: Link, now: float) -> float:
        """Seconds by which ``link`` was sent more than a recogniser that works in real time can have heard by now."""
        timeline = self._stream.first.timeline
        unheard = timeline.duration(link.sent - max(timeline.watermark, link.start))
        ahead = unheard - (now - link.confirmed_at)
        return ahead if ahead > _LITTLE else 0.0

    def _expect_last(self, now: float) -> None:
        """Bound the wait for the last final: a recogniser may need as long as what it has not finalised lasts."""
        self._timers[Timer.LAST] = now + self._timeouts.last + self._stream.first.unfinalised

    def _changed(self, change: Change | None, now: float) -> None:
        """The connection changed: take the stream on from there."""
        if change is None:
            return
        kind, link, failure = change.kind, change.link, change.failure
        if kind is ChangeKind.SERVING or kind is ChangeKind.ACCEPTED:
            self._serve(link, now, accepted=kind is ChangeKind.ACCEPTED)
        elif kind is ChangeKind.QUIET:
            self._ask_if_mute(link, now)
        elif kind is ChangeKind.CLOSED:
            if self._state is SessionState.CLOSING and self._connection.idle:
                self._step(SessionInput.LINKS_GONE, now)
        elif kind is ChangeKind.GIVEN_UP:
            self._step(SessionInput.GIVEN_UP, now, failure)
        else:
            serving = self._connection.serving
            if serving is None or not serving.serves:
                self._stream.first.sender.take_back(link)
                if self._state is SessionState.STREAMING:  # nobody waits for an end
                    self._timers.stop(Timer.LAST)
            if kind is ChangeKind.REJECTED and failure is not None:
                self._rejected(failure, now)
            elif link.drained and failure is not None and failure.code == NORMAL_CLOSURE:
                self._unanswered += 1
                if self._unanswered == 2:  # once more would be the same: this service sends none
                    self._segment_over(SessionInput.UNANSWERED, now)

    def _serve(self, link: Link, now: float, *, accepted: bool) -> None:
        """``link`` is open: it hears everything from the watermark on."""
        segment = self._stream.first
        if segment.fallback is not None:
            segment.fallback = None
            if segment.wanted is not None:
                self._connection.replace(live_transcription_request(segment.wanted, self._endpoint), now)
        elif accepted:
            segment.config, segment.wanted = segment.wanted or segment.config, None
        if (before := self._connection.replaced) is not None:
            segment.sender.take_back(before)
        segment.sender.serve(link)
        self._hearing.use(segment.config, segment.timeline)
        self._hearing.serve(link)
        self._pump(now)

    def _transcribed(self, link: Link, message: Transcription, now: float) -> bool:
        """Take a transcription; return whether it leaves open how far the service has heard."""
        last = message.is_last
        draining = link.state is LinkState.DRAINING
        if last and not (draining and self._state is SessionState.ENDING and not self._stream.several):
            message = msgspec.structs.replace(message, is_last=False)  # of a part of the stream, or before its end
        ask = self._hearing.transcription(link, message, self._stream.first.sender, now)
        if last and draining:
            self._segment_over(SessionInput.LAST, now)
        return ask

    def _ask_if_mute(self, link: Link, now: float) -> None:
        """Audio goes out, nothing comes back. A caller can be silent, a service must answer a finalize."""
        if link.suspected or not link.open:
            said = "audio went out and nothing came back: the service is mute"
            self._changed(self._connection.abandon(link, Failure(kind=FailureKind.DEADLINE, reason=said), now), now)
            return
        hesitation = self._timeouts.mute / 40
        if link.hesitated < _HESITATIONS and not self._stream.first.sender.quiet():
            link.hesitated += 1  # a finalize in the middle of a word would cut it in two
            link.timers[Timer.QUIET] = now + hesitation
            return
        link.suspected = True
        link.timers[Timer.QUIET] = now + self._timeouts.mute / 2 - link.hesitated * hesitation
        self._stream.first.sender.probe(link)
        self._connection.sent(link, now)

    def _rejected(self, failure: Failure, now: float) -> None:
        self._output.append(UpdateRejected(failure=failure))
        segment = self._stream.first
        segment.wanted = None
        if segment.fallback is None:
            return
        # What was given in the format that the service refused cannot be heard by it.
        segment.sender.lose(0, segment.sender.given, LossReason.REJECTED)
        if self._stream.several:
            self._next_segment(segment.fallback, now)
        else:
            self._stream.add(segment.fallback, segment.end)
            self._stream.forget_first()
            self._begin_segment(now)

    def _segment_over(self, how: SessionInput, now: float) -> None:
        """The last final of the segment is here, or will not come."""
        self._timers.clear()
        if self._stream.several:
            over = self._stream.first
            if how is not SessionInput.LAST:
                self._hearing.settle()
            over.close(None if how is SessionInput.LAST else LossReason.ENDED)
            self._next_segment(over.fallback or over.config, now)
        elif self._step(how, now, _NO_LAST) is SessionAction.CLOSE:
            self._connection.close(now)

    def _next_segment(self, fallback: TranscriptionConfig, now: float) -> None:
        """The first segment is over: open a link for the next one."""
        self._stream.forget_first()
        self._stream.first.fallback = fallback
        self._connection.close(now, live_transcription_request(self._stream.first.config, self._endpoint))
        self._begin_segment(now)

    def _begin_segment(self, now: float) -> None:
        self._unanswered = 0
        self._timers.clear()
        self._hearing.use(self._stream.first.config, self._stream.first.timeline)
        if self._state is SessionState.ENDING:
            self._expect_last(now)

    def _end(self, reason: EndReason, failure: Failure | None, now: float) -> None:
        """Put everything out that is owed, ``SessionEnded`` last."""
        self._connection.abort()
        self._timers.clear()
        first = self._stream.first
        self._hearing.end(first.timeline.seconds(first.sender.sent))
        unheard = reason is EndReason.FAILED or reason is EndReason.INCOMPLETE
        self._stream.close(LossReason.ENDED if unheard else None)
        self._output.append(SessionEnded(reason=reason, failure=failure))


_LITTLE = 1.0  # seconds: what waited while a link opened, say
_HESITATIONS = 10  # somebody may be speaking: so often the question whether the service hears is put off
_NO_LAST = Failure(kind=FailureKind.DEADLINE, reason="the service did not send the last final")
