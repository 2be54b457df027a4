"""The far end of one link of a session that is told anything at all: a service, as awkward as was drawn."""

from __future__ import annotations

from collections import deque
from urllib.parse import urlsplit

from smallest_proto.reading import Word
from smallest_proto.requests import Request
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import PlainRecogniser
from smallest_proto.server.requests import LiveRequest, read_request
from smallest_proto.server.transcription import Close, Finalize, Hear, LiveService, Reply

from .strategies import SECRET


class Peer:
    """What a transport can know of one link, and which commands make sense for it.

    At its far end is a service, as awkward as was drawn, that says one word each half second whatever it hears.
    """

    def __init__(self, request: Request, imperfection: Imperfection, now: float) -> None:
        self.state = "opening"  # then open, closing, gone
        self.under_way: deque[Reply | Close] = deque()  # said by the service, not yet here
        url = urlsplit(request.full_url)
        asked = read_request("GET", f"{url.path}?{url.query}", request.headers, websocket=True)
        assert isinstance(asked, LiveRequest)
        self.service = LiveService(asked, "real", imperfection=imperfection)
        self.service.start(now)
        spoken = (Word(text=SECRET, start=at / 2 + 0.1, end=at / 2 + 0.4) for at in range(100))
        self.recogniser = PlainRecogniser(spoken, self.service.recogniser_options)

    def hear(self, data: str | bytes, now: float) -> None:
        """A message of the client has arrived."""
        self.service.message_received(data, now)
        self.settle(now)

    def settle(self, now: float) -> None:
        self.service.handle_timer(now)
        while (command := self.service.poll_output()) is not None:
            if isinstance(command, Hear):
                self.service.recognised(self.recogniser.hear(command.audio), now)
            elif isinstance(command, Finalize):
                self.service.finalized(command.ask(self.recogniser), now)
            else:
                self.under_way.append(command)
