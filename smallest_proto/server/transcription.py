"""The service's side of live transcription, pure as well.

``LiveService`` is one live transcription link that ``requests.py`` has accepted. It decides all that needs no model; a
host moves messages, runs the recogniser (on a thread, if it is slow) and tells the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import msgspec

from smallest_proto.commands import KEEPALIVE
from smallest_proto.config import TranscriptionConfig
from smallest_proto.errors import LocalProtocolError
from smallest_proto.reading import read_json_object
from smallest_proto.transcription.messages import CLOSE_STREAM, FINALIZE
from smallest_proto.values import Value

from .answers import wire_utterances, wire_words
from .endpointing import Heard, Recognised, VoiceStarted
from .imperfection import Imperfect, Imperfection
from .recogniser import Recogniser
from .requests import LiveRequest
from .states import LIVE, LiveAction, LiveInput, LiveState, step

MAX_MESSAGE_BYTES = (
    2**20
)  # in one message: the service names no limit, and accepts far more than the 8192 it recommends
INACTIVITY_SECONDS = 60.0  # the service closes a link without a message from the client for so long

_GROUPS = ("north_indic",)  # of languages, beside multi and multi-...
_CLIENT_MESSAGES = (FINALIZE, CLOSE_STREAM, KEEPALIVE)


class Hear(Value, frozen=True, kw_only=True):
    """Give audio to the recogniser, then its results to ``recognised``."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"audio"})

    audio: bytes  # whole samples, or one packet


class Finalize(Value, frozen=True, kw_only=True):
    """Finalize the recogniser, then give its results to ``finalized``."""

    leaves_word: bool = False  # a word that is not over is left for the next final, if the recogniser can

    def ask(self, recogniser: Recogniser) -> Sequence[Recognised]:
        """Finalize ``recogniser``; one that can leave a word has ``finalize_words`` for it."""
        leave: Callable[[], Sequence[Recognised]] | None = getattr(recogniser, "finalize_words", None)
        return leave() if self.leaves_word and leave is not None else recogniser.finalize()


