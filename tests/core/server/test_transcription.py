"""A live link from the service's side: what it answers, and that nothing a client sends can break it."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.commands import KEEPALIVE
from smallest_proto.errors import LocalProtocolError
from smallest_proto.reading import ErrorMessage
from smallest_proto.server.answers import error_answer
from smallest_proto.server.recogniser import (
    CodedRecogniser,
    Heard,
    PlainRecogniser,
    Recogniser,
    VoiceStarted,
    coded_speech,
)
from smallest_proto.server.transcription import Close, Finalize, Hear, LiveService, Reply
from smallest_proto.transcription.messages import (
    CLOSE_STREAM,
    FINALIZE,
    Pong,
    SpeechOffset,
    SpeechOnset,
    Transcription,
    decode,
)

from .asked import LIVE, read_live


class Host:
    """Runs a ``LiveService`` with its recogniser at once, and keeps what it says."""

    def __init__(self, target: str = LIVE, recogniser: Recogniser | None = None, **more: Any) -> None:
        self.service = LiveService(read_live(target), "session-7", **more)
        self.recogniser = recogniser or CodedRecogniser(read_live(target).options)
        self.replies: list[dict[str, Any]] = []
        self.closed: Close | None = None
        self.now = 100.0
        self.service.start(self.now)

    def send(self, *messages: str | bytes) -> list[dict[str, Any]]:
        """Send messages; return what is said to them."""
        before = len(self.replies)
        for message in messages:
            self.service.message_received(message, self.now)
            self.run()
        return self.replies[before:]

    def run(self) -> None:
        while (command := self.service.poll_output()) is not None:
            assert self.closed is None, "Close is the last command"
            if isinstance(command, Hear):
                self.service.recognised(self.recogniser.hear(command.audio), self.now)
            elif isinstance(command, Finalize):
                self.service.finalized(self.recogniser.finalize(), self.now)
            elif isinstance(command, Reply):
                self.replies.append(json.loads(command.text))
            else:
                self.closed = command


def pieces(pcm: bytes, size: int = 1600) -> list[bytes]:
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


SPEECH = coded_speech([1, 2, 0.8, 3])


def test_interims_finals_and_the_last_on_the_gateway() -> None:
    host = Host(f"{LIVE}&word_timestamps=true")
    replies = host.send(*pieces(SPEECH.pcm))
    interim, final = replies[0], replies[-1]
    assert interim == {
        "type": "transcription",
        "status": "success",
        "session_id": "session-7",
        "transcript": "w1",
        "transcription": "w1",
        "is_final": False,
        "is_last": False,
    }
    times = [(word.start / 16000, word.end / 16000) for word in SPEECH.words]
    assert final == {
        "type": "transcription",
        "status": "success",
        "session_id": "session-7",
        "transcript": "w1 w2",
        "transcription": "w1 w2",
        "is_final": True,
        "is_last": False,
        "from_finalize": False,
        "speech_final": True,
        "language": "en",
        "languages": ["en"],
        "words": [
            {"word": "w1", "start": times[0][0], "end": times[0][1], "confidence": 1.0},
            {"word": "w2", "start": times[1][0], "end": times[1][1], "confidence": 1.0},
        ],
    }
    (last,) = host.send(CLOSE_STREAM)
    assert (last["transcript"], last["is_final"], last["is_last"]) == ("w3", True, True)
    assert last["from_finalize"] is last["speech_final"] is False
    assert host.closed == Close(code=1000, reason="")
    assert host.service.closed
    assert host.service.get_timer() is None
    assert host.send(SPEECH.pcm[:100], FINALIZE, "nonsense") == []  # it has said goodbye


def test_a_server_reached_directly_says_less() -> None:
    host = Host("/transcribe?model=pulse")
    host.send(*pieces(SPEECH.pcm))
    assert set(host.replies[0]) == {"session_id", "transcript", "is_final", "is_last"}
    (error,) = host.send(KEEPALIVE)
    assert set(error) == {"error"}
    assert "keepalive" not in error["error"]  # it is not one of those that would be right
    assert isinstance(decode(json.dumps(error)), ErrorMessage)
    assert host.send(FINALIZE)[0]["transcript"] == "w3"  # and it goes on


def test_a_finalize_is_answered_and_the_link_goes_on() -> None:
    host = Host(LIVE)
    (empty,) = host.send(FINALIZE)
    assert (empty["transcript"], empty["is_final"], empty["from_finalize"]) == ("", True, True)
    assert "words" not in empty
    host.send(*pieces(coded_speech([5, 0.1]).pcm))
    (answer,) = host.send(FINALIZE)
    assert (answer["transcript"], answer["from_finalize"], answer["is_last"]) == ("w5", True, False)
    (last,) = host.send(CLOSE_STREAM)
    assert (last["transcript"], last["is_final"], last["is_last"]) == ("", True, True)


def test_only_the_last_of_several_finals_answers() -> None:
    class Two:
        def hear(self, audio: bytes) -> list[Any]:
            return []

        def finalize(self) -> list[Any]:
            return [Heard(text="a", final=True), Heard(text="b", final=True), VoiceStarted(time=1.0)]

    host = Host(f"{LIVE}&vad_events=true", Two())
    assert [(replies["type"], replies.get("from_finalize")) for replies in host.send(FINALIZE)] == [
        ("transcription", False),
        ("transcription", True),
        ("speech_started", None),
    ]
    assert [replies["is_last"] for replies in host.send(CLOSE_STREAM)] == [False, True]  # nothing comes after the last
    assert host.closed is not None


def test_results_may_come_late_but_come_in_order() -> None:
    service = LiveService(read_live(LIVE), "s")
    service.start(0.0)
    for message in (b"\1\0", FINALIZE, b"\2\0", CLOSE_STREAM):
        service.message_received(message, 0.0)
    commands = [service.poll_output() for _ in range(5)]
    assert commands == [Hear(audio=b"\1\0"), Finalize(), Hear(audio=b"\2\0"), Finalize(), None]
    assert service.get_timer() is None  # the client has nothing more to say
    service.recognised([], 1.0)
    service.finalized([Heard(text="one", final=True)], 2.0)
    service.recognised([Heard(text="tw")], 3.0)
    service.finalized([Heard(text="two", final=True)], 4.0)
    replies = [decode(command.text) for command in _drain(service) if isinstance(command, Reply)]
    assert [(m.text, m.from_finalize, m.is_last) for m in replies if isinstance(m, Transcription)] == [
        ("one", True, False),
        ("tw", False, False),
        ("two", False, True),
    ]


def _drain(service: LiveService) -> list[Any]:
    commands = []
    while (command := service.poll_output()) is not None:
        commands.append(command)
    return commands


def test_a_finalize_that_was_not_asked_for_cannot_be_answered() -> None:
    service = LiveService(read_live(LIVE), "s")
    service.start(0.0)
    with pytest.raises(LocalProtocolError, match="none is under way"):
        service.finalized([], 0.0)
    assert _drain(service) == []


def test_voice_activity_is_told_to_those_who_asked() -> None:
    host = Host(f"{LIVE}&vad_events=true")
    host.send(*pieces(SPEECH.pcm))
    events = [decode(json.dumps(replies)) for replies in host.replies if replies["type"] != "transcription"]
    end, start = SPEECH.words[1].end / 16000, SPEECH.words[2].start / 16000
    assert events == [
        SpeechOnset(timestamp=0.0, session_id="session-7"),
        SpeechOffset(timestamp=end, session_id="session-7"),
        SpeechOnset(timestamp=start, session_id="session-7"),
    ]
    silent = Host(LIVE)
    assert {replies["type"] for replies in silent.send(*pieces(SPEECH.pcm))} == {"transcription"}


def test_sentences_and_the_whole_transcript_when_asked() -> None:
    host = Host(f"{LIVE}&language=hi&sentence_timestamps=true&full_transcript=true")
    host.send(*pieces(SPEECH.pcm), CLOSE_STREAM)
    finals = [replies for replies in host.replies if replies["is_final"]]
    assert [replies["full_transcript"] for replies in finals] == ["w1 w2", "w1 w2 w3"]
    assert next(replies["full_transcript"] for replies in host.replies if not replies["is_final"]) == ""
    assert finals[1]["utterances"] == [
        {"text": "w3", "start": SPEECH.words[2].start / 16000, "end": SPEECH.words[2].end / 16000}
    ]
    assert "words" not in finals[0]


def test_a_recogniser_without_sentences_or_times() -> None:
    class Bare(PlainRecogniser):
        def finalize(self) -> list[Any]:
            return [Heard(text="no times", final=True)]

    host = Host(f"{LIVE}&sentence_timestamps=true&word_timestamps=true", Bare([]))
    (final,) = host.send(FINALIZE)
    assert final["utterances"] == [{"text": "no times"}]
    assert final["words"] == []


def test_keepalive_on_the_gateway() -> None:
    host = Host(LIVE)
    assert [decode(json.dumps(replies)) for replies in host.send(KEEPALIVE)] == [Pong()]


def test_a_client_that_says_nothing_is_let_go() -> None:
    host = Host(LIVE, inactivity=60.0)
    host.now += 59.0
    host.send(KEEPALIVE)
    assert host.service.get_timer() == host.now + 60.0
    host.service.handle_timer(host.now + 59.9)  # too early
    host.run()
    assert host.closed is None
    host.service.handle_timer(host.now + 60.0)
    host.run()
    assert host.closed == Close(code=1000, reason="no message from the client for 60 s")


@pytest.mark.parametrize(
    ("query", "comes"),
    [
        ("language=en&full_transcript=true", False),
        ("language=multi-asian", True),
        ("language=north_indic", True),
        ("language=de", False),
    ],
)
def test_the_whole_transcript_comes_by_language(query: str, comes: bool) -> None:
    """With groups of languages whether asked for or not, with English not even then: as the service was seen to."""
    host = Host(f"{LIVE}&{query}")
    host.send(*pieces(SPEECH.pcm), CLOSE_STREAM)
    assert {"full_transcript" in replies for replies in host.replies} == {comes}


def test_a_final_ends_in_a_blank_where_words_follow() -> None:
    host = Host(f"{LIVE}&max_words=2")
    host.send(*pieces(coded_speech([1, 2, 3, 0.8, 4, 5, 6]).pcm), FINALIZE, CLOSE_STREAM)
    finals = [replies["transcript"] for replies in host.replies if replies["is_final"]]
    assert finals == ["w1 w2 ", "w3", "w4 w5 ", "w6", ""]
    assert all(replies["transcription"] == replies["transcript"] for replies in host.replies)


def test_one_speaker_is_told_where_several_are_asked_for() -> None:
    host = Host(f"{LIVE}&diarize=true&word_timestamps=true&sentence_timestamps=true")
    host.send(*pieces(SPEECH.pcm), CLOSE_STREAM)
    finals = [replies for replies in host.replies if replies["is_final"]]
    assert {(word["speaker"], word["speaker_confidence"]) for replies in finals for word in replies["words"]} == {
        (0, 1.0)
    }
    assert {utterance["speaker"] for replies in finals for utterance in replies["utterances"]} == {0}


def test_a_language_that_is_refused_is_told_over_the_open_link() -> None:
    request = msgspec.structs.replace(read_live(LIVE), refused="LANGUAGE_NOT_ENABLED_IN_REGION")
    service = LiveService(request, "session-7")
    service.start(0.0)
    result, closed = _drain(service)
    replies = json.loads(result.text)
    assert (replies["type"], replies["error_code"]) == ("error", "LANGUAGE_NOT_ENABLED_IN_REGION")
    assert isinstance(closed, Close)
    assert closed.code == 1008
    service.message_received(SPEECH.pcm[:1600], 1.0)
    assert _drain(service) == []


def test_messages_may_be_far_larger_than_the_guidance_says() -> None:
    host = Host(LIVE)
    assert host.send(bytes(2**20)) == []
    (error,) = host.send(bytes(2**20 + 1))
    assert (error["type"], error["status"]) == ("error", "error")
    assert "1048576" in error["message"]
    assert host.closed == Close(code=1009, reason="message too big")


def test_the_end_of_older_clients_is_passed_over() -> None:
    host = Host(LIVE)
    assert host.send('{"type":"end"}') == []
    assert host.closed is None


@pytest.mark.parametrize(
    "text", ["", "secret", "[]", "null", '"finalize"', "{}", '{"type":7}', '{"type":"secret"}', "{" * 9999]
)
def test_a_message_that_is_not_understood_is_told_and_not_repeated(text: str) -> None:
    host = Host(LIVE)
    (error,) = host.send(text)
    assert "close_stream" in error["message"]
    assert "secret" not in error["message"]
    assert host.closed is None
    assert host.send(FINALIZE)[0]["from_finalize"] is True


def test_a_service_that_cannot_go_on_says_so() -> None:
    host = Host(LIVE)
    host.service.message_received(FINALIZE, 0.0)
    host.service.poll_output()
    host.service.fail("é" * 100 + "\udc00", 1013, 0.0)
    host.service.fail("again", 1011, 0.0)
    host.service.finalized([Heard(text="late", final=True)], 0.0)  # its recogniser was still at work
    host.service.handle_timer(1e9)
    host.run()
    assert [replies["type"] for replies in host.replies] == ["error"]
    assert host.closed is not None
    assert host.closed.code == 1013
    assert host.closed.reason == "é" * 61  # what there is room for in a close frame


@settings(max_examples=40)
@given(st.lists(st.integers(0, 200_000), max_size=8))
def test_audio_may_be_cut_inside_a_sample(cuts: list[int]) -> None:
    places = sorted({cut % len(SPEECH.pcm) for cut in cuts} | set(range(0, len(SPEECH.pcm), 8000)) | {len(SPEECH.pcm)})
    host = Host(f"{LIVE}&word_timestamps=true")
    host.send(*(SPEECH.pcm[a:b] for a, b in zip([0, *places], places, strict=False)), CLOSE_STREAM)
    whole = Host(f"{LIVE}&word_timestamps=true")
    whole.send(*pieces(SPEECH.pcm), CLOSE_STREAM)
    assert host.replies == whole.replies


messages = st.one_of(
    st.sampled_from((FINALIZE, CLOSE_STREAM, KEEPALIVE, b"", b"\0", bytes(2**20 + 1), SPEECH.pcm[:8001])),
    st.text(),
    st.binary(max_size=50),
    st.recursive(st.none() | st.text(max_size=3), lambda inner: st.dictionaries(st.just("type"), inner)).map(
        json.dumps
    ),
)


@settings(max_examples=150)
@given(
    st.lists(messages, max_size=12),
    st.sampled_from((LIVE, "/transcribe?vad_events=true", "/pulse/get_text?full_transcript=true")),
    st.lists(st.floats(0, 70), min_size=12, max_size=12),
)
def test_nothing_a_client_sends_raises_and_after_the_close_there_is_nothing(
    messages: list[str | bytes], target: str, waits: list[float]
) -> None:
    host = Host(target)
    silence = deque(waits)
    for message in messages:
        host.now += silence.popleft()
        host.service.handle_timer(host.now)
        host.send(message)
        timer = host.service.get_timer()
        assert (timer is None) == (host.closed is not None)
        assert timer is None or timer <= host.now + 60.0
    assert all(isinstance(replies, dict) for replies in host.replies)
    assert sum(replies.get("is_last", False) for replies in host.replies) == (
        host.closed == Close(code=1000, reason="")
    )


def test_nothing_private_shows() -> None:
    shown = repr((Hear(audio=b"spoken"), Reply(text="spoken"), error_answer(400, "spoken"), Heard(text="spoken")))
    assert "spoken" not in shown
    assert "hidden" in shown
