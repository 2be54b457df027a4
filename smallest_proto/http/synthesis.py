"""Synthesis over HTTP: the audio is given out while it comes, as a body or as server-sent events.

Facts of the wire: the vendor's OpenAPI file for Lightning (August 2026). An answer that is no audio (the page of a
proxy, an error with a status of success) is a failure and never audio.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from smallest_proto.checks import whole_text
from smallest_proto.commands import ExchangeCommand
from smallest_proto.config import Endpoint, RetryPolicy, SynthesisConfig, Timeouts, check_text
from smallest_proto.errors import ConfigurationError, Failure
from smallest_proto.requests import synthesis_request, synthesis_sse_request
from smallest_proto.retry import no_jitter
from smallest_proto.synthesis.events import AudioChunk, SpeechFinished
from smallest_proto.synthesis.pieces import pieces_of
from smallest_proto.synthesis.script import NOTHING_TO_SAY, says_something

from .audio_answers import AudioBody, AudioEvents, AudioReader
from .chunks import Chunker
from .exchange import ExchangeFailed, ExchangeRetried, HttpExchange
from .seams import Seam, seam_of

# The longest that the speech of a text can be: longer audio is taken as endless, and given up.
LEAST_BOUND = 60.0  # seconds
SLOWEST = 4.0  # seconds of a character: "9" is a word, a sign of mathematics several, and both at half the speed
WIDEST = 2  # bytes of a sample; mp3 needs fewer

_APPLIED = "applied"  # content_expiry, as the service says it; of several requests, if all of them were so

Output: TypeAlias = ExchangeCommand | AudioChunk | SpeechFinished | ExchangeRetried | ExchangeFailed


class Synthesis:
    """The synthesis of a whole text: ``AudioChunk``s while they come, then ``SpeechFinished``.

    A text of over 250 characters goes in several requests, one after the other, each of whole sentences, and their
    audio is joined. (A wav says how long it is, so nothing of it comes before the end.) It has the calls of an
    ``HttpExchange``. Each request is tried again as long as none of its own audio was given out; what came before it is
    kept. With ``sse`` the service sends the audio while it makes it (pcm, ulaw, alaw). Raises ``ConfigurationError``
    for a text that cannot be spoken and for what the route, the model or server-sent events do not have.
    """

    def __init__(
        self,
        config: SynthesisConfig,
        endpoint: Endpoint,
        text: str,
        *,
        sse: bool = False,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
    ) -> None:
        text = whole_text(text) if isinstance(text, str) else text
        check_text(text)
        pieces = [piece for piece in pieces_of(text, within_words=True) if says_something(piece)]
        if not pieces:
            raise ConfigurationError(NOTHING_TO_SAY)
        of_one = config
        if len(pieces) > 1 and isinstance(config, SynthesisConfig) and config.output_format == "wav":
            of_one = msgspec.structs.replace(config, output_format="pcm")
        self._left = deque(
            PieceSynthesis(of_one, endpoint, piece, sse=sse, timeouts=timeouts, retry=retry, jitter=jitter)
            for piece in pieces
        )
        self._seam = None if len(pieces) == 1 else seam_of(config)
        self._chunker = Chunker(config)
        self._dropped = 0
        self._expiry: str | None = _APPLIED
        self._outputs: deque[Output] = deque()

    @property
    def ended(self) -> bool:
        """Whether the outcome was given out."""
        return len(self._left) == 1 and self._left[0].ended

    def start(self, now: float) -> None:
        """Begin: gives ``SendRequest``."""
        self._left[0].start(now)
        self._take(now)

    def response_started(self, status: int, headers: Iterable[tuple[str, str]], now: float) -> None:
        """The status line and the headers of the answer are here."""
        self._left[0].response_started(status, headers, now)
        self._take(now)

    def body_received(self, data: bytes, now: float) -> None:
        """A part of the answer's body is here."""
        self._left[0].body_received(data, now)
        self._take(now)

    def response_ended(self, now: float) -> None:
        """The answer is complete."""
        self._left[0].response_ended(now)
        self._take(now)

    def exchange_failed(self, failure: Failure, now: float) -> None:
        """There was no connection, or it was lost before the answer was complete."""
        self._left[0].exchange_failed(failure, now)
        self._take(now)

    def abort(self, now: float) -> None:
        """The application no longer wants the answer."""
        self._left[0].abort(now)
        self._take(now)

    def handle_timer(self, now: float) -> None:
        """Time has passed. Call it at any time."""
        self._left[0].handle_timer(now)
        self._take(now)

    def poll_output(self) -> Output | None:
        """The next command, chunk or outcome, or ``None`` when there is nothing more to do now."""
        return self._outputs.popleft() if self._outputs else None

    def get_timer(self) -> float | None:
        """When to call ``handle_timer``, or ``None``."""
        return self._left[0].get_timer()

    def _take(self, now: float) -> None:
        """Take the outputs of the current request; if it is over, go on to the next one."""
        while (output := self._left[0].poll_output()) is not None:
            if isinstance(output, ExchangeFailed):
                self._forget()
                self._outputs.append(output)
            elif self._seam is None:
                self._outputs.append(output)
            elif isinstance(output, AudioChunk):
                self._give(self._seam.feed(output.data))
            elif isinstance(output, SpeechFinished):
                self._dropped += output.dropped
                self._expiry = output.content_expiry if self._expiry == _APPLIED else self._expiry
                self._go_on(self._seam, output, now)
            else:
                self._outputs.append(output)

    def _go_on(self, seam: Seam, finished: SpeechFinished, now: float) -> None:
        if len(self._left) > 1:
            self._give(seam.next())
            self._left.popleft()
            self._left[0].start(now)
            return
        self._give(seam.end())
        chunker = self._chunker
        self._outputs.append(
            SpeechFinished(
                seconds=chunker.seconds,
                size=chunker.size,
                dropped=self._dropped,
                request_id=finished.request_id,
                content_expiry=self._expiry,
            )
        )

    def _give(self, audio: bytes) -> None:
        if (chunk := self._chunker.take(audio)) is not None:
            self._outputs.append(chunk)

    def _forget(self) -> None:
        """Drop the requests that are left, and with them their text, which is private."""
        while len(self._left) > 1:
            self._left.pop()


class PieceSynthesis(HttpExchange[AudioChunk | SpeechFinished]):
    """The synthesis of a text in one request. Raises ``ConfigurationError`` as ``Synthesis`` does."""

    def __init__(
        self,
        config: SynthesisConfig,
        endpoint: Endpoint,
        text: str,
        *,
        sse: bool = False,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        jitter: Callable[[], float] = no_jitter,
    ) -> None:
        request = (synthesis_sse_request if sse else synthesis_request)(config, endpoint, text)
        source = AudioEvents if sse else AudioBody
        seconds = LEAST_BOUND + SLOWEST * len(text)
        limit = math.ceil(seconds * config.sample_rate) * WIDEST
        super().__init__(
            request,
            lambda: AudioReader(source(config), limit=limit),
            timeouts=timeouts,
            retry=retry,
            jitter=jitter,
            # A plain answer may begin only when all audio is made; events begin with the first of it.
            first=timeouts.audio if sse else timeouts.response,
            longest=timeouts.response + seconds,  # the service speaks faster than one hears
        )
