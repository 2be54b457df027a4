"""The wire's messages: good ones come out whole, and nothing that a peer sends raises."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.commands import KEEPALIVE
from smallest_proto.reading import ErrorMessage, MalformedMessage, UnknownMessage, Utterance, Word
from smallest_proto.transcription import messages
from smallest_proto.transcription.messages import (
    CLOSE_STREAM,
    FINALIZE,
    Pong,
    SpeechOffset,
    SpeechOnset,
    Transcription,
    decode,
)

KINDS = (Transcription, SpeechOnset, SpeechOffset, ErrorMessage, Pong, UnknownMessage, MalformedMessage)

# --- the fields of the wire, good and bad ---

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_TIME = st.floats(0, 10**6, allow_nan=False) | st.integers(0, 10**6)
_SHARE = st.floats(0, 1)
_SPEAKER = st.integers(0, 9)
_WORD = st.fixed_dictionaries(
    {"word": _TEXT.filter(bool)},
    optional={
        "start": _TIME,
        "end": _TIME,
        "confidence": _SHARE,
        "speaker": _SPEAKER | _SPEAKER.map(str),
        "speaker_confidence": _SHARE,
    },
)
_UTTERANCE = st.fixed_dictionaries(
    {"text": _TEXT.filter(bool)}, optional={"start": _TIME, "end": _TIME, "speaker": _SPEAKER | _SPEAKER.map(str)}
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["transcription", "speech_started", "speech_ended", "error", "pong", "other"]),
    "session_id": _TEXT,
    "status": st.sampled_from(["success", "error", 400, 0]),
    "transcript": _TEXT,
    "transcription": _TEXT,
    "is_final": st.booleans(),
    "is_last": st.booleans(),
    "from_finalize": st.booleans(),
    "speech_final": st.booleans(),
    "full_transcript": _TEXT,
    "language": _TEXT,
    "languages": st.lists(_TEXT, max_size=3),
    "words": st.lists(_WORD, max_size=3),
    "utterances": st.lists(_UTTERANCE, max_size=3),
    "redacted_entities": st.lists(_TEXT, max_size=3),
    "timestamp": _TIME,
    "emotions": st.dictionaries(_TEXT, _SHARE, max_size=3)
    | st.lists(st.fixed_dictionaries({"label": _TEXT, "score": _SHARE}), max_size=3)
    | _TEXT,
    "gender": _TEXT,
    "error_code": st.sampled_from(["LANGUAGE_NOT_ENABLED_IN_REGION", "", "no code"]),
    "code": st.sampled_from(["INVALID_LICENSE", 1011]),
    "error": _TEXT | st.fixed_dictionaries({"message": _TEXT}) | st.lists(st.fixed_dictionaries({"message": _TEXT})),
    "errors": st.lists(st.fixed_dictionaries({"message": _TEXT, "path": st.lists(_TEXT, max_size=2)}), min_size=1),
    "message": _TEXT,
}
GOOD = st.fixed_dictionaries({}, optional=FIELDS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
# Any field can be good, null, of any other type, a list of anything; unknown fields come.
_BAD = JSON | st.sampled_from([math.inf, -math.inf, math.nan, 10**400, "\ud800", "true", "1.5", [None], [[]], [{}]])
BAD = st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), _BAD, max_size=6) | st.fixed_dictionaries(
    {
        "transcript": _TEXT,
        "words": st.lists(_WORD | st.dictionaries(st.sampled_from(["word", "start", "end", "speaker"]), _BAD)),
        "utterances": st.lists(_UTTERANCE | st.dictionaries(st.sampled_from(["text", "start", "speaker"]), _BAD)),
    }
)


def test_every_field_of_the_wire_is_tried_here() -> None:
    assert set(FIELDS) == set(messages._Wire.__struct_fields__)


def well_formed(message: Any) -> None:
    """Whatever came, the types of what comes out are those that are written down."""
    assert type(message) in KINDS
    assert repr(message)
    hash(message)
    # msgspec checks each field against its type; strings must be ones that can be encoded
    msgspec.convert(json.loads(msgspec.json.encode(message)), type(message))
    for part in (*getattr(message, "words", ()), *getattr(message, "utterances", ())):
        assert part.text
        for number in (part.start, part.end):
            assert number is None or (type(number) is float and math.isfinite(number))
        assert not re.fullmatch("[0-9]{1,18}", part.speaker if isinstance(part.speaker, str) else "")


# --- total ---


@settings(max_examples=300)
@given(GOOD | BAD)
def test_any_fields_of_any_types_come_out_as_a_message(fields: dict[str, Any]) -> None:
    text = json.dumps(fields)  # NaN, Infinity and lone surrogates as Python writes them
    message = decode(text)
    well_formed(message)
    assert not isinstance(message, MalformedMessage)
    assert decode(text.encode()) == message  # in a binary frame it says the same


@given(JSON)
def test_any_json_comes_out_as_a_message(value: Any) -> None:
    message = decode(json.dumps(value))
    well_formed(message)
    assert isinstance(message, MalformedMessage) is not isinstance(value, dict)


@given(st.text() | st.binary())
def test_any_text_and_any_bytes_come_out_as_a_message(data: str | bytes) -> None:
    well_formed(decode(data))


_MUTATION = st.binary(max_size=4) | st.sampled_from([b"null", b'"', b"{", b"9" * 400, b"\\ud800", b"NaN"])


@settings(max_examples=300)
@given(GOOD, st.data())
def test_any_mutation_of_a_good_message_comes_out_as_a_message(fields: dict[str, Any], data: st.DataObject) -> None:
    raw = json.dumps(fields, ensure_ascii=data.draw(st.booleans())).encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 8)))
        raw = raw[:start] + data.draw(_MUTATION) + raw[end:]
    well_formed(decode(raw))


@pytest.mark.parametrize(
    "data",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"transcript":"a","words":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type":"error","message":' + '{"message":' * 100_000 + "1" + "}" * 100_001,
        '{"transcript":"a","unknown":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=["open lists", "lists", "open objects", "objects", "words", "error", "unknown"],
)
def test_deep_nesting_is_no_way_to_break_it(data: str) -> None:
    well_formed(decode(data))
    well_formed(decode(data.encode()))


@pytest.mark.parametrize("field", ["transcript", "message", "session_id", "unknown"])
def test_ten_megabytes(field: str) -> None:
    large = "ä" * 5_000_000
    message = decode(json.dumps({"transcript": "a", field: large}))
    assert isinstance(message, Transcription)
    if field == "transcript":
        assert message.text == large
        assert len(repr(message)) < 500


@pytest.mark.parametrize("digits", [19, 20, 200, 300, 5000])
@pytest.mark.parametrize("field", ["timestamp", "status", "error", "session_id", "unknown", "is_final"])
def test_numbers_of_any_length(field: str, digits: int) -> None:
    for number in ("9" * digits, "-" + "9" * digits, f"1e{digits}", f"0.{'9' * digits}"):
        for data in (
            f'{{"transcript":"a","{field}":{number}}}',
            f'{{"transcript":"a","words":[{{"word":"a","speaker":{number},"start":{number}}}]}}',
            f'{{"transcript":"a","words":[{{"word":"a","speaker":"{number}"}}]}}',
        ):
            message = decode(data)
            well_formed(message)
            assert isinstance(message, Transcription)  # it costs that one field, not the message
            assert message.text == "a"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "not JSON"),
        ("pong", "not JSON"),
        (b"\x00\xff\xfe", "not JSON"),
        ("{", "not JSON"),
        ('{"transcript":"a"}}', "not JSON"),
        ('{"transcript":"a"', "not JSON"),
        ("null", "not a JSON object"),
        ('"transcript"', "not a JSON object"),
        ('[{"transcript":"a"}]', "not a JSON object"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_object(data: str | bytes, reason: str) -> None:
    assert decode(data) == MalformedMessage(reason=reason)


@given(GOOD)
def test_the_forgiving_reader_reads_a_good_message_as_the_fast_one_does(fields: dict[str, Any]) -> None:
    fast = decode(json.dumps(fields))
    slow = decode(json.dumps({**fields, "unknown": math.nan}))  # msgspec takes no NaN: all is read once more
    if isinstance(fast, Transcription):
        assert not fast.repaired
        fast = msgspec.structs.replace(fast, repaired=True)
    assert slow == fast


# --- what messages mean ---


def transcription(data: dict[str, Any]) -> Transcription:
    message = decode(json.dumps(data))
    assert isinstance(message, Transcription)
    return message


def test_a_whole_final() -> None:
    message = transcription(
        {
            "type": "transcription", "status": "success", "session_id": "s", "transcript": "Hello, you.",
            "transcription": "Hello, you.", "is_final": True, "is_last": False, "from_finalize": True,
            "speech_final": True, "language": "en", "languages": ["en", "hi"], "full_transcript": "Well. Hello, you.",
            "words": [
                {"word": "Hello,", "start": 0.5, "end": 1, "confidence": 0.9, "speaker": 0, "speaker_confidence": 1},
                {"word": "you.", "start": 1.0, "end": 1.25, "speaker": "1", "punctuated_word": "You."},
            ],
            "utterances": [{"text": "Hello, you.", "start": 0.5, "end": 1.25, "speaker": "speaker_0"}],
            "redacted_entities": ["[FIRSTNAME_1]"], "unknown": {"a": [1]},
        }
    )  # fmt: skip
    assert message == Transcription(
        text="Hello, you.",
        is_final=True,
        from_finalize=True,
        speech_final=True,
        session_id="s",
        language="en",
        languages=("en", "hi"),
        words=(
            Word(text="Hello,", start=0.5, end=1.0, confidence=0.9, speaker=0, speaker_confidence=1.0),
            Word(text="you.", start=1.0, end=1.25, speaker=1),
        ),
        utterances=(Utterance(text="Hello, you.", start=0.5, end=1.25, speaker="speaker_0"),),
        redacted_entities=("[FIRSTNAME_1]",),
        full_transcript="Well. Hello, you.",
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"transcript": "a"}, "a"),
        ({"transcription": "a"}, "a"),
        ({"transcript": "a", "transcription": "a"}, "a"),
        ({"transcript": "", "transcription": "a"}, "a"),
        ({"transcript": None, "transcription": "a"}, "a"),
        ({"transcript": ["b"], "transcription": "a"}, "a"),
        ({"transcript": ""}, ""),
        ({"type": "transcription"}, ""),
        ({"is_final": True}, ""),
        ({"is_last": True}, ""),
        ({"transcript": 42}, "42"),
    ],
)
def test_both_spellings_of_the_transcript(data: dict[str, Any], text: str) -> None:
    assert transcription(data).text == text


@pytest.mark.parametrize("field", sorted(FIELDS))
@pytest.mark.parametrize("value", [None, {}, [], "", 0, -1.5, True, "x", [None], [{}], [[1]], {"a": None}])
def test_one_wrong_field_takes_no_other_with_it(field: str, value: Any) -> None:
    good = {
        "session_id": "s", "transcript": "a", "is_final": True, "words": [{"word": "a", "start": 0, "end": 1}],
        "utterances": [{"text": "a"}], "language": "en", "languages": ["en"],
    }  # fmt: skip
    message = decode(json.dumps({**good, "transcription": "a", field: value}))
    assert isinstance(message, Transcription)
    assert message.text == "a" or field in ("transcript", "transcription")
    for name, expected in (
        ("session_id", "s"),
        ("is_final", True),
        ("language", "en"),
        ("languages", ("en",)),
        ("words", (Word(text="a", start=0.0, end=1.0),)),
        ("utterances", (Utterance(text="a"),)),
    ):
        assert getattr(message, name) == expected or field == name or (field, name) == ("is_last", "is_final")


@pytest.mark.parametrize("field", ["word", "start", "end", "confidence", "speaker", "speaker_confidence", "unknown"])
@pytest.mark.parametrize("value", [None, {}, [], "x", True, [1]])
def test_one_wrong_field_of_a_word_takes_no_other_with_it(field: str, value: Any) -> None:
    good = {"word": "a", "start": 0.5, "end": 1.0, "confidence": 0.5, "speaker": 2, "speaker_confidence": 0.25}
    (word, *rest) = transcription({"transcript": "a b", "words": [{**good, field: value}, {"word": "b"}]}).words
    if field == "word" and value != "x":  # a word without its text is none
        assert (word.text, rest) == ("b", [])
        return
    assert [other.text for other in rest] == ["b"]
    for name, expected in good.items():
        if name != field:
            assert getattr(word, "text" if name == "word" else name) == expected


@pytest.mark.parametrize(
    ("said", "speaker"),
    [
        (0, 0), (3, 3), ("0", 0), ("12", 12), ("speaker_1", "speaker_1"), ("", ""), (2.0, 2), (None, None),
        (True, None), ([], None), ("٣", "٣"), ("-1", "-1"), ("9" * 19, "9" * 19), (2.5, "2.5"),
    ],
)  # fmt: skip
def test_a_speaker_is_a_number_wherever_one_is_meant(said: Any, speaker: int | str | None) -> None:
    message = transcription(
        {"transcript": "a", "words": [{"word": "a", "speaker": said}], "utterances": [{"text": "a", "speaker": said}]}
    )
    assert [message.words[0].speaker, message.utterances[0].speaker] == [speaker, speaker]
    assert type(message.words[0].speaker) is type(speaker)


def test_a_last_is_a_final() -> None:
    assert transcription({"transcript": "a", "is_last": True, "is_final": False}).is_final
    assert not transcription({"transcript": "a", "is_last": False}).is_final


@pytest.mark.parametrize("extra", [{}, {"is_final": False}, {"transcript": "", "words": []}, {"status": "success"}])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"type": "speech_started", "session_id": "s", "timestamp": 1}, SpeechOnset(timestamp=1.0, session_id="s")),
        ({"type": "speech_ended", "session_id": "s", "timestamp": 2.5}, SpeechOffset(timestamp=2.5, session_id="s")),
        ({"type": "speech_started", "timestamp": "1.5"}, SpeechOnset(timestamp=1.5)),
        ({"type": "speech_started", "timestamp": math.nan}, SpeechOnset()),
        ({"type": "speech_ended"}, SpeechOffset()),
        ({"type": "pong"}, Pong()),
    ],
)
def test_messages_that_name_their_type(data: dict[str, Any], expected: object, extra: dict[str, Any]) -> None:
    assert decode(json.dumps({**extra, **data})) == expected


@pytest.mark.parametrize(
    ("data", "text", "status"),
    [
        ({"type": "error", "status": "error", "message": "no"}, "no", "error"),
        ({"type": "error", "status": 400, "message": "no"}, "no", "400"),
        ({"error": "no"}, "no", None),
        ({"error": {"message": "no"}}, "no", None),
        ({"type": "error", "error": "no"}, "no", None),
        ({"type": "error", "error": {"code": 5}}, "", None),
        ({"type": "error"}, "", None),
        ({"type": "error", "message": "no", "is_final": False}, "no", None),
        ({"type": "error", "message": "no", "transcript": "heard so far"}, "no", None),
        ({"error": "no", "transcript": "", "is_final": True}, "no", None),
        ({"status": "error", "message": "no"}, "no", "error"),
        ({"status": "error", "message": "no", "is_last": True}, "no", "error"),
    ],
)
def test_errors(data: dict[str, Any], text: str, status: str | None) -> None:
    assert decode(json.dumps(data)) == ErrorMessage(text=text, status=status)


def test_a_transcript_is_not_lost_to_an_error_field_beside_it() -> None:
    assert transcription({"transcript": "a", "error": "partial"}).text == "a"
    assert transcription({"transcript": "a", "error": None}).text == "a"


@pytest.mark.parametrize(
    "data", [{}, {"type": "hello"}, {"session_id": "s"}, {"message": "hello"}, {"type": None}, {"words": []}]
)
def test_what_we_do_not_know(data: dict[str, Any]) -> None:
    assert decode(json.dumps(data)) == UnknownMessage()


@pytest.mark.parametrize(
    ("text", "kind"), [(FINALIZE, "finalize"), (CLOSE_STREAM, "close_stream"), (KEEPALIVE, "keepalive")]
)
def test_what_a_client_says(text: str, kind: str) -> None:
    assert json.loads(text) == {"type": kind}


@given(
    st.dictionaries(st.sampled_from(["transcript", "transcription", "full_transcript", "words", "utterances", "message",
                                     "error", "redacted_entities"]),
            st.just("Wilhelmina")),
    st.booleans(),
)  # fmt: skip
def test_no_message_shows_what_was_said(fields: dict[str, Any], broken: bool) -> None:
    said: dict[str, Any] = dict(fields)
    for name in ("words", "utterances"):
        if name in said:
            said[name] = [{"word": "Wilhelmina", "text": "Wilhelmina"}]
    message = decode(json.dumps(said)[: -1 if broken else None])
    assert "Wilhelmina" not in repr(message)


@pytest.mark.parametrize(
    ("emotions", "expected"),
    [
        ({"neutral": 0.7, "happy": "0.2", "odd": None, "": 0.1}, (("neutral", 0.7), ("happy", 0.2))),
        ([{"label": "sad", "score": 0.5}, {"emotion": "calm", "confidence": 1}, 7], (("sad", 0.5), ("calm", 1.0))),
        ("happy", (("happy", 1.0),)),
        (None, ()),
        (5, ()),
    ],
)
def test_emotion_and_gender_of_a_final(emotions: Any, expected: tuple[tuple[str, float], ...]) -> None:
    message = decode(json.dumps({"transcript": "hi", "is_final": True, "emotions": emotions, "gender": "female"}))
    assert isinstance(message, Transcription)
    assert (message.emotions, message.gender) == (expected, "female")
    assert "female" not in repr(message)


def test_an_error_that_has_only_a_code_is_one() -> None:
    message = decode('{"error_code": "LANGUAGE_NOT_ENABLED_IN_REGION", "message": "no", "region": "ap-south-1"}')
    assert message == ErrorMessage(text="no", code="LANGUAGE_NOT_ENABLED_IN_REGION")


def test_an_error_that_is_a_list_is_read() -> None:
    message = decode('{"type": "error", "error": [{"message": "a", "path": ["text"]}, "b", 7, null]}')
    assert message == ErrorMessage(text="a; b; 7", fields="text")
