"""Both sides against the vendor's own schema, read from its files, and against field lists written by hand.

What the schema allows is generated, and the client reads all of it; what the local service says, and what the client
sends, is held against it.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smallest_proto.config import Endpoint, FileTranscriptionConfig, SynthesisConfig, TranscriptionConfig
from smallest_proto.http.files import FileTranscript, TranscriptionAccepted, read_file_answer
from smallest_proto.http.voices import Voices, read_voices
from smallest_proto.reading import ErrorMessage
from smallest_proto.requests import (
    file_transcription_request,
    live_transcription_request,
    speech_fields,
    synthesis_request,
)
from smallest_proto.server.answers import voices_answer
from smallest_proto.server.endpointing import Heard
from smallest_proto.server.options import read_synthesis_fields
from smallest_proto.server.recogniser import CodedRecogniser, coded_speech
from smallest_proto.server.requests import FileRequest, LiveRequest, file_answer, read_request
from smallest_proto.server.transcription import Finalize, Hear, LiveService, Reply
from smallest_proto.synthesis.messages import AudioMessage, CompleteMessage, WordMessage, decode_message
from smallest_proto.transcription.messages import (
    CLOSE_STREAM,
    FINALIZE,
    SpeechOffset,
    SpeechOnset,
    Transcription,
    decode,
)
from smallest_transports.local.voices import VOICES

from .server.asked import KEY
from .server.speech_host import Host as SpeechHost
from .vendor import NEEDED, SPEC, at, generated

ENDPOINT = Endpoint(api_key="k", base_url="http://localhost/waves/v1")
generous = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

# What is known of each message, by hand: the vendor's files of August 2026, and what its service was seen to say.
TRANSCRIPTION = {
    *("type", "status", "session_id", "transcript", "transcription", "full_transcript", "is_final", "is_last"),
    *("from_finalize", "speech_final", "language", "languages", "words", "utterances", "redacted_entities"),
}
WORD = {"word", "start", "end", "confidence", "speaker", "speaker_confidence"}
UTTERANCE = {"text", "start", "end", "speaker"}
VOICE_EVENT = {"type", "session_id", "timestamp"}
ERROR = {"type", "status", "message", "session_id", "error_code"}
SPEECH = {
    *("session_id", "request_id", "external_session_id", "external_request_id", "status", "data", "context_id"),
    "message",
}
SPEECH_DATA = {"audio", "id", "word", "start", "end"}
FILE = {
    *("status", "transcription", "words", "utterances", "language", "metadata", "request_id", "totalBytes"),
    *("gender", "emotions"),
}
METADATA = {"duration", "processing_time_ms", "rtfx", "num_chunks", "fileSize"}

if SPEC.is_dir():
    LIVE_SCHEMA = at("stt-live-ws", "components", "messages", "TranscriptionEvent", "payload")
    PULSE = ("pulse-stt-ws", "channels", "pulseStream", "messages")
    PULSE_SCHEMA = at(*PULSE, "pulseTranscriptionResponse.message", "payload")
    STARTED = at("stt-live-ws", "components", "messages", "SpeechStartedEvent", "payload")
    ENDED = at("stt-live-ws", "components", "messages", "SpeechEndedEvent", "payload")
    TOLD = at("stt-live-ws", "components", "messages", "TranscriptionErrorEvent", "payload")
    QUERY = at("stt-live-ws", "servers", "production", "bindings", "ws", "query")
    MESSAGES = ("tts-ws", "channels", "ttsStream", "messages")
    SPOKEN = at(*MESSAGES, "ttsResponse.message", "payload")
    ASKED = at(*MESSAGES, "ttsRequest.message", "payload")
    ORDER = at("tts-openapi", "components", "schemas", "TtsRequest")
    ANSWER = at("stt-openapi", "components", "schemas", "TranscriptionResponse")
    ACCEPTED = at("stt-openapi", "components", "schemas", "AsyncAccepted")
    CATALOGUE = at(
        *("voice-catalog-openapi", "paths", "/waves/v1/voice/get-all-models", "get", "responses", "200", "content"),
        *("application/json", "schema"),
    )
else:  # the tests are skipped
    LIVE_SCHEMA = PULSE_SCHEMA = STARTED = ENDED = TOLD = QUERY = SPOKEN = ASKED = ORDER = ANSWER = {"properties": {}}
    ACCEPTED = CATALOGUE = {"properties": {}}


def kept(number: object) -> float | None:
    """What the client keeps of a number of the wire."""
    return float(number) if isinstance(number, (int, float)) and math.isfinite(number) else None


# --- the lists by hand know all that the schema does ---


@NEEDED
@pytest.mark.parametrize(
    ("schema", "known"),
    [
        (LIVE_SCHEMA, TRANSCRIPTION),
        (PULSE_SCHEMA, TRANSCRIPTION),
        (LIVE_SCHEMA["properties"].get("words", {}).get("items", LIVE_SCHEMA), WORD),
        (PULSE_SCHEMA["properties"].get("utterances", {}).get("items", PULSE_SCHEMA), UTTERANCE),
        (STARTED, VOICE_EVENT),
        (ENDED, VOICE_EVENT),
        (TOLD, ERROR),
        (SPOKEN, SPEECH),
        (SPOKEN["properties"].get("data", SPOKEN), SPEECH_DATA),
        (ANSWER, FILE),
        (ANSWER["properties"].get("metadata", ANSWER), METADATA),
        (QUERY, {*TranscriptionConfig.__struct_fields__, "vad"}),
        (ORDER, {*SynthesisConfig.__struct_fields__, "text"}),
        (ASKED, {*SynthesisConfig.__struct_fields__, "text", "continue", "flush"}),
    ],
)
def test_no_field_of_the_vendors_is_unknown_here(schema: dict[str, Any], known: set[str]) -> None:
    assert schema["properties"].keys() - known == set()


# --- what the service can say, the client reads ---


@NEEDED
@generous
@given(generated(LIVE_SCHEMA) | generated(PULSE_SCHEMA))
def test_every_transcription_that_the_schema_allows_is_read(message: dict[str, Any]) -> None:
    read = decode(json.dumps(message))
    spoken = message.get("transcript") or message.get("transcription")
    if spoken:
        assert isinstance(read, Transcription)
        assert read.text == spoken
    if isinstance(read, Transcription):
        assert read.is_last is message.get("is_last", False)
        assert read.is_final is (message.get("is_final", False) or read.is_last)
        assert read.from_finalize is message.get("from_finalize", False)
        assert read.full_transcript == message.get("full_transcript")
        assert read.language == message.get("language")
        said = [word for word in message.get("words") or () if word.get("word")]
        assert [word.text for word in read.words] == [word["word"] for word in said]
        assert [word.start for word in read.words] == [kept(word.get("start")) for word in said]
        assert [word.confidence for word in read.words] == [kept(word.get("confidence")) for word in said]


@NEEDED
@generous
@given(generated(STARTED), generated(ENDED), generated(TOLD))
def test_every_event_and_error_that_the_schema_allows_is_read(
    started: dict[str, Any], ended: dict[str, Any], told: dict[str, Any]
) -> None:
    for message, kind in ((started, SpeechOnset), (ended, SpeechOffset)):
        read = decode(json.dumps(message))
        assert isinstance(read, kind)
        assert (read.timestamp, read.session_id) == (kept(message["timestamp"]), message["session_id"])
    error = decode(json.dumps({**told, "type": "error"}))
    assert isinstance(error, ErrorMessage)
    assert error.text == told.get("message", error.text)


@NEEDED
@generous
@given(generated(SPOKEN), st.binary(max_size=40).map(lambda audio: audio[: len(audio) // 2 * 2]))
def test_every_piece_of_speech_that_the_schema_allows_is_read(message: dict[str, Any], audio: bytes) -> None:
    data = message.get("data", {})
    if "audio" in data:  # the schema says text, and means base64
        data["audio"] = base64.b64encode(audio).decode()
    read = decode_message(json.dumps(message))
    if message.get("status") == "complete":
        assert isinstance(read, CompleteMessage)
    elif message.get("status") == "chunk" and "audio" in data:
        assert isinstance(read, AudioMessage)
        assert read.data == audio
    elif message.get("status") == "word_timestamp" and data.get("word"):
        assert isinstance(read, WordMessage)
        assert (read.text, read.start, read.end) == (data["word"], kept(data.get("start")), kept(data.get("end")))


@NEEDED
@generous
@given(generated(ANSWER), generated(ACCEPTED))
def test_every_answer_to_a_file_that_the_schema_allows_is_read(
    answer: dict[str, Any], accepted: dict[str, Any]
) -> None:
    read = read_file_answer(200, (), json.dumps({**answer, "status": "success"}).encode())
    if answer["transcription"] and not {"error", "errors", "error_code"} & answer.keys():
        assert isinstance(read, FileTranscript)
        assert read.text == answer["transcription"]
        assert [word.text for word in read.words] == [w["word"] for w in answer.get("words", ()) if w.get("word")]
    later = read_file_answer(
        200, (), json.dumps({"request_id": accepted["request_id"], "status": "processing"}).encode()
    )
    assert isinstance(later, TranscriptionAccepted)


@NEEDED
@generous
@given(generated(CATALOGUE))
def test_every_list_of_voices_that_the_schema_allows_is_read(answer: dict[str, Any]) -> None:
    read = read_voices(200, (), json.dumps(answer).encode())
    if "voices" in answer:
        assert isinstance(read, Voices)
        named = [voice["voiceId"] for voice in answer["voices"] if voice.get("voiceId")]
        assert [voice.id for voice in read.voices] == named


# --- what the client can ask for, the service reads; and the client asks for nothing that the schema does not have ---


@NEEDED
@generous
@given(generated({**QUERY, "additionalProperties": False}))
def test_every_query_that_the_schema_allows_is_let_in(query: dict[str, Any]) -> None:
    target = f"/stt/live?{urlencode(query)}"
    asked = read_request("GET", target, KEY, websocket=True)
    assert isinstance(asked, LiveRequest), asked
    for name in ("language", "encoding", "sample_rate"):
        if name in query:
            assert getattr(asked.options, name) == query[name]
    for name in ("diarize", "punctuate", "word_timestamps", "full_transcript"):
        if name in query:
            assert getattr(asked.options, name) is (query[name] == "true")
    # Numbers and texts are free in the schema: of those alone something can be passed over.
    free = {"max_words", "eou_timeout_ms", "keywords", "external_session_id"}
    assert {note.split()[0] for note in asked.notes} <= free


flags = st.sampled_from((None, True, False))


@NEEDED
@generous
@given(st.builds(TranscriptionConfig, vad_events=flags, diarize=flags, punctuate=flags, max_words=st.just(5)))
def test_a_client_asks_for_nothing_that_the_schema_does_not_have(config: TranscriptionConfig) -> None:
    query = dict(parse_qsl(live_transcription_request(config, ENDPOINT).query))
    schema = {**QUERY, "additionalProperties": False}
    numbers = {name for name, kind in QUERY["properties"].items() if kind["type"] == "integer"}
    typed = {name: int(said) if name in numbers else said for name, said in query.items()}
    jsonschema.validate(typed, schema)


@NEEDED
@generous
@given(
    st.builds(
        SynthesisConfig,
        speed=st.none() | st.floats(0.5, 2),
        language=st.sampled_from((None, "auto", "en", "hi")),
        math_notation=flags,
        output_format=st.sampled_from(("pcm", "wav", "mp3", "ulaw", "alaw")),
        sample_rate=st.sampled_from((8000, 16000, 24000, 44100)),
        session_id=st.sampled_from((None, "a.b-c")),
    )
)
def test_a_client_orders_nothing_that_the_schema_does_not_have(config: SynthesisConfig) -> None:
    body = json.loads(synthesis_request(config, ENDPOINT, "Hello.").body or b"")
    jsonschema.validate(body, {**ORDER, "additionalProperties": False})
    fields = {**speech_fields(config), "text": "Hello ", "continue": True, "flush": False}
    jsonschema.validate(fields, ASKED)
    assert fields.keys() - ASKED["properties"].keys() <= {"pronunciation_dicts"}


@NEEDED
@generous
@given(generated({**ORDER, "additionalProperties": False}))
def test_every_order_that_the_schema_allows_is_read(order: dict[str, Any]) -> None:
    order["voice_id"] = "sophia"
    if order.get("model") != "lightning_v3.1_pro":  # the other model has fewer languages
        order.pop("language", None)
        order.pop("number_pronunciation_language", None)
    order.pop("pronunciation_dicts", None)  # ids, which the schema has as any text
    options = read_synthesis_fields(order)
    assert options.model == order.get("model", "lightning_v3.1")
    assert options.sample_rate == order.get("sample_rate", 44100)


# --- what the local service says is what the schema has ---


def everything_said(target: str) -> list[dict[str, Any]]:
    request = read_request("GET", target, KEY, websocket=True)
    assert isinstance(request, LiveRequest)
    service, recogniser = LiveService(request, "session-7"), CodedRecogniser(request.options)
    service.start(0.0)
    pcm = coded_speech([*range(1, 14), 0.8, 14, 0.3, 15, 1.0]).pcm
    said = []
    for message in (*(pcm[i : i + 3200] for i in range(0, len(pcm), 3200)), FINALIZE, "nonsense", CLOSE_STREAM):
        service.message_received(message, 0.0)
        while (command := service.poll_output()) is not None:
            if isinstance(command, Hear):
                service.recognised(recogniser.hear(command.audio), 0.0)
            elif isinstance(command, Finalize):
                service.finalized(recogniser.finalize(), 0.0)
            elif isinstance(command, Reply):
                said.append(json.loads(command.text))
    return said


@pytest.mark.parametrize("path", ["/stt/live?model=pulse&", "/pulse/get_text?"])
def test_the_local_service_says_what_the_schema_has(path: str) -> None:
    said = everything_said(f"{path}word_timestamps=true&sentence_timestamps=true&vad_events=true&language=multi-asian")
    known = {"transcription": TRANSCRIPTION, "error": ERROR, "speech_started": VOICE_EVENT, "speech_ended": VOICE_EVENT}
    assert {message["type"] for message in said} == known.keys()
    for message in said:
        assert message.keys() <= known[message["type"]]
        assert all(word.keys() <= WORD for word in message.get("words", ()))
        assert all(utterance.keys() <= UTTERANCE for utterance in message.get("utterances", ()))
    if not SPEC.is_dir():
        return
    older = path.startswith("/pulse")
    schemas = {
        "transcription": PULSE_SCHEMA if older else LIVE_SCHEMA,
        "speech_started": at(*PULSE, "pulseSpeechStartedEvent.message", "payload") if older else STARTED,
        "speech_ended": at(*PULSE, "pulseSpeechEndedEvent.message", "payload") if older else ENDED,
        "error": TOLD,
    }
    for message in said:
        jsonschema.validate(message, schemas[message["type"]])


def test_local_speech_says_what_the_schema_has() -> None:
    host = SpeechHost()
    said = host.send(text="w1 w2. w3", session_id="mine", request_id="r.1", word_timestamps=True)
    assert {message["status"] for message in said} == {"chunk", "word_timestamp", "complete"}
    for message in said:
        assert message.keys() <= SPEECH
        assert message.get("data", {}).keys() <= SPEECH_DATA
        if SPEC.is_dir():
            jsonschema.validate(message, SPOKEN)


@pytest.mark.parametrize("model", ["pulse", "pulse-pro"])
def test_local_answers_to_files_are_what_the_schema_has(model: str) -> None:
    request = read_request("POST", f"/stt?model={model}&word_timestamps=true&diarize=true", KEY, websocket=False)
    assert isinstance(request, FileRequest)
    recogniser = CodedRecogniser()
    items = [*recogniser.hear(coded_speech([1, 2, 0.9, 3]).pcm), *recogniser.finalize()]
    heard = [item for item in items if isinstance(item, Heard)]
    answer = json.loads(file_answer(request, heard, 2.0, "r", size=64_044, took=0.2).body)
    assert answer.keys() <= FILE
    assert answer["metadata"].keys() <= METADATA
    if SPEC.is_dir():
        jsonschema.validate(answer, ANSWER)
        jsonschema.validate(json.loads(voices_answer(None, VOICES).body), CATALOGUE)


def test_the_client_sends_a_file_as_the_schema_has_it() -> None:
    config = FileTranscriptionConfig(word_timestamps=True, diarize=False, language="en")
    request = file_transcription_request(config, ENDPOINT, audio=b"RIFF")
    assert dict(request.headers)["Content-Type"] == "application/octet-stream"
    query = dict(parse_qsl(request.query))
    assert query == {"model": "pulse", "language": "en", "word_timestamps": "true", "diarize": "false"}
    if SPEC.is_dir():
        known = {one["name"] for one in at("stt-openapi", "paths", "/waves/v1/stt/", "post")["parameters"]}
        assert query.keys() <= known