class Reply(Value, frozen=True, kw_only=True):
    """Send one text message."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str  # JSON


class Close(Value, frozen=True, kw_only=True):
    """Close the WebSocket. It is the last command."""

    code: int
    reason: str


ServiceCommand: TypeAlias = Hear | Finalize | Reply | Close


class LiveService:
    """The service's side of one live transcription link.

    Call ``poll_output`` until it gives ``None``, after every other call; ``now`` is seconds of any monotonic clock.
    Give ``Hear`` and ``Finalize`` to the recogniser in order, and its results to ``recognised`` and ``finalized`` in
    the same order, at any later time. Nothing that a client sends raises.

    More than 1 MiB in one binary message gets an error message and a close with 1009. A text message that is not
    understood gets an error message, and the link goes on; ``{"type":"end"}`` of older clients is ignored. After
    ``inactivity`` seconds without a message from the client the link is closed with 1000.

    The text of a final ends in a blank where words follow. Where ``diarize`` is on and the recogniser names no
    speakers, its words have speaker 0. A language that is refused is reported over the open link, as the service does.

    ``imperfection`` makes it as awkward as real services are. Give it as it is on this link
    (``imperfection.on_link(3)``), and make the recogniser with ``recogniser_options``.
    """

    def __init__(
        self,
        request: LiveRequest,
        session_id: str,
        *,
        inactivity: float = INACTIVITY_SECONDS,
        imperfection: Imperfection = Imperfection(),  # noqa: B008 - frozen
    ) -> None:
        self._options = request.options
        self._refused = request.refused
        self._imperfection = imperfection
        self._imperfect = Imperfect(imperfection)
        self._gateway = request.gateway
        self._session_id = session_id
        self._inactivity = inactivity
        self._width = request.audio_format.sample_width or 1
        self._part = b""  # of a sample: the rest comes with the next message
        self._deadline: float | None = None
        self._out: deque[ServiceCommand] = deque()
        self._later: deque[tuple[float, ServiceCommand]] = deque()  # what an imperfect service sends late, and when
        self._finalizing: deque[LiveInput] = deque()  # what the results of each Finalize under way are
        self._state = LiveState.OPEN
        self._full = ""  # all finals

    @property
    def recogniser_options(self) -> TranscriptionConfig:
        """The options for the recogniser of this link."""
        return self._imperfection.options(self._options)

    @property
    def closed(self) -> bool:
        """``Close`` was given: what comes now is ignored."""
        return self._state is LiveState.CLOSED

    def poll_output(self) -> ServiceCommand | None:
        """The next thing to do, or ``None``."""
        return self._out.popleft() if self._out else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        times = [time for time in (self._deadline, self._later[0][0] if self._later else None) if time is not None]
        return min(times, default=None)

    def start(self, now: float) -> None:
        """The WebSocket is open."""
        if self.closed:
            return  # it failed before it was open
        self._deadline = now + self._inactivity
        if self._refused is not None:
            self.fail("the language is not enabled in this region", 1008, now, error_code=self._refused)

    def message_received(self, data: str | bytes, now: float) -> None:
        """A message came from the client: text or binary."""
        if self._take(LiveInput.MESSAGE) is LiveAction.NOTHING:
            return
        self._deadline = now + self._inactivity
        if isinstance(data, str):
            self._read(data, now)
        elif len(data) > MAX_MESSAGE_BYTES:
            self._error(f"a binary message may have {MAX_MESSAGE_BYTES} bytes: send less at a time", now)
            self._take(LiveInput.TOO_MUCH)
            self._close(1009, "message too big", now)
        else:
            self._hear(data)

    def recognised(self, items: Sequence[Recognised], now: float) -> None:
        """The results of the oldest ``Hear`` under way."""
        if self._take(LiveInput.RESULTS) is LiveAction.NOTHING:
            return
        for item in items:
            self._tell(item, now)

    def finalized(self, items: Sequence[Recognised], now: float) -> None:
        """The results of the oldest ``Finalize`` under way. Raises ``LocalProtocolError`` if there is none."""
        if not self._finalizing:
            raise LocalProtocolError("finalized() answers a Finalize, and none is under way")
        action = self._take(self._finalizing.popleft())
        if action is LiveAction.NOTHING:
            return
        finals = [at for at, item in enumerate(items) if isinstance(item, Heard) and item.final]
        # The last final is the answer. If nothing was said there is none, and the answer is empty.
        answer = finals[-1] if finals else len(items)
        for item in items[:answer]:
            self._tell(item, now)
        heard = items[answer] if finals else Heard(text="", final=True)
        assert isinstance(heard, Heard)
        if action is LiveAction.SEND_LAST:
            self._transcription(self._imperfect.last(heard, now), now, is_last=True)
            self._close(1000, "", now)
            return
        for part, labelled, delay in self._imperfect.answers(heard):
            self._transcription(part, now, from_finalize=labelled, delay=delay)
        for item in items[answer + 1 :]:
            self._tell(item, now)

    def handle_timer(self, now: float) -> None:
        """The time of ``get_timer`` has come."""
        while self._later and self._later[0][0] <= now:
            self._out.append(self._later.popleft()[1])
        if self._deadline is not None and now >= self._deadline:
            self._take(LiveInput.IDLE)
            self._close(1000, f"no message from the client for {self._inactivity:g} s", now)

    def fail(self, message: str, code: int, now: float, *, error_code: str | None = None) -> None:
        """The service cannot go on (1011), is full (1013) or goes away (1001): an error message, then the close."""
        if self._take(LiveInput.FAIL) is not LiveAction.NOTHING:
            message = message.encode("utf-8", "replace").decode()
            self._error(message, now, error_code)
            self._close(code, message, now)

    def _take(self, what: LiveInput) -> LiveAction:
        action, self._state = step(LIVE, self._state, what)
        return action

    def _read(self, text: str, now: float) -> None:
        read = read_json_object(text)
        kind = read if isinstance(read, str) else read.get("type")
        if kind == "finalize":
            if not self._imperfection.unanswered:
                self._finalize(LiveInput.RESULTS, leaves_word=self._imperfection.leaves_word)
        elif kind == "close_stream":
            self._take(LiveInput.CLOSE_STREAM)
            self._deadline = None
            self._finalize(LiveInput.LAST)
        elif kind == "keepalive" and self._gateway:
            self._reply({"type": "pong"}, now)
        elif kind != "end":  # the message is not repeated: it may be private
            known = _CLIENT_MESSAGES if self._gateway else _CLIENT_MESSAGES[:2]
            self._error("unknown message: " + " or ".join(known), now)

    def _finalize(self, results: LiveInput, *, leaves_word: bool = False) -> None:
        self._finalizing.append(results)
        self._out.append(Finalize(leaves_word=leaves_word))

    def _hear(self, audio: bytes) -> None:
        if self._part or len(audio) % self._width:
            audio = self._part + audio
            whole = len(audio) - len(audio) % self._width
            audio, self._part = audio[:whole], audio[whole:]
        if audio:
            self._out.append(Hear(audio=audio))

    def _tell(self, item: Recognised, now: float) -> None:
        if isinstance(item, Heard):
            self._transcription(item, now, goes_on=not item.endpoint)
        elif self._options.vad_events:
            kind = "speech_started" if isinstance(item, VoiceStarted) else "speech_ended"
            self._reply({"type": kind, "session_id": self._session_id, "timestamp": item.time}, now)

    def _transcription(
        self,
        heard: Heard,
        now: float,
        *,
        from_finalize: bool = False,
        is_last: bool = False,
        goes_on: bool = False,
        delay: float = 0.0,
    ) -> None:
        result = self._imperfect.heard(heard, now)
        if result is None:
            return
        message = self._message(result, result.text + " " if goes_on and result.final and result.text else result.text)
        message["is_last"] = is_last
        if result.final:
            message["from_finalize"] = from_finalize
        for later, one in self._imperfect.messages(message, delay):
            self._reply(one, now, later)

    def _message(self, heard: Heard, text: str) -> dict[str, Any]:
        options = self._options
        message: dict[str, Any] = {"type": "transcription", "status": "success"} if self._gateway else {}
        message |= {"session_id": self._session_id, "transcript": text}
        if self._gateway:
            message["transcription"] = text
        message |= {"is_final": heard.final, "is_last": False}
        if heard.final:
            self._full = f"{self._full} {heard.text}".strip()
            message |= {"from_finalize": False, "speech_final": heard.endpoint}
            message |= {"language": options.language, "languages": [options.language]}
            if options.word_timestamps:
                message["words"] = wire_words(heard, options.diarize)
            if options.sentence_timestamps:
                message["utterances"] = wire_utterances(heard, options.diarize)
        if self._tells_all:
            message["full_transcript"] = self._full
        return message

    @property
    def _tells_all(self) -> bool:
        """Groups of languages always get the whole transcript, English never, whatever was asked for."""
        language = self._options.language
        return (
            language in _GROUPS
            or language.startswith("multi")
            or (language != "en" and self._options.full_transcript is True)
        )

    def _error(self, message: str, now: float, error_code: str | None = None) -> None:
        fields: dict[str, Any]
        if self._gateway:
            fields = {"type": "error", "status": "error", "message": message, "session_id": self._session_id}
        else:
            fields = {"error": message}
        self._reply(fields if error_code is None else {**fields, "error_code": error_code}, now)

    def _reply(self, message: Mapping[str, Any], now: float, delay: float = 0.0) -> None:
        self._put(Reply(text=msgspec.json.encode(message).decode()), now, delay)

    def _close(self, code: int, reason: str, now: float) -> None:
        self._deadline = None
        # A close frame has room for 123 bytes of reason (RFC 6455, section 5.5).
        self._put(Close(code=code, reason=reason.encode()[:123].decode(errors="ignore")), now)

    def _put(self, command: Reply | Close, now: float, delay: float = 0.0) -> None:
        """Give it after ``delay``, and after all that was given before it."""
        if self._later or delay:
            self._later.append((max(now + delay, self._later[-1][0] if self._later else now), command))
        else:
            self._out.append(command)
