"""The course of a live transcription: audio goes out on links that come and go, part after part, until the end.

``session.py`` has the calls of the application and the transport; here is what follows from them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from smallest_proto.commands import Command, SendText
from smallest_proto.config import Endpoint, RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.errors import Failure, FailureKind, LocalProtocolError
from smallest_proto.events import EndReason, SessionEnded
from smallest_proto.link import Link, LinkInput, LinkState
from smallest_proto.links import Change, ChangeKind, Links
from smallest_proto.requests import live_transcription_request
from smallest_proto.timers import Alarm, Timer, Timers

from .cursor import Cursor
from .events import Event, LossReason, UpdateRejected
from .handover import Handover, HandoverAction
from .liveness import Liveness
from .messages import CLOSE_STREAM, Transcription
from .receiving import Receiver
from .states import SESSIONS, SessionAction, SessionInput, SessionState
from .stream import Stream

_TURN_PAUSE = 1.5  # seconds: twice the silence that ends an utterance, and what a final is under way
_ANSWERS_APART = 0.1  # seconds: of several answers that do not come each is given up by itself
_NO_LAST = Failure(kind=FailureKind.DEADLINE, reason="the service did not send the last final")


class Course:
    """What one session does: its state, its links, its stream, and its deadlines."""

    def __init__(
        self,
        config: TranscriptionConfig,
        endpoint: Endpoint,
        *,
        timeouts: Timeouts,
        retry: RetryPolicy,
        jitter: Callable[[], float],
        buffer_seconds: float,
    ) -> None:
        self._endpoint = endpoint
        self._timeouts = timeouts
        self.state = SessionState.NEW
        self.output: deque[Command | Event] = deque()
        self.alarm = Alarm()
        self.timers = Timers(self.alarm)
        self.links = Links(
            live_transcription_request(config, endpoint),
            keepalive=endpoint.paths.gateway,
            quotes=True,
            timeouts=timeouts,
            retry=retry,
            jitter=jitter,
            output=self.output,
            alarm=self.alarm,
        )
        self.liveness = Liveness(self.links, timeouts.mute)
        self.stream = Stream(config, timeouts.message_interval, buffer_seconds, self.output)
        self.handover = Handover(self.links, self.stream, endpoint)
        self.receiver = Receiver(config, self.stream.first.timeline, self.output)
        self.now = 0.0  # the time of the last call that moved audio
        self._unanswered = 0  # links that closed without the last final of the part, though asked for it

    # Audio goes out.

    def step(self, what: SessionInput, now: float, failure: Failure | None = None) -> SessionAction | None:
        try:
            action, self.state = SESSIONS[self.state, what]
        except KeyError:
            raise LocalProtocolError(f"{what.value} is not possible {self.state.value}") from None
        if isinstance(action, SessionAction):
            return action
        self._end(action, failure, now)
        return None

    def pump(self, now: float) -> None:
        """Send what waits, as far as links and pace allow; after the last audio of a part, ask for its last final."""
        self.now = now
        sender, output = self.stream.first.sender, self.output
        for cursor in sender.cursors:
            link, before = cursor.link, len(output)
            if link.state is not LinkState.OPEN:
                continue
            wake = sender.pump(cursor, now)
            if wake is not None:
                self._pace(wake, now)
            elif self.state is not SessionState.STREAMING or self.stream.first is not self.stream.newest:
                self._drain(link, now)
            if len(output) > before:
                link.sent_at = now
                link.owed_at = now if link.owed_at is None else link.owed_at
            if sender.asks:
                self._expect_answers(cursor, now)

    def _pace(self, wake: float, now: float) -> None:
        """What waits goes on at ``wake``, or earlier on another link."""
        if (due := self.timers.get(Timer.PACE)) is None or due <= now or wake < due:
            self.timers[Timer.PACE] = wake

    def _drain(self, link: Link, now: float) -> None:
        """All of a part that gets no more audio is sent: ask for its last final."""
        link.take(LinkInput.DRAIN)
        self.output.append(SendText(link=link.number, text=CLOSE_STREAM))
        link.timers[Timer.QUIET] = now + self.liveness.shortest
        if Timer.LAST not in self.timers:  # after end_input() it counts from there
            self.expect_last(now)

    def _expect_answers(self, cursor: Cursor, now: float) -> None:
        """Bound the wait for each answer by itself: a later question does not put off an earlier one."""
        asks = self.stream.first.sender.asks
        due = now + self._timeouts.finalize + self.stream.first.timeline.ahead(cursor, now)
        for ask in reversed(asks):
            if ask.due is None and cursor.sent >= ask.position:
                ask.due = due
            elif ask.due is not None:
                break
        if asks and asks[0].due is not None and Timer.ANSWER not in self.timers:
            self.timers[Timer.ANSWER] = asks[0].due

    def expect_last(self, now: float) -> None:
        """Limit the wait for the last final. A recogniser may need as long as the audio that is not final yet lasts."""
        self.timers[Timer.LAST] = now + self._timeouts.last + self.stream.first.sender.unfinalised

    def answer_due(self, now: float) -> None:
        """A finalize was not answered in time: the service had nothing to say, and sent no empty final."""
        sender = self.stream.first.sender
        if not sender.cursors or not sender.cursors[0].link.serves:
            return  # it is asked again on the next link
        cursor = sender.cursors[0]
        if sender.asks and (due := sender.asks[0].due) is not None and due <= now:
            if cursor.probe is not None:  # what comes next answers that
                cursor.probe = None
            self.receiver.answer(sender.answered(), self.stream.first.timeline)
        if sender.asks and (due := sender.asks[0].due) is not None:
            self.timers[Timer.ANSWER] = max(due, now + _ANSWERS_APART) if due <= now else due

    def _ask_again(self) -> None:
        """What was asked is asked once more on another link, and is due anew."""
        self.timers.stop(Timer.ANSWER)
        for ask in self.stream.first.sender.asks:
            ask.due = None

    # Links come and go.

    def changed(self, change: Change | None, now: float) -> None:
        """The links changed: take the stream on from there."""
        if change is None:
            return
        kind, link, failure = change.kind, change.link, change.failure
        if kind is ChangeKind.SERVING or kind is ChangeKind.ACCEPTED:
            self._serve(link, now, accepted=kind is ChangeKind.ACCEPTED)
        elif kind is ChangeKind.QUIET:
            self.changed(self.liveness.judge(link, self.stream.first, now), now)
        elif kind is ChangeKind.BESIDE:
            self._join(link, now)
            self.pump(now)
        elif kind is ChangeKind.BESIDE_GONE:
            sender = self.stream.first.sender
            sender.leave(link)
            self.liveness.beside_gone(sender, now)
        elif kind is ChangeKind.CLOSED:
            if self.state is SessionState.CLOSING and self.links.idle:
                self.step(SessionInput.LINKS_GONE, now)
        elif kind is ChangeKind.GIVEN_UP:
            self.step(SessionInput.GIVEN_UP, now, failure)
        else:
            self._lost(change, now)

    def _lost(self, change: Change, now: float) -> None:
        """The link that served is gone, or the options of an update are refused."""
        self.stream.first.sender.leave(change.link)
        if self.links.serving is None or not self.links.serving.serves:
            if self.state is SessionState.STREAMING:  # the input has not ended
                self.timers.stop(Timer.LAST)
            self._ask_again()
        elif change.kind is ChangeKind.LOST:  # the link beside it serves already
            self.take_over(now)
        if change.kind is ChangeKind.REJECTED and change.failure is not None:
            self._rejected(change.failure, now)
        elif change.unfinished:
            self._unanswered += 1
            if self._unanswered == 2:  # a third try would be the same: this service sends no last final
                self.part_over(SessionInput.UNANSWERED, now)

    def _join(self, link: Link, now: float) -> Cursor:
        """``link`` is open: send it everything from a margin before the watermark on."""
        sender = self.stream.first.sender
        cursor = sender.begin(link, now)
        sender.cursors.append(cursor)
        link.timers[Timer.QUIET] = now + self.liveness.patience
        return cursor

    def _serve(self, link: Link, now: float, *, accepted: bool) -> None:
        """``link`` is open and serves."""
        part = self.stream.first
        self.handover.opened(accepted=accepted, now=now)
        for before in tuple(part.sender.cursors):
            part.sender.leave(before.link)
        self.liveness.replaced(part.sender, now)
        self.receiver.use(part.config, part.timeline)
        self.receiver.serve(self._join(link, now), part.sender)
        self._ask_again()
        self.pump(now)

    def take_over(self, now: float) -> None:
        """The link that was opened beside serves from now on: it began at the watermark as well."""
        sender = self.stream.first.sender
        self.liveness.replaced(sender, now)
        self.receiver.serve(sender.cursors[0], sender)
        self._ask_again()
        self._expect_answers(sender.cursors[0], now)

    # Transcripts come in.

    def transcribed(self, cursor: Cursor, message: Transcription, now: float) -> None:
        last, draining = message.is_last, cursor.link.state is LinkState.DRAINING
        if last and not (draining and self.state is SessionState.ENDING and not self.stream.several):
            message = msgspec.structs.replace(message, is_last=False)  # of a part of the stream, or before its end
        if message.is_final:
            self.receiver.final(cursor, message, self.stream.first.sender, now)
        else:
            self.receiver.interim(cursor, message)
        if self.receiver.pausing:
            self.timers[Timer.TURN] = now + _TURN_PAUSE
        elif Timer.TURN in self.timers:
            self.timers.stop(Timer.TURN)
        if last and draining:
            self.part_over(SessionInput.LAST, now)

    # Parts come to their end.

    def _rejected(self, failure: Failure, now: float) -> None:
        part, fallback = self.stream.first, self.handover.fallback or self.stream.first.config
        action = self.handover.refused()
        if action is HandoverAction.NOTHING:
            return
        self.output.append(UpdateRejected(failure=failure))
        if action is HandoverAction.REJECT:
            return
        # What was given in the format that the service refused cannot be heard by it.
        part.sender.lose(0, part.sender.given, LossReason.REJECTED)
        if action is HandoverAction.SKIP:
            self._next_part(fallback, now)
        else:
            self.stream.add(fallback, part.end)
            self._answer_all()
            self.stream.forget_first()
            self._begin_part(now)

    def part_over(self, how: SessionInput, now: float) -> None:
        """The last final of the part is here, or will not come."""
        self.timers.clear()
        if self.stream.several:
            over = self.stream.first
            if how is not SessionInput.LAST:
                self.receiver.provisional()
            over.close(None if how is SessionInput.LAST else LossReason.ENDED)
            self._next_part(self.handover.fallback or over.config, now)
        elif self.step(how, now, self._no_last(how)) is SessionAction.CLOSE:
            self._answer_all()
            self.links.close(now)

    def _no_last(self, how: SessionInput) -> Failure:
        """Why there is no last final: where no link was left to send it, also why the last one was lost."""
        lost = self.links.records[-1].failure if self.links.records else None
        if how is not SessionInput.LAST_DUE or self.links.serving is not None or lost is None:
            return _NO_LAST
        return msgspec.structs.replace(_NO_LAST, reason=f"{_NO_LAST.reason}: {lost.reason}", detail=lost.detail)

    def _next_part(self, fallback: TranscriptionConfig, now: float) -> None:
        """The first part is over: open a link for the next one."""
        self._answer_all()
        self.stream.forget_first()
        self.handover.next_part(fallback)
        self.liveness.replaced(self.stream.first.sender, now)
        self.links.close(now, live_transcription_request(self.stream.first.config, self._endpoint))
        self._begin_part(now)

    def _begin_part(self, now: float) -> None:
        self._unanswered = 0
        self.timers.clear()
        self.receiver.use(self.stream.first.config, self.stream.first.timeline)
        if self.state is SessionState.ENDING:
            self.expect_last(now)

    def _answer_all(self) -> None:
        """No more finals come for the first part: each unanswered finalize gets its event."""
        self.receiver.answer_all(self.stream.first)

    def _end(self, reason: EndReason, failure: Failure | None, now: float) -> None:
        """Give out all events that are still due, ``SessionEnded`` last."""
        self.links.abort()
        self.timers.clear()
        first = self.stream.first
        self.receiver.end(first.timeline.seconds(first.sender.sent))
        if reason is not EndReason.ABORTED:
            for part in self.stream.parts:
                self.receiver.answer_all(part)
        unheard = reason is EndReason.FAILED or reason is EndReason.INCOMPLETE
        self.stream.close(LossReason.ENDED if unheard else None)
        self.output.append(SessionEnded(reason=reason, failure=failure))
