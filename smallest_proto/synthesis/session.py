"""A synthesis: text in as it is written, speech out, whatever happens to the connections in between.

``now`` is seconds of any monotonic clock. After every call, drain ``poll_output``; call ``handle_timer`` at
``get_timer``.

The text is a row of segments, one utterance each, spoken one after the other. A link is kept for the next segment if
nothing about the last one can still come on it. If something can, a new link takes its place at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from smallest_proto.commands import Command, SendText
from smallest_proto.config import MAX_TEXT, Endpoint, RetryPolicy, SynthesisConfig, Timeouts
from smallest_proto.errors import ConfigurationError, Failure, FailureKind, LocalProtocolError
from smallest_proto.events import SessionEnded
from smallest_proto.link import Link
from smallest_proto.links import CLOSE_FOLLOWS, NORMAL_CLOSURE, Change, ChangeKind, Links
from smallest_proto.reading import MalformedMessage, UnknownMessage
from smallest_proto.refusals import closed_failure, message_failure
from smallest_proto.requests import live_synthesis_request
from smallest_proto.retry import classify, no_jitter
from smallest_proto.stats import SynthesisStats
from smallest_proto.statuses import Verdict
from smallest_proto.timers import Timer

from .events import SpeechEvent
from .messages import AudioMessage, MessageWriter, RefusalMessage, ServiceMessage, decode_message
from .segment import History, Segment
from .segments import Segments
from .states import (
    SYNTHESES,
    SegmentAction,
    SegmentInput,
    SegmentState,
    SynthesisAction,
    SynthesisInput,
    SynthesisState,
)

_DAMAGED = Failure(kind=FailureKind.PROTOCOL, reason="audio came that cannot be decoded: it was damaged on its way")
_MUTE = Failure(
    kind=FailureKind.PROTOCOL,
    reason="the service said that it has spoken, and there was no audio: perhaps the voice cannot say the text",
)
_SILENT = Failure(kind=FailureKind.DEADLINE, reason="the service was asked to speak, and nothing came in time")
_SENDING = (SegmentState.WAITING, SegmentState.SAYING)  # its text is sent as it comes


class SynthesisSession:
    """One synthesis over a socket.

    A *segment* is the text from the first ``send_text`` after a ``flush`` up to the next one. Its audio comes as
    ``AudioChunk``, and its end as ``SegmentDone``; if it ends before all of it was spoken, as ``SpokenSoFar``. Of one
    that holds signs of a pause alone ("...") nothing comes; one of an emoji alone cannot be spoken, and fails.

    ``resume``: a link that is lost in mid-speech costs no word and repeats none, where the voice has word times (they
    are asked for, and audio is given out in whole words); without it, and where the voice has none, the segment is cut
    off. A segment of which nothing was given out yet is always begun anew on the next link.
    ``jitter`` gives numbers from 0 to 1 (``random.random``): they spread the waits between tries, and the first one
    names what is said with continuations. ``idle``: seconds after which the service may close an idle link, if not 60.
    Raises ``ConfigurationError`` for a configuration that ``endpoint`` or a socket does not serve. What the application
    does wrong raises ``LocalProtocolError`` or ``ConfigurationError`` and changes nothing; nothing that a peer sends
    raises.
    """

    def __init__(
        self,
        config: SynthesisConfig,
        endpoint: Endpoint,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
        resume: bool = False,
        idle: float | None = None,
    ) -> None:
        self._config = config
        self._timeouts = timeouts
        self._state = SynthesisState.NEW
        self._output: deque[Command | SpeechEvent] = deque()
        self._segments = Segments(config, resume=resume, most_retries=retry.max_retries, output=self._output)
        self._links = Links(
            live_synthesis_request(config, endpoint, idle=idle),
            keepalive=False,  # there is no such message; if an idle link is closed, a new one opens when it is needed
            timeouts=timeouts,
            retry=retry,
            jitter=jitter,
            output=self._output,
            needed=lambda: bool(self._segments),
        )
        self._writer = MessageWriter(config, words=config.word_timestamps or resume)
        self._name = f"{int(jitter() * 0xFFFFFFFF):08x}"
        self._history = History()
        self._received = self._repaired = self._ignored = 0

    # Calls of the application.

    def start(self, now: float) -> None:
        """Open the first link. Text can be given at once; it waits for the link."""
        self._step(SynthesisInput.START, now)
        self._links.open(now)

    def send_text(self, text: str, now: float) -> None:
        """Give text of the present segment, in pieces of any size: tokens, as they are written.

        A word is sent when it is known to be whole, by the white space after it or the flush. Once ``SpokenSoFar`` told
        that the segment was cut off, the rest of its text is passed over.
        A character whose two halves (surrogates) come in two pieces is put together; a half that stays alone is
        replaced by U+FFFD.
        Raises ``LocalProtocolError`` for what is no text, before the start and after the end of the input, and
        ``ConfigurationError`` where the segment would have over 100,000 characters.
        """
        if not isinstance(text, str):
            raise LocalProtocolError(f"the text must be a str, not {type(text).__name__}")
        if self._segments.length + len(text) > MAX_TEXT:
            raise ConfigurationError(f"a segment takes at most {MAX_TEXT:,} characters: flush() it earlier")
        self._step(SynthesisInput.TEXT, now)
        if text:
            self._segments.add(text)
            self._pump(now)

    def flush(self, now: float) -> None:
        """The present segment has all its text: speak it to its end. Without text this does nothing."""
        self._step(SynthesisInput.FLUSH, now)
        self._segments.flush()
        self._pump(now)

    def end_input(self, now: float) -> None:
        """No more text comes: flush, speak what was given, end."""
        self._step(SynthesisInput.END_INPUT, now)
        self._segments.flush()
        self._pump(now)

    def cancel(self, now: float) -> None:
        """Drop all that was given, at once (barge-in). The session goes on; once it has ended this does nothing."""
        self._step(SynthesisInput.CANCEL, now)
        if not self._segments:
            return
        first, link = self._segments.under_way, self._links.serving
        self._segments.drop(None)
        if first is not None and link is not None and self._config.continuations:
            self._send(link, self._writer.cancel(first.context), now)
            self._history.cancelled = True
        self._over(now, clean=first is None or (self._history.cancelled and self._history.named))

    def prewarm(self, now: float) -> None:
        """Open a link, if there is none, before there is text for it."""
        self._step(SynthesisInput.PREWARM, now)
        self._links.want(now)

    def abort(self, now: float) -> None:
        """End at once, in any state. Once it has ended this does nothing."""
        self._step(SynthesisInput.ABORT, now)

    # Calls of the driver. What it says about a link that is gone is ignored.

    def link_opened(self, link: int, now: float) -> None:
        """The WebSocket of ``link`` is open."""
        self._changed(self._links.opened(link, now), now)

    def link_failed(self, link: int, failure: Failure, now: float) -> None:
        """``link`` could not be opened, or was lost without a close frame."""
        self._changed(self._links.failed(link, failure, now), now)

    def link_closed(self, link: int, code: int, reason: str, now: float) -> None:
        """The peer closed ``link``, or answered our ``CloseLink``. ``reason`` is the peer's, and private."""
        first = self._segments.under_way
        goodbye = code == NORMAL_CLOSURE and first is not None and first.seems_spoken
        self._changed(self._links.closed(link, closed_failure(code, reason), now, goodbye=goodbye), now)

    def message_received(self, link: int, data: str | bytes, now: float) -> None:
        """A whole message of the service. A binary one is read as text: the service sends none."""
        self._received += 1
        source = self._links.find(link)
        message = None if source is None else decode_message(data)
        if source is None or message is None or isinstance(message, (UnknownMessage, MalformedMessage)):
            self._ignored += 1
            return
        self._repaired += message.repaired or type(data) is not str
        source.warm_use_at = None
        segment = self._history.meant(message, self._segments.under_way)
        if isinstance(message, RefusalMessage):
            self._refused(source, segment, message, now)
        elif segment is None:
            self._ignored += 1
        else:
            source.heard_at = now
            self._heard(source, segment, message, now)

    def pong_received(self, link: int, now: float) -> None:
        """The peer answered a ``SendPing``."""
        self._links.ponged(link, now)

    def write_done(self, link: int, now: float) -> None:
        """Everything that was asked of ``link`` so far has left for the socket."""
        self._links.written(link, now)

    def handle_timer(self, now: float) -> None:
        """The time of ``get_timer`` has come. Called early or for nothing, it does nothing."""
        while (change := self._links.handle_timer(now)) is not None:
            self._changed(change, now)

    # Outputs.

    def poll_output(self) -> Command | SpeechEvent | None:
        """The next command or event, in order, or ``None``."""
        return self._output.popleft() if self._output else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        return self._links.next_timer()

    ready_for_input = True  # text is little

    @property
    def ended(self) -> bool:
        """Whether the session is over; ``SessionEnded`` is its last output."""
        return self._state is SynthesisState.ENDED

    @property
    def idle(self) -> bool:
        """Whether no segment is being spoken or waits."""
        return not self._segments

    @property
    def warm(self) -> bool:
        """Whether a link is open on which the next segment can begin at once."""
        link = self._links.serving
        return self._state is SynthesisState.SPEAKING and self.idle and link is not None and link.open

    @property
    def stats(self) -> SynthesisStats:
        """What the session did so far."""
        return SynthesisStats(
            segments=self._segments.given,
            segments_done=self._segments.done,
            seconds=self._segments.seconds,
            links=tuple(self._links.records),
            messages_received=self._received,
            messages_repaired=self._repaired,
            messages_ignored=self._ignored,
        )

    # What follows.

    def _step(self, what: SynthesisInput, now: float, failure: Failure | None = None) -> SynthesisAction | None:
        try:
            action, self._state = SYNTHESES[self._state, what]
        except KeyError:
            raise LocalProtocolError(f"{what.value} is not possible {self._state.value}") from None
        if isinstance(action, SynthesisAction):
            return action
        self._links.abort()
        self._segments.drop(failure)
        self._output.append(SessionEnded(reason=action, failure=failure))
        return None

    def _pump(self, now: float) -> None:
        """Send what can be sent of the first segment; if nothing of it is left to speak, go on to the next one."""
        self._segments.pass_over_speechless()
        if not self._segments:
            self._over(now, clean=True)
            return
        segment, script = self._segments.first, self._segments.first.script
        if segment.state is SegmentState.WAITING and script.closed and script.wordless(script.spoken):
            self._take(segment, SegmentInput.PROOF, now)  # after a lost link no word of it is left
            return
        self._links.want(now)
        link = self._links.serving
        if link is None or not link.open or segment.state not in _SENDING:
            return
        for text in script.fragments():
            if segment.state is SegmentState.WAITING:
                segment.begin(f"{self._name}-{link.number}-{segment.number}")
                link.warm_use_at = now if link.opened_at is not None and link.opened_at < now else None
            self._send(link, self._writer.text(text, segment.context), now)
            segment.take(SegmentInput.TEXT)
        if script.closed:
            self._send(link, self._writer.end(segment.context), now)
            segment.take(SegmentInput.END)
            segment.sounded_at = segment.heard_at = now
            segment.expect(link.timers, self._timeouts.audio)

    def _send(self, link: Link, text: str, now: float) -> None:
        self._output.append(SendText(link=link.number, text=text))
        link.sent(now)

    def _heard(self, link: Link, segment: Segment, message: ServiceMessage, now: float) -> None:
        """A message about the segment that is being spoken."""
        if segment.state is SegmentState.REFUSED and segment.can_begin_again:
            return  # all of it will be sent again, so what comes now would be heard twice
        if isinstance(message, AudioMessage) and message.data is None:  # later nobody could say what is missing
            self._changed(self._links.abandon(link, _DAMAGED, now), now)
            return
        over = segment.heard(message, now)
        if over is not None:
            self._take(segment, over, now, _MUTE)
        elif segment.state is SegmentState.ASKED:
            segment.expect(link.timers, self._timeouts.audio)
        elif Timer.REFUSED in link.timers:  # what was not refused is heard first
            link.timers[Timer.REFUSED] = max(link.timers[Timer.REFUSED], segment.sounded_at + CLOSE_FOLLOWS)

    def _refused(self, link: Link, segment: Segment | None, message: RefusalMessage, now: float) -> None:
        """The service sent an error: about one message, or about the link, and then a close follows."""
        failure = message_failure(message.error)
        if segment is not None:
            segment.take(SegmentInput.REFUSAL)
            link.timers.stop(Timer.QUIET)
            if segment.untouched and classify(failure) is Verdict.FINAL:
                link.error = failure
                self._go_over(link, segment, failure, now)
            else:
                self._links.doubt(link, failure, now, Timer.REFUSED)
        elif message.context_id is None and self.idle:  # as after a minute without text
            self._changed(self._links.abandon(link, failure, now), now)
        else:
            self._ignored += 1

    def _changed(self, change: Change | None, now: float) -> None:
        """A link changed: go on from there."""
        if change is None:
            return
        first = self._segments.under_way
        if change.kind is ChangeKind.SERVING:
            self._history = History()
            if self._segments:
                self._pump(now)
        elif change.kind is ChangeKind.GIVEN_UP:
            self._step(SynthesisInput.GIVEN_UP, now, change.failure)
        elif change.kind is ChangeKind.CLOSED:
            self._gone(now)
        elif first is not None:
            self._judge(first, change, now)

    def _judge(self, segment: Segment, change: Change, now: float) -> None:
        """What the change means for the segment that is being spoken."""
        if change.kind is ChangeKind.QUIET:
            if segment.expect(change.link.timers, self._timeouts.audio) <= now:
                change.link.timers.stop(Timer.QUIET)
                self._take(segment, segment.silent(), now, _SILENT)
        elif change.kind is ChangeKind.REFUSED and change.failure is not None:
            self._go_over(change.link, segment, change.failure, now)
        elif change.kind is ChangeKind.LOST:
            self._take(segment, segment.lost(), now, change.failure)
        elif change.kind is ChangeKind.LAPSED:
            self._take(segment, segment.left(), now, change.failure)
            if self._state is SynthesisState.SPEAKING:
                self._links.want(now)

    def _go_over(self, link: Link, segment: Segment, failure: Failure, now: float) -> None:
        """The service refused something on ``link``, which lives: try again on another link, or report what is lost.

        Not on the same link: what still comes on it could be about either try.
        """
        what = segment.lost(hopeless=classify(failure) is Verdict.FINAL)
        if what is SegmentInput.LOST:
            self._links.leave(link, failure, segment.tries, now)
        self._take(segment, what, now, failure)
        if self._links.serving is link:  # more text can come of a segment that was cut off
            self._links.renew(now)

    def _take(self, segment: Segment, what: SegmentInput, now: float, failure: Failure | None = None) -> None:
        """The first segment moves on: do what its table says."""
        action = segment.take(what)
        if action is SegmentAction.REWIND:
            segment.rewind()
            self._pump(now)
        elif action is SegmentAction.GIVE_UP_LINK:
            link = self._links.serving
            if link is not None and failure is not None:
                self._changed(self._links.abandon(link, failure, now), now)
        elif action is SegmentAction.TELL:
            self._segments.cut(failure)
            if segment.state is SegmentState.OVER:
                self._over(now, clean=True)  # its link is gone
        else:
            self._history.keep(segment)
            self._segments.finish(certain=what is SegmentInput.PROOF)
            self._over(now, clean=what is SegmentInput.PROOF)

    def _over(self, now: float, *, clean: bool) -> None:
        """No segment is being spoken any more; ``clean``: and nothing can still come of the last one."""
        link = self._links.serving
        if link is not None:
            link.timers.stop(Timer.QUIET)
        if not self._segments and self._state is SynthesisState.ENDING:
            self._step(SynthesisInput.ALL_OVER, now)
            self._links.close(now)
            self._gone(now)
            return
        if link is not None and link.open and (not clean or link.error is not None):
            self._links.renew(now)
        if self._segments:
            self._pump(now)

    def _gone(self, now: float) -> None:
        """A link has closed, perhaps the last one."""
        if self._state is SynthesisState.CLOSING and self._links.idle:
            unspoken = self._segments.unspoken
            what = SynthesisInput.LINKS_GONE if unspoken is None else SynthesisInput.LINKS_GONE_UNSPOKEN
            self._step(what, now, unspoken)
