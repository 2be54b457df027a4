"""The service's side of one synthesis socket, in both of its protocols; pure as well.

*Plain*: the text of a request comes in fragments with ``continue: true``. It is spoken at ``flush: true``, or when
``max_buffer_flush_ms`` are over. A message without ``continue`` ends the request, and one ``complete`` answers it:
``complete_backoff_ms`` after the last chunk, or before the first chunk of the next text. A request with nothing to
speak gets none.

*Continuations*: messages with a ``context_id``. Whole sentences are spoken at once, the rest when
``max_buffer_delay_ms`` are over or the context ends. ``complete`` follows every part, and none is marked as the last.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, TypeAlias

import msgspec

from smallest_proto.checks import is_encodable
from smallest_proto.config import MAX_TEXT, SynthesisConfig
from smallest_proto.errors import ConfigurationError, LocalProtocolError
from smallest_proto.reading import Word, read_json_object
from smallest_proto.values import Value

from .options import read_synthesis_fields
from .requests import SynthesisSocketRequest
from .socket_requests import Part, SocketRequest
from .states import SPEAKING, RequestAction, RequestInput, SpeakingAction, SpeakingInput, SpeakingState, step
from .synthesiser import SpokenPiece, joined, sentence_end
from .transcription import INACTIVITY_SECONDS, Close, Reply

CHUNK_SECONDS = 0.1  # of audio in one message
BUFFER_DELAY_MS = 3000  # the service's default: text of a context waits this long for the end of its sentence
COMPLETE_BACKOFF_MS = 4000  # the service's default: complete comes this long after the last chunk of a plain request
MAX_CONTEXTS = 100  # of one socket, at once


class Speak(Value, frozen=True, kw_only=True):
    """Begin to speak a text: give its first piece to ``spoken``, or the reason why it is impossible to ``failed``."""

    PRIVATE: ClassVar[frozenset[str]] = frozenset({"text"})

    text: str
    options: SynthesisConfig

    @property
    def speed(self) -> float:
        """Times the natural pace."""
        return self.options.speed or 1.0


class GoOn(Value, frozen=True, kw_only=True):
    """Give the next piece of the same text to ``spoken``; ``None`` after its last."""


class Chunk(Reply, frozen=True, kw_only=True):
    """Send one text message that holds audio."""

    seconds: float  # of audio


class Complete(Reply, frozen=True, kw_only=True):
    """Send the text message that says that a part was spoken."""


SynthesisCommand: TypeAlias = Speak | GoOn | Reply | Close


class SynthesisService:
    """The service's side of one synthesis socket.

    Call ``poll_output`` until it gives ``None``, after every other call; ``now`` is seconds of any monotonic clock. A
    host asks for no more output than it can send, because ``cancel_request`` takes back what was not asked for yet.
    Answer every ``Speak`` and every ``GoOn`` by one call of ``spoken`` or ``failed``, at any later time. Nothing that a
    client sends raises.

    What is impossible is answered with an error, which ends its request or context; the socket goes on. ``voices`` are
    the voices that exist besides cloned ones; ``None``: any. The socket is closed after ``inactivity`` seconds without
    a message from the client, or after the time that the client asked for.
    """

    def __init__(
        self,
        request: SynthesisSocketRequest,
        session_id: str,
        *,
        inactivity: float = INACTIVITY_SECONDS,
        voices: Collection[str] | None = None,
    ) -> None:
        self._session_id = session_id
        self._voices = voices
        self._inactivity = request.timeout or inactivity
        self._deadline: float | None = None
        self._plain: SocketRequest | None = None  # the plain request whose text still comes
        self._contexts: dict[str, SocketRequest] = {}  # those whose text still comes
        self._requests = 0
        self._parts: deque[Part] = deque()  # to be spoken, in order
        self._completing: deque[tuple[float, SocketRequest]] = deque()  # plain requests, and when their complete is due
        self._part: Part | None = None  # the one that the host speaks; None: none is wanted
        self._out: deque[tuple[SocketRequest | None, Reply | Close]] = deque()
        self._state = SpeakingState.FREE

    @property
    def closed(self) -> bool:
        """``Close`` was given: what comes now is ignored."""
        return self._state in (SpeakingState.CLOSED, SpeakingState.CLOSED_ASKED)

    def poll_output(self) -> SynthesisCommand | None:
        """The next thing to do, or ``None``."""
        if self._out:
            return self._out.popleft()[1]
        if self._part is None and not self._parts:
            return None
        if self._state is SpeakingState.FREE and self._completing:
            self._tell_completes(math.inf)
            return self.poll_output()
        action = self._take(SpeakingInput.NEXT)
        if action is SpeakingAction.NOTHING:
            return None
        if action is SpeakingAction.GO_ON:
            return GoOn()
        self._part = part = self._parts.popleft()
        return Speak(text=part.text, options=part.options)

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        times = [self._deadline, *(request.due for request in self._open()), *(due for due, _ in self._completing)]
        return min((time for time in times if time is not None), default=None)

    def start(self, now: float) -> None:
        """The WebSocket is open."""
        if self.closed:
            return  # it failed before it was open
        self._deadline = now + self._inactivity

    def message_received(self, data: str | bytes, now: float) -> None:
        """A message came from the client: text or binary."""
        if self._take(SpeakingInput.MESSAGE) is SpeakingAction.NOTHING:
            return
        self._deadline = now + self._inactivity
        fields = read_json_object(data) if isinstance(data, str) else "binary"
        if isinstance(fields, str):  # the message is not repeated: it may be private
            self._error(f"the message must be a JSON object as text, and it is {fields}", None)
            return
        context_id = fields.get("context_id")
        if context_id is not None and not (isinstance(context_id, str) and 0 < len(context_id) <= 128):
            self._error("context_id must be text of 1 to 128 characters", None)
            return
        if fields.get("cancel_request"):
            self._cancel(context_id)
            return
        request = self._request(context_id)
        if request is None:
            return
        try:
            self._read(request, fields, now)
        except ConfigurationError as error:
            self._error(str(error), request)

    def spoken(self, piece: SpokenPiece | None, now: float) -> None:
        """The next piece of the text under way; ``None``: there is no more. Raises ``LocalProtocolError`` unasked."""
        action, part = self._answered(SpeakingInput.END if piece is None else SpeakingInput.PIECE)
        if part is None or action is SpeakingAction.NOTHING:
            return
        if piece is not None:
            self._tell(part, piece)
            return
        self._part = None
        part.request.words += len(part.tokens)
        part.request.spoken_at = now
        if part.completes:
            self._complete(part.request, now)

    def failed(self, message: str, now: float, *, status: int = 400) -> None:
        """The text under way cannot be spoken: its request is over. Raises ``LocalProtocolError`` unasked.

        ``message`` is shown to the client, and must not repeat the text. ``status`` is what HTTP would answer.
        """
        action, part = self._answered(SpeakingInput.FAILED)
        if part is not None and action is SpeakingAction.COMPLAIN:
            self._part = None
            self._error(message, part.request, status)

    def handle_timer(self, now: float) -> None:
        """The time of ``get_timer`` has come."""
        for request in self._open():
            if request.due is not None and now >= request.due:
                self._speak(request, len(request.buffer))
        self._tell_completes(now)
        if self._deadline is not None and now >= self._deadline:
            self.fail(f"no message from the client for {self._inactivity:g} s", 1000, now)

    def fail(self, message: str, code: int, now: float) -> None:
        """The service cannot go on (1011), is full (1013) or goes away (1001): an error message, then the close."""
        if self._take(SpeakingInput.FAIL) is SpeakingAction.NOTHING:
            return
        self._out.clear()
        self._parts.clear()
        self._contexts.clear()
        self._completing.clear()
        self._part = self._plain = self._deadline = None
        message = message.encode("utf-8", "replace").decode()
        self._reply(None, Reply, {"status": "error", "message": message})
        # A close frame has room for 123 bytes of reason (RFC 6455, section 5.5).
        self._out.append((None, Close(code=code, reason=message.encode()[:123].decode(errors="ignore"))))

    # What the client sends.

    @property
    def _wanted(self) -> list[Part]:
        """What is spoken now, or will be."""
        return [*([self._part] if self._part is not None else []), *self._parts]

    def _open(self) -> list[SocketRequest]:
        return [*([self._plain] if self._plain is not None else []), *self._contexts.values()]

    def _request(self, context_id: str | None) -> SocketRequest | None:
        """The request that a message belongs to, perhaps a new one; ``None`` if there are too many."""
        request = self._plain if context_id is None else self._contexts.get(context_id)
        if request is not None:
            return request
        if len(self._contexts) >= MAX_CONTEXTS:
            self._error(f"a socket has at most {MAX_CONTEXTS} contexts at once: end one first", None)
            return None
        self._requests += 1
        request = SocketRequest(f"{self._session_id}-{self._requests}", context_id)
        if context_id is None:
            self._plain = request
        else:
            self._contexts[context_id] = request
        return request

    def _read(self, request: SocketRequest, fields: Mapping[str, Any], now: float) -> None:
        """A fragment of text. Raises ``ConfigurationError``."""
        text, goes_on, flush = fields.get("text"), fields.get("continue", False), fields.get("flush", False)
        if not isinstance(goes_on, bool) or not isinstance(flush, bool):
            raise ConfigurationError("continue and flush must be true or false")
        if text is None and (flush or not goes_on) and request.fields:
            text = ""  # the last message of a request needs no text
        if not isinstance(text, str):
            raise ConfigurationError("text is missing: send the text to be spoken as a string")
        if not is_encodable(text):
            raise ConfigurationError("the text holds lone surrogates, which no UTF-8 can carry")
        if len(request.buffer) + len(text) > MAX_TEXT:
            raise ConfigurationError(f"a text may wait up to {MAX_TEXT:,} characters: flush it earlier")
        request.fields.update({name: value for name, value in fields.items() if value is not None})
        request.options = read_synthesis_fields(request.fields, voices=self._voices)
        if request.options.output_format != "pcm":
            raise ConfigurationError(f"a socket carries pcm alone, not {request.options.output_format}")
        request.buffer = joined(request.buffer, text)
        if not goes_on or flush:
            self._speak(request, len(request.buffer))
        elif request.context_id is not None:
            self._speak(request, sentence_end(request.buffer))
        if not goes_on:
            self._end(request, now)
        elif request.due is None and request.buffer.strip():
            options = request.options
            delay = options.max_buffer_flush_ms or None  # 0: until it is flushed
            if request.context_id is not None:
                delay = BUFFER_DELAY_MS if options.max_buffer_delay_ms is None else options.max_buffer_delay_ms
            request.due = None if delay is None else now + delay / 1000

    def _speak(self, request: SocketRequest, size: int) -> None:
        """Put the first ``size`` characters of the buffer in the queue."""
        text, request.buffer = request.buffer[:size], request.buffer[size:]
        if size or not request.buffer:
            request.due = None  # the wait of the rest begins again
        # The rest of a sentence can be its full stop alone.
        due = RequestInput.WORDS if any(map(str.isalnum, text)) else RequestInput.SIGNS
        action = request.take(due if text.strip() else RequestInput.BLANK)
        if action is RequestAction.SPEAK and request.options is not None:
            self._parts.append(Part(request, text, request.options, completes=request.context_id is not None))

    def _end(self, request: SocketRequest, now: float) -> None:
        """No more text comes."""
        if request.context_id is not None:
            del self._contexts[request.context_id]
        else:
            self._plain = None
        action = request.take(RequestInput.END)
        if action is RequestAction.COMPLAIN:
            self._error("the text holds nothing that can be said: no words, no numbers", request)
        elif action is RequestAction.COMPLETE and request.context_id is None:  # each part of a context has its own
            under_way = [part for part in self._wanted if part.request is request]
            if under_way:
                under_way[-1].completes = True
            else:
                self._complete(request, now)

    def _cancel(self, context_id: str | None) -> None:
        """Barge-in: nothing more of a context is spoken, and there is no answer."""
        if context_id is None:
            self._error("cancel_request needs the context_id of what is to be cancelled", None)
            return
        self._contexts.pop(context_id, None)
        for request in {part.request for part in self._wanted}:
            if request.context_id == context_id:
                self._drop(request)
        self._out = deque((of, what) for of, what in self._out if of is None or of.context_id != context_id)

    def _drop(self, request: SocketRequest) -> None:
        self._parts = deque(part for part in self._parts if part.request is not request)
        if self._part is not None and self._part.request is request:
            self._part = None
            self._take(SpeakingInput.DROP)

    # What the client is sent.

    def _take(self, what: SpeakingInput) -> SpeakingAction:
        action, self._state = step(SPEAKING, self._state, what)
        return action

    def _answered(self, what: SpeakingInput) -> tuple[SpeakingAction, Part | None]:
        """What to do about the host's answer, and the part that it is about."""
        if (self._state, what) not in SPEAKING:
            raise LocalProtocolError("spoken() and failed() answer a Speak or a GoOn, and none is under way")
        return self._take(what), self._part

    def _tell(self, part: Part, piece: SpokenPiece) -> None:
        """One piece of a text: its audio in messages, each word before the first audio of it."""
        request, rate = part.request, part.options.sample_rate
        size = 2 * round(CHUNK_SECONDS * rate)
        words = deque(piece.words if part.options.word_timestamps else ())
        for at in range(0, len(piece.pcm), size):
            audio = piece.pcm[at : at + size]
            while words and (words[0].start or 0.0) < (at + len(audio)) / 2 / rate:
                self._word(part, words.popleft())
            seconds = len(audio) / 2 / rate
            self._reply(request, Chunk, {"status": "chunk", "data": {"audio": audio}}, seconds=seconds)
        for word in words:
            self._word(part, word)
        request.seconds += len(piece.pcm) / 2 / rate

    def _word(self, part: Part, word: Word) -> None:
        request = part.request
        start, end = ((time or 0.0) + request.seconds for time in (word.start, word.end))
        data = {"id": request.words + part.token(word.text), "word": word.text, "start": start, "end": end}
        self._reply(request, Reply, {"status": "word_timestamp", "data": data})

    def _complete(self, request: SocketRequest, now: float) -> None:
        if request.context_id is None and request.options is not None:
            backoff = request.options.complete_backoff_ms
            due = request.spoken_at + (COMPLETE_BACKOFF_MS if backoff is None else backoff) / 1000
            self._completing.append((due, request))
            self._tell_completes(now)
        else:
            self._reply(request, Complete, {"status": "complete"})

    def _tell_completes(self, now: float) -> None:
        """Send those that are due, in the order of their requests."""
        while self._completing and self._completing[0][0] <= now:
            self._reply(self._completing.popleft()[1], Complete, {"status": "complete"})

    def _error(self, message: str, request: SocketRequest | None, status: int = 400) -> None:
        """An error, which ends the request that it is about."""
        if request is not None:
            self._drop(request)
            if request is self._plain:
                self._plain = None
            elif request.context_id is not None and self._contexts.get(request.context_id) is request:
                del self._contexts[request.context_id]
        message = message.encode("utf-8", "replace").decode()
        error = {"message": message, "code": str(status)}
        self._reply(request, Reply, {"status": "error", "message": message, "error": error, "private": False})

    def _reply(self, request: SocketRequest | None, kind: type[Reply], body: Mapping[str, Any], **more: float) -> None:
        message: dict[str, Any] = {"session_id": self._session_id}
        if request is not None:
            options = request.options
            ids = {
                "request_id": request.request_id,
                "external_session_id": options.session_id if options is not None else None,
                "external_request_id": options.request_id if options is not None else None,
                "context_id": request.context_id,
            }
            message |= {name: value for name, value in ids.items() if value is not None}
        text = msgspec.json.encode({**message, **body}).decode()
        self._out.append((request, kind(text=text, **more)))
