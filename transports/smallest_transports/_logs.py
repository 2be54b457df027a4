"""What a call does, in words for a log: without the key, and without anything that was said.

INFO tells of its links, retries, handovers and losses, DEBUG of every command and every event, which show of what is
private its size alone. A logger of the application's world is handed in; this module asks for none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import Any, Protocol

from smallest_proto import commands
from smallest_proto.errors import Failure
from smallest_proto.events import LinkLost, LinkOpened, SessionEnded
from smallest_proto.http.exchange import ExchangeFailed, ExchangeRetried
from smallest_proto.http.files import FileTranscript, TranscriptionAccepted
from smallest_proto.http.voices import Voices
from smallest_proto.synthesis.events import SpeechFinished
from smallest_proto.transcription.events import AudioLost, UpdateRejected

from ._proxy import Proxy

ROOT = "smallest_proto"  # all lie below ``logging.getLogger("smallest_proto")``, the only name that a user has to know

_NUMBERS = itertools.count(1)


class Logger(Protocol):
    """What is needed of one of the standard library's."""

    def info(self, message: str, /, *args: object) -> None: ...
    def debug(self, message: str, /, *args: object) -> None: ...


class CallLog:
    """What one call puts out, session or exchange, under a number of its own in this process."""

    def __init__(self, logger: Logger, *, debug: bool, proxy: Proxy | None) -> None:
        self.debug = debug
        self._logger = logger
        self._number = next(_NUMBERS)
        self._way = "" if proxy is None else f" through the proxy {proxy.host}, port {proxy.port}"

    def note(self, output: Any, links: Collection[int] = ()) -> None:
        """A command or an event; ``links`` are those that there are before it."""
        if self.debug:
            self._logger.debug("call %d: %r", self._number, output)
        if (words := _WORDS.get(type(output))) is not None:
            way = self._way if isinstance(output, (commands.OpenLink, commands.SendRequest)) else ""
            beside = [link for link in links if link] if isinstance(output, commands.OpenLink) else ()
            others = f" beside link {', '.join(map(str, beside))}" if beside else ""
            self._logger.info("call %d: %s%s%s", self._number, words(output), way, others)

    def wrong(self, mistake: Exception) -> None:
        """A mistake ends the call. It is raised where the application awaits; only its type is logged."""
        self._logger.info("call %d: ended by a %s", self._number, type(mistake).__name__)


def _why(failure: Failure | None) -> str:
    return "" if failure is None else f": {failure.reason}"


def _answered(answer: FileTranscript | TranscriptionAccepted | SpeechFinished) -> str:
    return "answered" + (f" as request {answer.request_id}" if answer.request_id else "")


_WORDS: dict[type, Callable[[Any], str]] = {
    commands.OpenLink: lambda command: f"link {command.link}: connecting to {command.request.url}",
    commands.CloseLink: lambda command: f"link {command.link}: saying goodbye",
    commands.AbortLink: lambda command: f"link {command.link}: dropped",
    commands.SendRequest: lambda command: f"{command.request.method} {command.request.url}",
    commands.AbortRequest: lambda _: "dropped",
    LinkOpened: lambda event: f"link {event.link}: open after {event.seconds:.3f} s",
    LinkLost: lambda event: f"link {event.link}: lost{_why(event.failure)}; the next one in {event.retry_in:.2f} s",
    UpdateRejected: lambda event: f"the new options were not taken{_why(event.failure)}",
    AudioLost: lambda event: f"audio lost from {event.start:.3f} to {event.end:.3f} s: {event.reason.value}",
    SessionEnded: lambda event: f"ended, {event.reason.value}{_why(event.failure)}",
    ExchangeRetried: lambda event: f"not yet{_why(event.failure)}; the next try in {event.retry_in:.2f} s",
    ExchangeFailed: lambda event: f"failed{_why(event.failure)}",
    FileTranscript: _answered,
    TranscriptionAccepted: _answered,
    SpeechFinished: _answered,
    Voices: lambda _: "answered",
}
