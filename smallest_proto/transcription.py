"""A live transcription: audio in, events out, whatever happens in between.

Told what happened and asked what to do; time is an argument. ``now`` is seconds of any monotonic clock. After every
call, drain ``poll_output`` and wake the session with ``handle_timer`` at ``get_timer``.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from .commands import AbortLink, CloseLink, Command, OpenLink, SendText
from .config import Endpoint, Timeouts, TranscriptionConfig
from .errors import ConfigurationError, Failure, FailureKind, LocalProtocolError
from .events import EndReason, Event, LinkOpened, LossReason, SessionEnded
from .hearing import Hearing
from .link import Link, LinkAction, LinkInput, LinkState
from .messages import (
    CLOSE_STREAM,
    ErrorMessage,
    Pong,
    SpeechOffset,
    SpeechOnset,
    Transcription,
    decode,
)
from .requests import live_transcription_request
from .sending import Sender
from .stats import SessionStats
from .timers import Timer, Timers

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NORMAL = 1000  # WebSocket close code


class SessionState(enum.Enum):
    """Where a session is in its life."""

    NEW = "before start()"
    STREAMING = "streaming"
    ENDING = "after end_input()"  # what was given goes out; the last final is awaited
    CLOSING = "after the last final"  # the link is to say goodbye
    ENDED = "after the session has ended"


class SessionInput(enum.Enum):
    """What can happen to a session as a whole."""

    START = "start()"
    AUDIO = "send_audio()"
    FINALIZE = "finalize()"
    END_INPUT = "end_input()"
    ABORT = "abort()"
    LAST = "the last final"
    LAST_DUE = "no last final in time"
    LINK_LOST = "the link is lost"


class SessionAction(enum.Enum):
    """What the session does about it."""

    GO_ON = "go on"
    OPEN = "open a link"
    CLOSE = "close the link"
    COMPLETE = "end, completed"
    GIVE_UP_LAST = "end, incomplete"
    FAIL = "end, failed"
    ABORT = "end, aborted"


State, Input, Action = SessionState, SessionInput, SessionAction
SessionTable: TypeAlias = dict[tuple[SessionState, SessionInput], tuple[SessionAction, SessionState]]

# fmt: off
SESSIONS: SessionTable = {
    (State.NEW,       Input.START):     (Action.OPEN,         State.STREAMING),
    (State.NEW,       Input.ABORT):     (Action.ABORT,        State.ENDED),

    (State.STREAMING, Input.AUDIO):     (Action.GO_ON,        State.STREAMING),
    (State.STREAMING, Input.FINALIZE):  (Action.GO_ON,        State.STREAMING),
    (State.STREAMING, Input.END_INPUT): (Action.GO_ON,        State.ENDING),
    (State.STREAMING, Input.LINK_LOST): (Action.FAIL,         State.ENDED),
    (State.STREAMING, Input.ABORT):     (Action.ABORT,        State.ENDED),

    (State.ENDING,    Input.LAST):      (Action.CLOSE,        State.CLOSING),
    (State.ENDING,    Input.LAST_DUE):  (Action.GIVE_UP_LAST, State.ENDED),
    (State.ENDING,    Input.LINK_LOST): (Action.FAIL,         State.ENDED),
    (State.ENDING,    Input.ABORT):     (Action.ABORT,        State.ENDED),

    (State.CLOSING,   Input.LINK_LOST): (Action.COMPLETE,     State.ENDED),
    (State.CLOSING,   Input.ABORT):     (Action.ABORT,        State.ENDED),

    (State.ENDED,     Input.ABORT):     (Action.GO_ON,        State.ENDED),
}
# fmt: on
del State, Input, Action


class TranscriptionSession:
    """One live transcription.

    ``buffer_seconds`` bounds the audio that is held for replay. Raises ``ConfigurationError`` for a configuration that
    ``endpoint`` does not serve. What the application does wrong raises ``LocalProtocolError`` and changes nothing;
    nothing that a peer sends raises.
    """

    def __init__(
        self,
        config: TranscriptionConfig,
        endpoint: Endpoint,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        buffer_seconds: float = 30.0,
    ) -> None:
        if not buffer_seconds >= 1.0:
            raise ConfigurationError(f"buffer_seconds must be at least 1 second, not {buffer_seconds!r}")
        self._request = live_transcription_request(config, endpoint)
        self._timeouts = timeouts
        self._state = SessionState.NEW
        self._output: deque[Command | Event] = deque()
        self._timers = Timers()
        self._links: dict[int, Link] = {}
        self._links_opened = 0
        self._hearing = Hearing(config, self._output)
        format = config.audio_format
        self._sender = Sender(format, timeouts.message_interval, format.samples(buffer_seconds), self._output)
        self._received = self._repaired = self._ignored = 0

    # What the application tells.

    def start(self, now: float) -> None:
        """Open the first link. Audio can be given at once; it waits for the link."""
        self._step(SessionInput.START)
        self._links_opened = number = self._links_opened + 1
        link = self._links[number] = Link(number, self._hearing.timeline.watermark, now)
        link.timers.set(Timer.OPENING, now + self._timeouts.opening)
        self._output.append(OpenLink(link=number, request=self._request))

    def send_audio(self, audio: Buffer, now: float) -> None:
        """Give audio of the configured format, in pieces of any size; opus and ogg_opus one packet or page at a time.

        Raises ``LocalProtocolError`` for what is not bytes-like, before the start and after the end of the input.
        """
        self._step(SessionInput.AUDIO)
        if self._sender.push(audio):
            self._pump(now)

    def finalize(self, now: float) -> None:
        """Ask for everything given so far as a final. The stream goes on."""
        self._step(SessionInput.FINALIZE)
        self._sender.finalize()
        self._pump(now)

    def end_input(self, now: float) -> None:
        """No more audio comes: send the rest, await the last final, end."""
        self._step(SessionInput.END_INPUT)
        self._sender.flush()
        self._pump(now)

    def abort(self, now: float) -> None:
        """End at once, wherever the session is. Once it has ended this does nothing."""
        if self._step(SessionInput.ABORT) is SessionAction.ABORT:
            self._end(EndReason.ABORTED, None)

    # What the transport tells. A number of a link that is gone finds nobody.

    def link_opened(self, link: int, now: float) -> None:
        """The WebSocket of ``link`` is open."""
        if (found := self._links.get(link)) is not None:
            found.take(LinkInput.OPENED)
            found.timers.stop(Timer.OPENING)
            self._output.append(LinkOpened(link=link, seconds=now - found.opening_since))
            self._pump(now)

    def link_failed(self, link: int, failure: Failure, now: float) -> None:
        """``link`` could not be opened, or was lost without a close frame."""
        if (found := self._links.get(link)) is not None:
            found.take(LinkInput.FAILED)
            self._lost(failure)

    def link_closed(self, link: int, code: int, reason: str, now: float) -> None:
        """The peer closed ``link``, or answered our ``CloseLink``. ``reason`` is the peer's, and private."""
        if (found := self._links.get(link)) is not None:
            found.take(LinkInput.CLOSED)
            said = f"the service closed the connection with code {code}"
            self._lost(Failure(kind=FailureKind.DISCONNECTED, reason=said, code=code, detail=reason or None))

    def message_received(self, link: int, data: str | bytes, now: float) -> None:
        """A whole message of the service. A binary one is read as text: the service sends none."""
        found = self._links.get(link)
        if found is None:
            return
        self._received += 1
        message = decode(data)
        if isinstance(message, Transcription):
            self._repaired += message.repaired
            self._hearing.transcription(found, message)
            self._sender.trim(self._hearing.timeline.watermark)
            if message.is_last and found.state is LinkState.DRAINING:
                self._close(found, now)
        elif isinstance(message, (SpeechOnset, SpeechOffset)):
            self._hearing.voice_activity(found, message)
        elif isinstance(message, ErrorMessage):
            said = "the service told of an error"
            self._abandon(found, Failure(kind=FailureKind.SERVICE, reason=said, detail=message.text or None))
        elif not isinstance(message, Pong):
            self._ignored += 1

    def pong_received(self, link: int, now: float) -> None:
        """The peer answered a ``SendPing``."""

    def write_done(self, link: int, now: float) -> None:
        """Everything that was asked of ``link`` so far has left for the socket."""

    def handle_timer(self, now: float) -> None:
        """The time of ``get_timer`` has come. Called early or for nothing, it does nothing."""
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is Timer.PACE:
                self._pump(now)
            elif self._step(SessionInput.LAST_DUE) is SessionAction.GIVE_UP_LAST:
                said = "the service did not send the last final in time"
                self._end(EndReason.INCOMPLETE, Failure(kind=FailureKind.DEADLINE, reason=said))
        for link in tuple(self._links.values()):
            if (timer := link.timers.pop_due(now)) is not None:
                said = f"{timer.value} the connection took longer than {getattr(self._timeouts, timer.value):g} s"
                self._abandon(link, Failure(kind=FailureKind.DEADLINE, reason=said))

    # What is asked.

    def poll_output(self) -> Command | Event | None:
        """The next command or event, in order, or ``None``."""
        return self._output.popleft() if self._output else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        due = [when for link in self._links.values() if (when := link.timers.next()) is not None]
        if (own := self._timers.next()) is not None:
            due.append(own)
        return min(due, default=None)

    @property
    def ready_for_audio(self) -> bool:
        """Back-pressure: whether to give more now. What is given all the same is taken, up to the buffer's bound."""
        return self._sender.ready

    @property
    def ended(self) -> bool:
        """Whether the session is over; ``SessionEnded`` is its last output."""
        return self._state is SessionState.ENDED

    @property
    def stats(self) -> SessionStats:
        """What the session did so far."""
        timeline = self._hearing.timeline
        return SessionStats(
            seconds_given=timeline.seconds(self._sender.given),
            seconds_sent=timeline.seconds(self._sender.sent),
            seconds_finalised=timeline.seconds(timeline.watermark),
            links_opened=self._links_opened,
            messages_received=self._received,
            messages_repaired=self._repaired,
            messages_ignored=self._ignored,
        )

    # What follows.

    def _step(self, what: SessionInput) -> SessionAction:
        try:
            action, self._state = SESSIONS[self._state, what]
        except KeyError:
            raise LocalProtocolError(f"{what.value} is not possible {self._state.value}") from None
        return action

    def _pump(self, now: float) -> None:
        """Send what waits, as far as the link and the pace let it; after the last of it, ask for the last final."""
        for link in self._links.values():
            if link.state is not LinkState.OPEN:
                continue
            if (wake := self._sender.pump(link, now)) is not None:
                self._timers.set(Timer.PACE, wake)
            elif self._state is SessionState.ENDING:
                link.take(LinkInput.DRAIN)
                self._output.append(SendText(link=link.number, text=CLOSE_STREAM))
                # A recogniser that works in real time needs as long as what it has not finalised lasts.
                backlog = self._hearing.timeline.seconds(link.sent - self._hearing.timeline.watermark)
                self._timers.set(Timer.LAST, now + self._timeouts.last + backlog)

    def _close(self, link: Link, now: float) -> None:
        """The last final is here: say goodbye."""
        self._step(SessionInput.LAST)
        self._timers.stop_all()
        link.take(LinkInput.CLOSE)
        link.timers.set(Timer.CLOSING, now + self._timeouts.closing)
        self._output.append(CloseLink(link=link.number, code=_NORMAL))

    def _abandon(self, link: Link, failure: Failure) -> None:
        """Give ``link`` up: it failed us."""
        if link.take(LinkInput.ABORT) is LinkAction.ABORT:
            self._output.append(AbortLink(link=link.number))
        self._lost(failure)

    def _lost(self, failure: Failure) -> None:
        if self._step(SessionInput.LINK_LOST) is SessionAction.COMPLETE:
            self._end(EndReason.COMPLETED, None)
        else:
            self._end(EndReason.FAILED, failure)

    def _end(self, reason: EndReason, failure: Failure | None) -> None:
        """Put everything out that is owed, ``SessionEnded`` last."""
        for link in self._links.values():
            if link.state is not LinkState.GONE and link.take(LinkInput.ABORT) is LinkAction.ABORT:
                self._output.append(AbortLink(link=link.number))
        self._links.clear()
        self._timers.stop_all()
        sender, timeline = self._sender, self._hearing.timeline
        self._hearing.end(sender.sent)
        sender.report_usage()
        if reason is EndReason.FAILED:
            sender.lose(timeline.watermark, sender.given, LossReason.ENDED)
        elif reason is EndReason.INCOMPLETE:
            sender.lose(sender.sent, sender.given, LossReason.ENDED)
        self._output.append(SessionEnded(reason=reason, failure=failure))
