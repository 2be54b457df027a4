"""A client for scripts and notebooks, with nothing to await: the asyncio client, in a thread with its own event loop.

It works where a loop runs in the calling thread, as in Jupyter. A Ctrl-C takes back what is under way. In a process
that is forked off a client begins anew, with a thread of its own; a stream stays with the process in which it began.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from functools import partial
from itertools import chain
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar
from weakref import WeakSet

from smallest_proto.config import FileTranscriptionConfig, SynthesisConfig, TranscriptionConfig
from smallest_proto.errors import LocalProtocolError, RemoteError
from smallest_proto.http.files import FileTranscript, TranscriptionAccepted
from smallest_proto.http.voices import Voice
from smallest_proto.stats import SessionStats, SynthesisStats
from smallest_proto.synthesis.events import AudioChunk, SpeechEvent, SpeechFinished
from smallest_proto.transcription.events import Event

from . import _speech
from . import asyncio as _asyncio
from ._client import Options, hide_options
from ._live import File, Pieces, given
from ._loop_thread import Call, LoopThread

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self, Unpack

__all__ = ["Client", "Speech", "SynthesisStream", "TranscriptionStream"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="AsyncIterator[Any]")


class Client:
    """A client of the service whose calls wait for what they bring, with the options of the asyncio client.

    Its thread begins with the first call and ends with ``close()``, or with the ``with`` block; what is still under way
    then is ended. Threads may share a client.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        hide_options(options)
        self._options = options
        self._closed = threading.Event()
        self._begin()
        _CLIENTS.add(self)

    def _begin(self) -> None:
        """Before the first call, in this process."""
        self._client = _asyncio.Client(**self._options)
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()  # of the thread's beginning and end

    def _begin_anew(self) -> None:
        """In a process that was forked off, which has none of the threads: what they held stays as it is, for ever."""
        _LEFT.append((self._client, self._thread))  # to be collected it would touch what is the parent's
        self._options["api_key"] = self._client._endpoint.api_key
        closed, self._closed = self._closed, threading.Event()
        if closed.is_set():
            self._closed.set()
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything; once is as good as twice. After it no task, socket or thread is left."""
        with self._lock:
            self._closed.set()
            if self._thread is not None:
                self._thread.stop()

    def transcribe(
        self, audio: File | None = None, config: FileTranscriptionConfig | None = None, *, url: str | None = None
    ) -> FileTranscript:
        """Transcribe a whole file: its bytes, its path, or the URL that the service is to fetch it from.

        Raises ``OSError`` for a file that cannot be read, ``ConfigurationError`` for one that is empty or over 250 MB
        and for options that cannot be, and ``RemoteError`` for what the service or the network did.
        """
        return self._call(self._client.transcribe, audio, config, url=url)

    def transcribe_by_webhook(
        self, audio: File | None = None, config: FileTranscriptionConfig | None = None, *, url: str | None = None
    ) -> TranscriptionAccepted:
        """Hand a file in; the transcript goes to ``config.webhook_url``. Raises as ``transcribe`` does."""
        return self._call(self._client.transcribe_by_webhook, audio, config, url=url)

    def transcribe_live(self, audio: File | Pieces, config: TranscriptionConfig | None = None) -> Iterator[Event]:
        """The events of a live transcription of a file, or of audio that comes in pieces: iterate over them.

        A WAV of one channel says its format itself; other audio has that of ``config``. A file is sent as fast as the
        service takes it. The next piece is asked for when all events so far have been taken, so pieces of a microphone
        should be short: 50 ms, say. ``LiveTranscript.of(events)`` puts the finals together.
        Raises ``OSError`` for a file that cannot be read, ``ConfigurationError`` for one that cannot be streamed, what
        asking for the next piece raises, and ``RemoteError`` after the last event where the session failed.
        """
        config = config or TranscriptionConfig()
        if isinstance(audio, (str, PathLike)):
            audio = self._call(_asyncio.Client._driver.read_file, audio)
        config, parts = given(audio, config)
        with self.stream_transcription(config) as stream:
            steps: Iterator[Callable[[], None]] = (partial(stream.send_audio, piece) for piece in parts)
            for tell in chain(steps, (stream.end_input,)):
                try:
                    tell()
                except RemoteError:
                    break  # the events say how it came to that, and their end raises it
                yield from stream.waiting()
            yield from stream

    @contextmanager
    def stream_transcription(self, config: TranscriptionConfig | None = None) -> Iterator[TranscriptionStream]:
        """A live transcription, which begins at once: audio that is given before the connection is open waits for it.

        Leaving the block aborts what has not ended by then. Raises ``ConfigurationError`` for options that cannot be.
        """
        with self._within(self._client.stream_transcription(config)) as stream:
            yield TranscriptionStream(stream, self._caller())

    def synthesize(self, text: str, config: SynthesisConfig | None = None, *, sse: bool = False) -> Speech:
        """Speak a whole text: iterate over the audio, ``speech.read()``, or ``speech.save("x.wav")``.

        With ``sse`` the service sends the audio while it makes it (pcm, ulaw, alaw). Raises ``ConfigurationError`` for
        a text that cannot be spoken, and for options that cannot be.
        """
        return Speech(self._client.synthesize(text, config, sse=sse), self._caller())

    @contextmanager
    def stream_synthesis(
        self, config: SynthesisConfig | None = None, *, resume: bool = False, strict: bool = True
    ) -> Iterator[SynthesisStream]:
        """Speak text as it is written, over a connection that is kept from before, or over a new one.

        With ``resume`` a connection that is lost in mid-speech costs no word, where the voice has word times. What
        cannot be spoken, or is cut off, raises a ``RemoteError`` at the end of the iteration; without ``strict`` the
        events alone tell of it.
        Leaving the block drops what was not spoken by then, and keeps the connection for the next call with the same
        options. Raises ``ConfigurationError`` for options that cannot be.
        """
        with self._within(self._client.stream_synthesis(config, resume=resume, strict=strict)) as stream:
            yield SynthesisStream(stream, self._caller())

    def prewarm(self, config: SynthesisConfig | None = None, *, resume: bool = False) -> None:
        """Open a connection for the next ``stream_synthesis`` with the same options, if none is kept.

        Raises ``RemoteError`` where that fails, ``ConfigurationError`` for options that cannot be, and
        ``LocalProtocolError`` where the client keeps none.
        """
        self._call(self._client.prewarm, config, resume=resume)

    def voices(self, model: str | None = None) -> tuple[Voice, ...]:
        """The voices of a model, or all that there are.

        Raises ``ConfigurationError`` for what is no model, and ``RemoteError`` for what the service or the network did.
        """
        return self._call(self._client.voices, model)

    @contextmanager
    def _within(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        stack, process = AsyncExitStack(), os.getpid()
        try:
            yield self._call(stack.enter_async_context, manager)
        finally:
            if not self._closed.is_set() and os.getpid() == process:
                self._call(stack.aclose)

    def _caller(self) -> Callable[..., Any]:
        """How a stream calls what begins now: in this process alone."""
        process = os.getpid()

        def call(function: Callable[..., Coroutine[Any, Any, T]], /, *args: Any) -> T:
            if os.getpid() != process:
                raise LocalProtocolError("this began in the process that this one was forked off: begin another one")
            return self._call(function, *args)

        return call

    def _call(self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        call: Call[T] = Call()  # before all else: a Ctrl-C can come at any moment from here on
        try:
            with self._lock:
                if self._closed.is_set():
                    raise LocalProtocolError("the client is closed: make another one")
                if self._thread is None:
                    self._thread = LoopThread(self._client)
                self._thread.start(call, function(*args, **kwargs))
            return call.outcome.result()
        except asyncio.CancelledError:
            raise LocalProtocolError("the client was closed while this was under way") from None
        except BaseException:
            call.cancel()
            raise


_CLIENTS: WeakSet[Client] = WeakSet()
_LEFT: list[Any] = []


def _after_fork() -> None:
    for client in tuple(_CLIENTS):
        client._begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)


class _Source(Generic[S, T]):
    """What is iterated over: the asynchronous one of the same name, and how to call it."""

    def __init__(self, stream: S, call: Callable[..., Any]) -> None:
        self._stream = stream
        self._call = call

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item: T | None = self._call(_next, self._stream)
        if item is None:
            raise StopIteration
        return item


class TranscriptionStream(_Source[_asyncio.TranscriptionStream, Event]):
    """One live transcription: audio in, events out.

    Iterating gives the session's events, the last of them ``SessionEnded``; where the session failed it then raises
    the ``RemoteError`` of its failure. One thread may send while another one iterates.
    """

    @property
    def stats(self) -> SessionStats:
        """What the session did so far."""
        return self._stream.stats

    @property
    def config(self) -> TranscriptionConfig:
        """The options of the audio that is given next; after ``UpdateRejected`` those that hold on."""
        return self._stream.config

    def send_audio(self, audio: Buffer) -> None:
        """Give audio of the configured format, in pieces of any size (opus: one packet at a time).

        Waits while the session or the socket has enough to do.
        Raises ``LocalProtocolError`` for what is no audio and after ``end_input``, and once the session has failed the
        ``RemoteError`` of its failure.
        """
        self._call(self._stream.send_audio, audio)

    def finalize(self) -> None:
        """Ask for everything given so far as a final. The stream goes on."""
        self._call(self._stream.finalize)

    def update(self, config: TranscriptionConfig) -> None:
        """Go over to other options without a gap; ``UpdateRejected`` is told where the service does not take them."""
        self._call(self._stream.update, config)

    def end_input(self) -> None:
        """No more audio comes: the rest is sent, the last final awaited, and the session ends."""
        self._call(self._stream.end_input)

    def waiting(self) -> list[Event]:
        """The events that have come so far and were not taken yet."""
        events: list[Event] = self._call(_take, self._stream)
        return events


class Speech(_Source[_speech.Speech, AudioChunk]):
    """The speech of a whole text: ``read`` it, ``save`` it, or iterate over its ``AudioChunk``s as they come.

    The text is sent when the first audio is asked for, or on entering ``with``. Whoever may stop before the end leaves
    by ``with``, or calls ``close``. A failure is raised where the audio is asked for, as ``RemoteError``.
    """

    @property
    def finished(self) -> SpeechFinished | None:
        """How much it was, once all of it has been taken."""
        return self._stream.finished

    def read(self) -> bytes:
        """All of it, in ``output_format``. Raises ``LocalProtocolError`` where a part was taken before."""
        audio: bytes = self._call(self._stream.read)
        return audio

    def save(self, path: str | PathLike[str]) -> None:
        """Write all of it to a file, which is there whole or not at all. PCM is saved as WAV if its name says so.

        Raises ``ConfigurationError``, and sends nothing, for a name that ends otherwise than the format does;
        ``OSError`` for what cannot be written.
        """
        self._call(self._stream.save, path)

    def close(self) -> None:
        """Drop what has not come yet. Once is as good as twice."""
        self._call(self._stream.aclose)

    def __enter__(self) -> Self:
        self._call(self._stream.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SynthesisStream(_Source[_speech.SynthesisStream, SpeechEvent]):
    """Text in as it is written, speech out. One thread may write while another one iterates.

    Iterating gives the session's events, its segments numbered from 0. It ends when the last segment is over after
    ``end_input``: the connection is kept for the next stream. Where the session ends before that, its last event is
    ``SessionEnded``, and if it failed the ``RemoteError`` of its failure is raised then. With ``strict`` that of the
    first segment which failed (``SpokenSoFar.failure``) is raised as well, after the last event.
    """

    @property
    def stats(self) -> SynthesisStats:
        """What was done so far over the connection, which may have served other streams before."""
        return self._stream.stats

    def send_text(self, text: str) -> None:
        """Give text of the present segment, in pieces of any size: tokens, as they are written.

        Waits while the socket has enough to do. Raises ``LocalProtocolError`` for what is no text and after
        ``end_input``, ``ConfigurationError`` for a segment of over 100,000 characters, and once the session has failed
        the ``RemoteError`` of its failure. Half a character (a surrogate) at the end of a piece waits for its other
        half in the next one.
        """
        self._call(self._stream.send_text, text)

    def flush(self) -> None:
        """The present segment has all its text: speak it to its end. The next text begins another one."""
        self._call(self._stream.flush)

    def end_input(self) -> None:
        """No more text comes: the rest is spoken, and the iteration ends."""
        self._call(self._stream.end_input)

    def cancel(self) -> None:
        """Drop all that was given, at once (barge-in). The stream goes on.

        Audio that came before is still there to be taken; after it ``SpokenSoFar`` tells what was spoken.
        """
        self._call(self._stream.cancel)


async def _next(stream: AsyncIterator[T]) -> T | None:
    return await anext(stream, None)


async def _take(stream: _asyncio.TranscriptionStream) -> list[Event]:
    return [await anext(stream) for _ in range(len(stream._driver.outputs))]
