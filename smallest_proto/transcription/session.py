"""A live transcription: audio in, events out, whatever happens to the connections in between.

Told what happened and asked what to do; time is an argument: ``now`` is seconds of any monotonic clock. After every
call, drain ``poll_output``, and wake the session with ``handle_timer`` at ``get_timer``.

The stream consists of parts, each in one audio format; as a rule there is one. A part is served by one link after the
other, until its last final came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from smallest_proto.commands import Command, SendText
from smallest_proto.config import Endpoint, RetryPolicy, Timeouts, TranscriptionConfig, check_seconds
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.link import Link, LinkInput, LinkState
from smallest_proto.links import Change, ChangeKind, Links
from smallest_proto.reading import ErrorMessage, MalformedMessage, UnknownMessage
from smallest_proto.refusals import closed_failure, told_failure
from smallest_proto.requests import live_transcription_request
from smallest_proto.stats import SessionStats
from smallest_proto.timers import Timer, Timers

from .cursor import Cursor
from .events import Event, LossReason, UpdateRejected
from .handover import Handover, HandoverAction
from .liveness import Liveness
from .messages import CLOSE_STREAM, Pong, Transcription, decode
from .receiving import Receiver
from .states import SESSIONS, SessionAction, SessionInput, SessionState
from .stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Buffer

_TURN_PAUSE = 1.5  # seconds: twice the silence that ends an utterance, and what a final is under way
_NO_LAST = Failure(kind=FailureKind.DEADLINE, reason="the service did not send the last final")


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
        self._links = Links(
            live_transcription_request(config, endpoint),
            keepalive=endpoint.paths.gateway,
            quotes=True,
            timeouts=timeouts,
            retry=retry,
            jitter=jitter,
            output=self._output,
        )
        self._liveness = Liveness(self._links, timeouts.mute)
        self._stream = Stream(config, timeouts.message_interval, buffer_seconds, self._output)
        self._handover = Handover(self._links, self._stream, endpoint)
        self._receiver = Receiver(config, self._stream.first.timeline, self._output)
        self._now = 0.0  # the time of the last call that moved audio
        self._unanswered = 0  # links that were asked for the last final of the part, and closed without it
        self._received = self._repaired = self._ignored = 0

    # What the application tells.

    def start(self, now: float) -> None:
        """Open the first link. Audio can be given at once; it waits for the link."""
        self._step(SessionInput.START, now)
        self._links.open(now)

    def send_audio(self, audio: Buffer, now: float) -> None:
        """Give audio of ``config.audio_format``, in pieces of any size; opus and ogg_opus one packet or page at a time.

        Raises ``LocalProtocolError`` for what is not bytes-like, before the start and after the end of the input.
        """
        self._step(SessionInput.AUDIO, now)
        self._now = now
        if self._stream.push(audio, now):
            self._pump(now)

    def finalize(self, now: float) -> None:
        """Ask for everything given so far as a final. The stream goes on.

        Each call gets exactly one ``FinalTranscript`` with ``from_finalize``, within ``Timeouts.finalize`` of a link
        that hears; it is empty where nothing was said, where the service does not answer, and where another call within
        0.3 s asked for the same.
        """
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
        self._handover.ask(config, request, now)
        self._pump(now)

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

    # What the transport tells. The number of a link that is gone finds none.

    def link_opened(self, link: int, now: float) -> None:
        """The WebSocket of ``link`` is open."""
        self._changed(self._links.opened(link, now), now)

    def link_failed(self, link: int, failure: Failure, now: float) -> None:
        """``link`` could not be opened, or was lost without a close frame."""
        self._changed(self._links.failed(link, failure, now), now)

    def link_closed(self, link: int, code: int, reason: str, now: float) -> None:
        """The peer closed ``link``, or answered our ``CloseLink``. ``reason`` is the peer's, and private."""
        self._changed(self._links.closed(link, closed_failure(code, reason), now), now)

    def message_received(self, link: int, data: str | bytes, now: float) -> None:
        """A whole message of the service. A binary one is read as text: the service sends none."""
        self._now = now
        self._received += 1
        found = self._links.find(link)
        cursor = None if found is None else self._stream.first.sender.cursor(found)
        if found is None or cursor is None:
            self._ignored += 1
            return
        found.heard_at = now
        message = decode(data)
        if isinstance(message, Pong):  # the gateway's: no proof that a recogniser hears
            return
        if isinstance(message, (UnknownMessage, MalformedMessage)):
            self._ignored += 1
            return
        if isinstance(message, ErrorMessage):
            self._repaired += type(data) is not str
            self._links.doubt(found, told_failure(message), now)
            return
        part = self._stream.first
        if self._liveness.heard(cursor, part.sender, now):
            self._take_over(now)
        if cursor.link is not self._links.serving:
            return
        mended, watermark = part.timeline.mended, part.timeline.watermark
        odd = found.renamed(message.session_id) or type(data) is not str
        self._receiver.settle(cursor, now)
        if isinstance(message, Transcription):
            odd = odd or message.repaired
            self._transcribed(cursor, message, now)
        else:
            self._receiver.voice_activity(cursor, message)
        self._repaired += odd or part.timeline.mended > mended
        if part.timeline.watermark > watermark:
            part.sender.trim()
        if found.open and cursor.link is self._links.serving and part.sender.probe(cursor):
            self._links.sent(found, now)  # words without times: else nothing would ever be known to be final

    def pong_received(self, link: int, now: float) -> None:
        """The peer answered a ``SendPing``."""
        self._links.ponged(link, now)

    def write_done(self, link: int, now: float) -> None:
        """Everything that was asked of ``link`` so far has left for the socket."""
        self._links.written(link, now)

    def handle_timer(self, now: float) -> None:
        """The time of ``get_timer`` has come. Called early or for nothing, it does nothing."""
        self._now = now
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is Timer.PACE:
                self._pump(now)
            elif timer is Timer.ANSWER:
                self._answer_due(now)
            elif timer is Timer.TURN:
                self._receiver.pause()
            else:
                self._part_over(SessionInput.LAST_DUE, now)
        while (change := self._links.handle_timer(now)) is not None:
            self._changed(change, now)

    # What is asked.

    def poll_output(self) -> Command | Event | None:
        """The next command or event, in order, or ``None``."""
        return self._output.popleft() if self._output else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        links, own = self._links.next_timer(), self._timers.next()
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
        receiver, first = self._receiver, self._stream.first
        given, sent, replayed, lost = self._stream.counts()
        return SessionStats(
            seconds_given=given,
            seconds_sent=sent,
            seconds_replayed=replayed,
            seconds_lost=lost,
            seconds_finalised=first.timeline.seconds(first.timeline.watermark),
            links=tuple(self._links.records),
            finals=receiver.finals,
            final_latency_mean=receiver.latency_sum / receiver.timed if receiver.timed else None,
            final_latency_max=receiver.latency_max if receiver.timed else None,
            messages_received=self._received,
            messages_repaired=self._repaired,
            messages_ignored=self._ignored,
        )

    # Audio goes out.

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
    def _part_complete(self) -> bool:
        """Whether no more audio comes for the part that is being served."""
        return self._stream.several or self._state is SessionState.ENDING

    def _pump(self, now: float) -> None:
        """Send what waits, as far as links and pace let it; after the last of a part, ask for its last final."""
        self._now = now
        sender = self._stream.first.sender
        for cursor in sender.cursors:
            if cursor.link.open:
                self._pump_one(cursor, now)

    def _pump_one(self, cursor: Cursor, now: float) -> None:
        sender, link = self._stream.first.sender, cursor.link
        output, before, asked = self._output, len(self._output), cursor.asked
        wake = sender.pump(cursor, now)
        if wake is not None:
            timers = self._timers
            if (due := timers.get(Timer.PACE)) is None or due <= now or wake < due:
                timers[Timer.PACE] = wake
        elif self._part_complete:
            link.take(LinkInput.DRAIN)
            output.append(SendText(link=link.number, text=CLOSE_STREAM))
            link.timers[Timer.QUIET] = now + self._liveness.shortest
            if Timer.LAST not in self._timers:  # after end_input() it counts from there
                self._expect_last(now)
        if len(output) > before:
            self._links.sent(link, now)
            if Timer.QUIET not in link.timers:
                link.timers[Timer.QUIET] = now + self._liveness.patience
            if cursor.asked > asked and Timer.ANSWER not in self._timers:
                self._timers[Timer.ANSWER] = (
                    now + self._timeouts.finalize + self._stream.first.timeline.ahead(cursor, now)
                )

    def _expect_last(self, now: float) -> None:
        """Bound the wait for the last final: a recogniser may need as long as what it has not finalised lasts."""
        self._timers[Timer.LAST] = now + self._timeouts.last + self._stream.first.sender.unfinalised

    def _answer_due(self, now: float) -> None:
        """A finalize was not answered in time: the service had nothing to say, and did not say so."""
        sender = self._stream.first.sender
        if not sender.cursors or not sender.cursors[0].link.serves:
            return  # it is asked again on the next link
        cursor = sender.cursors[0]
        if cursor.probe is not None:
            cursor.probe = None
        elif cursor.asked:
            self._receiver.answer(sender.answered(), self._stream.first.timeline)
        if cursor.asked:
            self._timers[Timer.ANSWER] = max(cursor.asked_at + self._timeouts.finalize, now + 0.1)

    # Links come and go.

    def _changed(self, change: Change | None, now: float) -> None:
        """The links changed: take the stream on from there."""
        if change is None:
            return
        kind, link, failure = change.kind, change.link, change.failure
        if kind is ChangeKind.SERVING or kind is ChangeKind.ACCEPTED:
            self._serve(link, now, accepted=kind is ChangeKind.ACCEPTED)
        elif kind is ChangeKind.QUIET:
            self._changed(self._liveness.judge(link, self._stream.first, now), now)
        elif kind is ChangeKind.BESIDE:
            self._join(link, now)
            self._pump(now)
        elif kind is ChangeKind.BESIDE_GONE:
            sender = self._stream.first.sender
            sender.leave(link)
            self._liveness.beside_gone(sender, now)
        elif kind is ChangeKind.CLOSED:
            if self._state is SessionState.CLOSING and self._links.idle:
                self._step(SessionInput.LINKS_GONE, now)
        elif kind is ChangeKind.GIVEN_UP:
            self._step(SessionInput.GIVEN_UP, now, failure)
        else:
            self._lost(change, now)

    def _lost(self, change: Change, now: float) -> None:
        """The link that served is gone, or the options of an update are refused."""
        self._stream.first.sender.leave(change.link)
        if self._links.serving is None or not self._links.serving.serves:
            if self._state is SessionState.STREAMING:  # nobody waits for an end
                self._timers.stop(Timer.LAST)
            self._timers.stop(Timer.ANSWER)
        elif change.kind is ChangeKind.LOST:  # the link beside it serves already
            self._take_over(now)
        if change.kind is ChangeKind.REJECTED and change.failure is not None:
            self._rejected(change.failure, now)
        elif change.unfinished:
            self._unanswered += 1
            if self._unanswered == 2:  # once more would be the same: this service sends none
                self._part_over(SessionInput.UNANSWERED, now)

    def _join(self, link: Link, now: float) -> Cursor:
        """``link`` is open: it is sent everything from a margin before the watermark on."""
        sender = self._stream.first.sender
        cursor = sender.begin(link, now)
        sender.cursors.append(cursor)
        return cursor

    def _serve(self, link: Link, now: float, *, accepted: bool) -> None:
        """``link`` is open and serves."""
        part = self._stream.first
        self._handover.opened(accepted=accepted, now=now)
        for before in tuple(part.sender.cursors):
            part.sender.leave(before.link)
        self._liveness.replaced(part.sender, now)
        self._receiver.use(part.config, part.timeline)
        self._receiver.serve(self._join(link, now), part.sender)
        self._timers.stop(Timer.ANSWER)
        self._pump(now)

    def _take_over(self, now: float) -> None:
        """The link that was opened beside serves from now on: it began at the watermark as well."""
        sender = self._stream.first.sender
        self._liveness.replaced(sender, now)
        self._receiver.serve(sender.cursors[0], sender)
        if sender.cursors[0].asked:
            self._timers[Timer.ANSWER] = now + self._timeouts.finalize

    # Transcripts come in.

    def _transcribed(self, cursor: Cursor, message: Transcription, now: float) -> None:
        last = message.is_last
        draining = cursor.link.state is LinkState.DRAINING
        if last and not (draining and self._state is SessionState.ENDING and not self._stream.several):
            message = msgspec.structs.replace(message, is_last=False)  # of a part of the stream, or before its end
        self._receiver.transcription(cursor, message, self._stream.first.sender, now)
        if self._receiver.pausing:
            self._timers[Timer.TURN] = now + _TURN_PAUSE
        else:
            self._timers.stop(Timer.TURN)
        if last and draining:
            self._part_over(SessionInput.LAST, now)

    # Parts come to their end.

    def _rejected(self, failure: Failure, now: float) -> None:
        part, fallback = self._stream.first, self._handover.fallback or self._stream.first.config
        action = self._handover.refused()
        if action is HandoverAction.NOTHING:
            return
        self._output.append(UpdateRejected(failure=failure))
        if action is HandoverAction.REJECT:
            return
        # What was given in the format that the service refused cannot be heard by it.
        part.sender.lose(0, part.sender.given, LossReason.REJECTED)
        if action is HandoverAction.SKIP:
            self._next_part(fallback, now)
        else:
            self._stream.add(fallback, part.end)
            self._answer_all()
            self._stream.forget_first()
            self._begin_part(now)

    def _part_over(self, how: SessionInput, now: float) -> None:
        """The last final of the part is here, or will not come."""
        self._timers.clear()
        if self._stream.several:
            over = self._stream.first
            if how is not SessionInput.LAST:
                self._receiver.provisional()
            over.close(None if how is SessionInput.LAST else LossReason.ENDED)
            self._next_part(self._handover.fallback or over.config, now)
        elif self._step(how, now, _NO_LAST) is SessionAction.CLOSE:
            self._answer_all()
            self._links.close(now)

    def _next_part(self, fallback: TranscriptionConfig, now: float) -> None:
        """The first part is over: open a link for the next one."""
        self._answer_all()
        self._stream.forget_first()
        self._handover.next_part(fallback)
        self._liveness.replaced(self._stream.first.sender, now)
        self._links.close(now, live_transcription_request(self._stream.first.config, self._endpoint))
        self._begin_part(now)

    def _begin_part(self, now: float) -> None:
        self._unanswered = 0
        self._timers.clear()
        self._receiver.use(self._stream.first.config, self._stream.first.timeline)
        if self._state is SessionState.ENDING:
            self._expect_last(now)

    def _answer_all(self) -> None:
        """No more finals come of the first part: what was asked and not answered gets its event."""
        self._receiver.answer_all(self._stream.first)

    def _end(self, reason: EndReason, failure: Failure | None, now: float) -> None:
        """Put everything out that is owed, ``SessionEnded`` last."""
        self._links.abort()
        self._timers.clear()
        first = self._stream.first
        self._receiver.end(first.timeline.seconds(first.sender.sent))
        if reason is not EndReason.ABORTED:
            for part in self._stream.parts:
                self._receiver.answer_all(part)
        unheard = reason is EndReason.FAILED or reason is EndReason.INCOMPLETE
        self._stream.close(LossReason.ENDED if unheard else None)
        self._output.append(SessionEnded(reason=reason, failure=failure))
