"""A session or an exchange out of a trace, told the same again: it puts out the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike
from typing import Any, TypeAlias

from smallest_proto.commands import Command, ExchangeCommand
from smallest_proto.errors import SmallestError
from smallest_proto.http.exchange import ExchangeFailed, ExchangeRetried
from smallest_proto.http.files import FileTranscript, TranscriptionAccepted
from smallest_proto.http.voices import Voices
from smallest_proto.synthesis.events import SpeechEvent, SpeechFinished
from smallest_proto.transcription.events import Event
from smallest_transports._trace import Replay

Output: TypeAlias = (
    Command
    | Event
    | SpeechEvent
    | ExchangeCommand
    | ExchangeRetried
    | ExchangeFailed
    | FileTranscript
    | TranscriptionAccepted
    | Voices
    | SpeechFinished
)


def replay(path: str | PathLike[str], number: int = 0) -> Iterator[tuple[float, Output]]:
    """What a session put out, command or event, each with the time at which it did; ``number`` counts the sessions.

    An exchange over HTTP (a file, a whole text, the voices) counts as one: it put out its commands and its outcome.

    Times are those of the trace: seconds of the monotonic clock of then. The key is not in a trace, and what was said
    only where ``trace_private`` was asked for: then the outputs are the same to the last word, but for the key.
    Raises ``OSError`` for a file that cannot be read, and ``ValueError`` for one that is no trace or holds fewer
    sessions.
    """
    sessions: dict[str, list[dict[str, Any]]] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                read = json.loads(line)
                sessions.setdefault(read["session"], []).append(read)
            except (ValueError, TypeError, KeyError):
                raise ValueError(f"{path} is no trace: a client with trace=... writes one") from None
    if not 0 <= number < len(sessions):
        raise ValueError(f"{path} holds {len(sessions)} sessions, which are counted from 0: there is no {number}")
    return _outputs(Replay([*sessions.values()][number]))


def _outputs(trace: Replay) -> Iterator[tuple[float, Output]]:
    session: Any = trace.make()
    for told in trace.told:
        try:
            getattr(session, told.name)(*told.args, told.at)
        except SmallestError:
            continue  # the application's mistake, which changed nothing then either
        while (output := session.poll_output()) is not None:
            yield told.at, output
