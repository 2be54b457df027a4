"""What a peer says: the truth of a service as awkward as was drawn, and anything at all."""

from __future__ import annotations

import json
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from hypothesis import strategies as st

from smallest_proto.reading import Word
from smallest_proto.requests import Request
from smallest_proto.server.imperfection import Imperfection
from smallest_proto.server.recogniser import PlainRecogniser
from smallest_proto.server.transcription import Close, Finalize, Hear, LiveRequest, LiveService, Reply, read_request

SECRET = "sesame"  # said in every transcript: no repr may hold it

times = st.one_of(st.none(), st.floats(-1.0, 8.0), st.floats(allow_nan=True), st.integers(), st.just("1.5"))
words = st.lists(st.fixed_dictionaries({"word": st.just(SECRET), "start": times, "end": times}), max_size=3)
flags: st.SearchStrategy[Any] = st.sampled_from((True, False, None, 1, "true", []))
transcriptions = st.fixed_dictionaries(
    {"transcript": st.sampled_from((SECRET, f"{SECRET} {SECRET}", "", ".", None, 7))},
    optional={
        "is_final": flags,
        "is_last": st.sampled_from((False, False, True, None)),
        "from_finalize": flags,
        "speech_final": flags,
        "words": st.one_of(words, st.none(), st.just("none")),
        "session_id": st.sampled_from(("one", "another", None)),
    },
)
voice = st.fixed_dictionaries({"type": st.sampled_from(("speech_started", "speech_ended")), "timestamp": times})
json_values = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5)
others = st.one_of(
    st.sampled_from(
        ({"type": "pong"}, {"type": "error", "status": "400", "message": SECRET}, {"error": SECRET}, [], 1)
    ),
    st.dictionaries(st.sampled_from(("type", "transcript", "words", "error", "timestamp")), json_values, max_size=3),
)
messages = st.one_of(
    transcriptions.map(json.dumps),
    transcriptions.map(json.dumps),
    voice.map(json.dumps),
    others.map(json.dumps),
    st.text(max_size=10),
    st.binary(max_size=10),
)


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
