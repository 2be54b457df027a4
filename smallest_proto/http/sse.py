"""Server-sent events -> their types and data, incrementally, by the rules of the WHATWG's HTML standard (section 9.2).

A stream can be split anywhere: within a character, between CR and LF. Ids are passed over, as the service resumes none.
"""

from __future__ import annotations

from smallest_proto.values import Value

MAX_EVENT_BYTES = 16 * 2**20  # two minutes of pcm at 44100 Hz in one event; more is no event of this service

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(Value, frozen=True, kw_only=True):
    """One event."""

    PRIVATE = frozenset({"data"})

    type: str = "message"
    data: str  # the lines of data, joined with "\n"


class SseDecoder:
    """Takes bytes as they come, and gives the events that are complete. It never raises.

    An event of over 16 MiB is not accepted: the decoder is ``overflowed`` then, and takes no more.
    """

    __slots__ = ("_after_cr", "_data", "_first", "_line", "_size", "_type", "overflowed", "retry")

    def __init__(self) -> None:
        self._line: list[bytes] = []  # the parts of a line whose end has not come
        self._first = True  # no line has ended yet: it may begin with a byte order mark
        self._after_cr = False  # a LF that comes now belongs to the CR before it
        self._type = ""
        self._data: list[str] = []
        self._size = 0  # bytes of the event and of the line under way
        self.retry: int | None = None  # milliseconds that the server asks to wait before a new connection
        self.overflowed = False

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take a part of the stream; return the events that are complete now."""
        if self._after_cr and data:
            data = data[data[0] == 0x0A :]
            self._after_cr = False
        events: list[ServerSentEvent] = []
        for line in _lines(data):
            self._size += len(line)
            if self._size > MAX_EVENT_BYTES:
                self.overflowed = True
            if self.overflowed:
                break
            end = line[-1]
            if end == 0x0A or end == 0x0D:
                if (event := self._end_line(line)) is not None:
                    events.append(event)
                self._after_cr = end == 0x0D
            else:
                self._line.append(line)
        return events

    def end(self) -> ServerSentEvent | None:
        """No more will come: the event for whose end a line, or the blank line after it, is missing.

        By the standard it is to be dropped; whoever can tell from its data that it is whole may take it.
        """
        if self._line:
            self._end_line(b"\n")
        return self._dispatch()

    def _end_line(self, line: bytes) -> ServerSentEvent | None:
        """``line`` is complete, or at least its end."""
        if self._line:
            line = b"".join((*self._line, line))
            self._line.clear()
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if line[0] in b"\r\n":
            return self._dispatch()
        end = len(line) - (2 if line.endswith(b"\r\n") else 1)
        if (colon := line.find(b":", 0, end)) < 0:
            colon = end
        name, start = line[:colon], colon + (2 if line[colon + 1 : colon + 2] == b" " else 1)
        text = str(memoryview(line)[start:end], "utf-8", "replace")  # the one copy of audio here
        if name == b"data":
            self._data.append(text)
        elif name == b"event":
            self._type = text
        elif name == b"retry" and text.isascii() and text.isdigit() and len(text) < 20:
            self.retry = int(text)
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, kind = self._data, self._type
        self._data, self._type, self._size = [], "", 0
        return ServerSentEvent(type=kind or "message", data="\n".join(data)) if data else None


def _lines(data: bytes) -> list[bytes]:
    """The lines of ``data``, each with its end: LF, CR or CRLF, and none other."""
    if b"\r" in data:
        return data.splitlines(keepends=True)
    # splitlines looks at each byte by itself; find does not, and the lines with the audio are long.
    lines, at = [], 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        lines.append(data[at:end])
        at = end
    return lines
