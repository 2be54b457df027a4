"""Whatever a peer sends: nothing raises, no word of a final is lost, what is odd is counted.

Good and bad messages are built from the fields of the wire (the vendor's AsyncAPI file for Pulse, August 2026).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.commands import SendBinary
from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.transcription.events import Event, FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted
from smallest_proto.transcription.session import TranscriptionSession

SECONDS = 4.0  # of audio that the service was sent
MISSING = object()

GOOD: dict[str, Any] = {
    "type": "transcription",
    "status": "success",
    "session_id": "session-1",
    "transcript": "one two three",
    "transcription": "one two three",
    "is_final": True,
    "is_last": False,
    "from_finalize": False,
    "speech_final": True,
    "full_transcript": "one two three",
    "language": "en",
    "languages": ["en"],
    "words": [
        {"word": "one", "start": 0.5, "end": 0.9, "confidence": 0.98, "speaker": 0, "speaker_confidence": 0.9},
        {"word": "two", "start": 1.0, "end": 1.4, "confidence": 0.97, "speaker": 0, "speaker_confidence": 0.9},
        {"word": "three", "start": 1.5, "end": 2.0, "confidence": 0.96, "speaker": 1, "speaker_confidence": 0.8},
    ],
    "utterances": [{"text": "one two three", "start": 0.5, "end": 2.0, "speaker": 0}],
    "redacted_entities": [],
}
ODD_VALUES: tuple[object, ...] = (
    MISSING,
    None,
    7,
    -1,
    1.5,
    1e308,
    "odd",
    "",
    True,
    [],
    [None, 7, "x", {}],
    {},
    {"a": [1]},
    10**400,
)
TEXTS = ("transcript", "transcription")


class Conversation:
    """A session whose link is open and was sent ``SECONDS`` of audio."""

    def __init__(self, *, seconds: float = SECONDS, **options: Any) -> None:
        config = TranscriptionConfig(**options)
        self.session = TranscriptionSession(config, Endpoint(api_key="key"), buffer_seconds=60.0)
        self.now = 0.0
        self.session.start(self.now)
        self.session.link_opened(1, self.now)
        self.outputs()
        self.say(seconds)

    def say(self, seconds: float) -> None:
        """Give audio, in real time."""
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.session.send_audio(bytes(1600), self.now)
            assert any(isinstance(output, SendBinary) for output in self.outputs())
            self.session.write_done(1, self.now)

    def outputs(self) -> list[Any]:
        outputs = []
        while (output := self.session.poll_output()) is not None:
            outputs.append(output)
        return outputs

    def hear(self, message: object) -> list[Event]:
        """The service says something: JSON of any value, text or bytes as they are."""
        data = message if isinstance(message, (str, bytes)) else json.dumps(message)
        self.session.message_received(1, data, self.now)
        return self.outputs()

    @property
    def odd(self) -> int:
        """How many messages were counted as not as they should be."""
        stats = self.session.stats
        return stats.messages_repaired + stats.messages_ignored


def finals(events: list[Event]) -> list[FinalTranscript]:
    return [event for event in events if isinstance(event, FinalTranscript)]


def but(field: str, value: object, message: dict[str, Any] = GOOD) -> dict[str, Any]:
    """``message`` with another value of one field, or without it."""
    changed = {name: content for name, content in message.items() if name != field}
    return changed if value is MISSING else {**changed, field: value}


def test_a_good_final_is_not_odd() -> None:
    call = Conversation()
    (final,) = finals(call.hear(GOOD))
    assert final.text == "one two three"
    assert [(word.text, word.start, word.end) for word in final.words] == [
        ("one", 0.5, 0.9),
        ("two", 1.0, 1.4),
        ("three", 1.5, 2.0),
    ]
    assert final.utterances[0].end == 2.0
    assert call.odd == 0
    assert call.session.stats.messages_received == 1


def test_unknown_fields_are_passed_over() -> None:
    call = Conversation()
    (final,) = finals(call.hear({**GOOD, "news": {"of": ["tomorrow"]}, "transcripts": 7}))
    assert final.text == "one two three"
    assert call.odd == 0


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: "missing" if value is MISSING else repr(value)[:20])
@pytest.mark.parametrize("field", GOOD)
def test_a_final_with_any_one_field_odd_loses_no_word(field: str, value: object) -> None:
    call = Conversation()
    events = call.hear(but(field, value))
    if field == "is_final" and value not in (True, 7, -1):
        assert [event.text for event in events if isinstance(event, InterimTranscript)] == ["one two three"]
        return
    (final,) = finals(events)
    if field not in TEXTS or not isinstance(value, (int, float)):  # a number can be what was said
        expected = "odd" if field == "transcript" and value == "odd" else "one two three"
        assert final.text == expected
    if field != "words":
        assert [word.text for word in final.words] == ["one", "two", "three"]
        assert (final.start, final.end) == (0.5, 2.0)
    assert call.session.stats.messages_received == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", 7),
        ("transcript", []),
        ("is_final", "yes"),
        ("is_last", {}),
        ("from_finalize", 1.5),
        ("speech_final", "false"),
        ("full_transcript", 7),
        ("language", []),
        ("languages", "en"),
        ("words", "none"),
        ("words", {}),
        ("words", [7]),
        ("words", [{"word": 7, "start": 0.5, "end": 1.0}]),
        ("words", [{"word": "one", "start": [], "end": 1.0}]),
        ("utterances", "one"),
        ("utterances", [{"text": "one", "start": -1.0, "end": 2.0}]),
        ("utterances", [{"text": "one", "start": 0.5, "end": 200.0}]),
        ("redacted_entities", {}),
    ],
)
def test_a_wrong_type_is_counted(field: str, value: object) -> None:
    call = Conversation()
    call.hear(but(field, value))
    assert call.session.stats.messages_repaired == 1


@pytest.mark.parametrize("transcript", [MISSING, None, "", [], {}])
@pytest.mark.parametrize("transcription", [MISSING, None, "", []])
def test_words_without_a_transcript_are_told(transcript: object, transcription: object) -> None:
    call = Conversation()
    message = but("transcript", transcript, but("transcription", transcription))
    (final,) = finals(call.hear(message))
    assert final.text == "one two three"
    assert call.odd == ([] in (transcript, transcription) or transcript == {})  # a field can be missing


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: "missing" if value is MISSING else repr(value)[:20])
@pytest.mark.parametrize("field", ["start", "end", "confidence", "speaker", "speaker_confidence"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_word_with_any_one_field_odd_is_told(at: int, field: str, value: object) -> None:
    call = Conversation()
    spoken = [but(field, value, word) if number == at else word for number, word in enumerate(GOOD["words"])]
    (final,) = finals(call.hear({**GOOD, "words": spoken}))
    assert [word.text for word in final.words] == ["one", "two", "three"]
    assert 0.0 <= final.start <= final.end <= SECONDS
    if field in ("start", "end") and value in (MISSING, None, 7, -1, 1e308, "odd"):
        assert call.odd == 1


odd_times = st.one_of(
    st.none(),
    st.floats(-3.0, 10.0),
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.sampled_from(("1.0", "x", True, [])),
)
odd_words = st.lists(
    st.fixed_dictionaries({"word": st.just("w")}, optional={"start": odd_times, "end": odd_times}),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200)
@given(odd_words, st.sampled_from((0.0, 0.05, 2.0)))
def test_words_with_any_times_come_out_in_order_and_inside_of_the_audio(
    spoken: list[dict[str, Any]], seconds: float
) -> None:
    spoken = [{**word, "word": f"w{number}"} for number, word in enumerate(spoken)]
    texts = [word["word"] for word in spoken]
    call = Conversation(seconds=seconds)
    (final,) = finals(call.hear({**GOOD, "transcript": " ".join(texts), "words": spoken}))
    assert final.text.split() == [word.text for word in final.words] == texts
    starts = [word.start for word in final.words if word.start is not None]
    assert starts == sorted(starts)
    times = [time for word in final.words for time in (word.start, word.end) if time is not None]
    assert all(0.0 <= time <= seconds + 1e-9 for time in times)
    assert all(word.end >= word.start for word in final.words if word.start is not None and word.end is not None)
    assert call.odd <= 1
    at = 0.0
    for word in spoken:
        start, end = word.get("start"), word.get("end")
        if type(start) is not float or type(end) is not float or not at <= start <= end <= seconds:
            if type(start) is int and type(end) is int and at <= start <= end <= seconds:
                at = float(start)
                continue
            if isinstance(start, (int, float)) and isinstance(end, (int, float)) and at <= start <= end <= seconds:
                break  # an int beside a float: as good as it should be
            assert call.odd == 1
            return
        at = start


def test_a_session_id_that_changes_is_counted_and_told() -> None:
    call = Conversation()
    names = ["one", "one", None, "another", "another", "one"]
    messages = [{**GOOD, "is_final": False, "session_id": name} for name in names]
    told = [
        event.session_id for message in messages for event in call.hear(message) if isinstance(event, InterimTranscript)
    ]
    assert told == names
    assert call.session.stats.messages_repaired == 2
    call.hear({"type": "speech_started", "timestamp": 3.0, "session_id": "a third"})
    assert call.session.stats.messages_repaired == 3


def test_binary_frames_are_read_and_counted() -> None:
    call = Conversation()
    (final,) = finals(call.hear(json.dumps(GOOD).encode()))
    assert final.text == "one two three"
    assert call.session.stats.messages_repaired == 1
    for data in (b"", b"\x00\xff\xfe", b"OggS" + bytes(100), "caf\xe9".encode("latin-1")):
        assert call.hear(data) == []
    assert call.session.stats.messages_ignored == 4


@pytest.mark.parametrize(
    "data",
    [
        "x" * 10_000_000,
        b"\xff" * 10_000_000,
        "[" * 10_000_000,
        '{"a":' * 2_000_000,
        "[" + "1," * 3_000_000 + "1]",
        '{"transcript":"' + "x" * 10_000_000,
    ],
    ids=["letters", "bytes", "brackets", "objects", "list", "cut off"],
)
def test_ten_megabytes_of_nothing_are_ignored(data: str | bytes) -> None:
    call = Conversation()
    assert call.hear(data) == []
    assert call.session.stats.messages_ignored == 1


def test_ten_megabytes_of_words_come_out_whole() -> None:
    call = Conversation()
    texts = [f"w{number}" for number in range(150_000)]
    spoken = [{"word": text, "start": 1.0, "end": 1.5} for text in texts]
    message = json.dumps({**GOOD, "transcript": " ".join(texts), "words": spoken})
    assert len(message) > 8_000_000
    (final,) = finals(call.hear(message))
    assert final.text.split() == texts == [word.text for word in final.words]
    assert call.odd == 0


def test_a_final_for_audio_that_was_never_sent_is_told_and_counted() -> None:
    call = Conversation(seconds=0.0)
    (final,) = finals(call.hear(GOOD))
    assert final.text == "one two three"
    assert (final.start, final.end) == (0.0, 0.0)
    assert call.session.stats.messages_repaired == 1
    call.say(3.0)  # the watermark did not run ahead of the audio
    (again,) = finals(call.hear(GOOD))
    assert (again.start, again.end) == (0.5, 2.0)
    assert call.session.stats.messages_repaired == 1


def test_a_final_before_the_link_is_open_is_counted() -> None:
    session = TranscriptionSession(TranscriptionConfig(), Endpoint(api_key="key"))
    session.start(0.0)
    session.poll_output()
    session.message_received(1, json.dumps(GOOD), 0.0)
    assert session.poll_output() is None
    assert session.stats.messages_ignored == 1


@pytest.mark.parametrize("kind", ["speech_started", "speech_ended"])
@pytest.mark.parametrize("timestamp", [MISSING, None, -1.0, 1e9, "x", [], 10**400])
def test_voice_activity_at_an_odd_time_is_kept_inside_of_the_audio_and_counted(kind: str, timestamp: object) -> None:
    call = Conversation(vad_events=True)
    call.hear({"type": "speech_started", "timestamp": 1.0})
    if kind == "speech_started":
        call.hear({"type": "speech_ended", "timestamp": 2.0})
    events = call.hear(but("timestamp", timestamp, {"type": kind}))
    times = [event.time for event in events if isinstance(event, (SpeechStarted, SpeechEnded))]
    assert all(0.0 <= time <= SECONDS for time in times)
    assert call.odd == 1


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
like_ours = st.dictionaries(
    st.sampled_from((*GOOD, "timestamp", "error", "message")),
    any_json
    | st.sampled_from(("speech_started", "speech_ended", "pong", "error", "transcription", True, False))
    | st.lists(st.dictionaries(st.sampled_from(("word", "text", "start", "end", "speaker")), any_json), max_size=3),
)


@settings(max_examples=150)
@given(st.lists(st.one_of(like_ours, any_json.map(json.dumps), st.text(), st.binary()), max_size=6), st.booleans())
def test_nothing_raises_and_every_message_is_counted(said: list[Any], vad_events: bool) -> None:
    call = Conversation(seconds=0.2, vad_events=vad_events)
    for message in said:
        for event in call.hear(message):
            if isinstance(event, (InterimTranscript, FinalTranscript)):
                assert 0.0 <= event.start <= event.end <= 0.2 + 1e-9
    assert call.session.stats.messages_received == len(said)
    assert call.odd <= len(said)
