"""Configuration -> request, read back with the standard library's own parsers."""

from __future__ import annotations

import json
import traceback
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.config import (
    BASE_URL,
    US_BASE_URL,
    Endpoint,
    FileTranscriptionConfig,
    TranscriptionConfig,
)
from smallest_proto.errors import ConfigurationError
from smallest_proto.languages import FILE_LANGUAGES, INDIA_ONLY_LANGUAGES, LIVE_LANGUAGES, US_ONLY_LANGUAGES
from smallest_proto.requests import MAX_FILE_BYTES, Request, file_transcription_request, live_transcription_request
from smallest_proto.wav import has_container, read_wav

from .private import KEY

HOST = "https://speech.example/base"  # no region is known of it
ENDPOINT = Endpoint(api_key=KEY, base_url=HOST)

_FLAG = st.booleans()
_NUMERALS = _FLAG | st.sampled_from(["auto", "words", "digits"])
_KINDS = _FLAG | st.lists(st.sampled_from(["name", "phone", "e mail"]), min_size=1, max_size=3, unique=True).map(tuple)
_MS = st.integers(1, 10**6)
_WORDS = st.text(st.characters(exclude_characters=",:", codec="utf-8"), min_size=1).filter(str.strip)
_KEYWORDS = st.lists(_WORDS | st.tuples(_WORDS, st.floats(0.01, 1000)), min_size=1, max_size=5).map(tuple)
_URLS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="[]")).map("https://h/{}".format)

# Every parameter of the wire with values for it; the vendor's names are the configuration's.
LIVE_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "language": st.sampled_from(sorted(LIVE_LANGUAGES)),
    "encoding": st.sampled_from(["linear16", "linear32", "alaw", "mulaw", "opus", "ogg_opus"]),
    "sample_rate": st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000]),
    "word_timestamps": _FLAG,
    "sentence_timestamps": _FLAG,
    "diarize": _FLAG,
    "vad_events": _FLAG,
    "endpointing": _FLAG,
    "endpointing_timeout": _MS,
    "eou_timeout_ms": st.just(0) | st.integers(100, 10_000),
    "format": _FLAG,
    "punctuate": _FLAG,
    "capitalize": _FLAG,
    "itn_normalize": _FLAG,
    "numerals": _NUMERALS,
    "finalize_on_words": _FLAG,
    "max_words": _MS,
    "redact_pii": _KINDS,
    "redact_pci": _KINDS,
    "content_filter": _FLAG,
    "full_transcript": _FLAG,
    "emotion_detection": _FLAG,
    "gender_detection": _FLAG,
    "no_format_delay": _FLAG,
    "vad_threshold": st.floats(0, 1),
    "vad_min_speech_ms": st.integers(0, 10_000),
    "keywords": _KEYWORDS,
    "external_session_id": st.from_regex(r"[A-Za-z0-9_.-]{1,128}", fullmatch=True),
}
ELSEWHERE = {"extra", "expire_content"}  # with tests of their own
_ALWAYS = {"language", "encoding", "sample_rate", "word_timestamps"}
FILE_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "language": st.sampled_from(sorted(FILE_LANGUAGES)),
    "word_timestamps": _FLAG,
    "sentence_timestamps": _FLAG,
    "diarize": _FLAG,
    "format": _FLAG,
    "punctuate": _FLAG,
    "capitalize": _FLAG,
    "itn_normalize": _FLAG,
    "numerals": _NUMERALS,
    "redact_pii": _KINDS,
    "redact_pci": _KINDS,
    "content_filter": _FLAG,
    "emotion_detection": _FLAG,
    "gender_detection": _FLAG,
    "keywords": _KEYWORDS,
}


def query(request: Request) -> dict[str, str]:
    """The query as a server reads it: each parameter once."""
    assert urlsplit(request.full_url).query == request.query
    read = parse_qs(request.query, keep_blank_values=True, strict_parsing=bool(request.query))
    assert all(len(values) == 1 for values in read.values())
    return {name: values[0] for name, values in read.items()}


def read_back(name: str, value: str) -> Any:
    """A parameter's text as the value that was set."""
    if name == "keywords":
        return tuple(
            (word, float(boost)) if boost else word
            for word, _, boost in (keyword.partition(":") for keyword in value.split(","))
        )
    if value in ("true", "false"):
        return value == "true"
    if name.startswith("redact_"):
        return tuple(value.split(","))
    if name == "vad_threshold":
        return float(value)
    whole = ("sample_rate", "endpointing_timeout", "eou_timeout_ms", "max_words", "vad_min_speech_ms")
    return int(value) if name in whole else value


def same(name: str, sent: Any, set_: Any) -> bool:
    """Equal, a boost within the six digits that go over the wire."""
    if name != "keywords":
        return (type(sent) is type(set_) and sent == set_) or (name == "vad_threshold" and sent == set_)
    return len(sent) == len(set_) and all(
        a == b if isinstance(b, str) else (a[0] == b[0] and a[1] == pytest.approx(b[1], rel=1e-5))
        for a, b in zip(sent, set_, strict=True)
    )


def test_every_option_is_tried_here() -> None:
    assert {*LIVE_OPTIONS, "model", *ELSEWHERE} == set(TranscriptionConfig().__struct_fields__)
    others = {*ELSEWHERE, "model", "encoding", "sample_rate", "webhook_url", "webhook_method", "webhook_extra"}
    assert {*FILE_OPTIONS, *others} == set(FileTranscriptionConfig().__struct_fields__)


@given(st.fixed_dictionaries({}, optional=LIVE_OPTIONS), st.sampled_from(["unified", "model", "direct", "on-premises"]))
def test_live_options_come_through_and_what_was_not_set_is_absent(options: dict[str, Any], route: Any) -> None:
    endpoint = Endpoint(api_key=KEY, base_url=HOST, route=route)
    sent = query(live_transcription_request(TranscriptionConfig(**options), endpoint))
    assert sent.pop("model", None) == (None if route == "model" else "pulse")
    assert sent.pop("word_timestamps") == "true"  # always asked for: the watermark needs them
    options.pop("word_timestamps", None)
    options.setdefault(
        "vad_events", True
    )  # by default: else each final of a service that cuts by words would be a turn
    if options.get("eou_timeout_ms") == 0:
        del options["eou_timeout_ms"]
    assert set(sent) == set(options) | (_ALWAYS - {"word_timestamps"})
    for name, value in options.items():
        assert same(name, read_back(name, sent[name]), value), name


@given(st.fixed_dictionaries({}, optional=FILE_OPTIONS), st.sampled_from(["unified", "model"]))
def test_file_options_come_through_and_what_was_not_set_is_absent(options: dict[str, Any], route: Any) -> None:
    endpoint = Endpoint(api_key=KEY, base_url=HOST, route=route)
    request = file_transcription_request(FileTranscriptionConfig(**options), endpoint, audio=b"x")
    sent = query(request)
    assert sent.pop("model", None) == (None if route == "model" else "pulse")
    assert set(sent) == set(options) | {"language"}
    for name, value in options.items():
        assert same(name, read_back(name, sent[name]), value), name


@given(
    url=_URLS,
    extra=st.none() | st.text(st.characters(codec="utf-8")),
    method=st.sampled_from(["GET", "POST"]),
)
def test_pulse_pro_and_its_webhook(url: str, extra: str | None, method: Any) -> None:
    config = FileTranscriptionConfig(model="pulse-pro", webhook_url=url, webhook_extra=extra, webhook_method=method)
    sent = query(file_transcription_request(config, ENDPOINT, audio=b"x"))
    expected = {"model": "pulse-pro", "language": "en", "webhook_url": url, "webhook_method": method}
    assert sent == (expected if extra is None else {**expected, "webhook_extra": extra})


def test_a_webhook_goes_with_every_model() -> None:
    config = FileTranscriptionConfig(webhook_url="https://h/cb")
    assert query(file_transcription_request(config, ENDPOINT, audio=b"x"))["webhook_url"] == "https://h/cb"


@given(
    encoding=st.sampled_from(["linear16", "linear32", "alaw", "mulaw"]),
    sample_rate=st.integers(1000, 384_000),
    audio=st.binary(min_size=8, max_size=40).filter(lambda audio: not has_container(audio)),
)
def test_raw_audio_goes_out_as_a_wav(encoding: Any, sample_rate: int, audio: bytes) -> None:
    request = file_transcription_request(
        FileTranscriptionConfig(encoding=encoding, sample_rate=sample_rate), ENDPOINT, audio=audio
    )
    assert request.body is not None
    read = read_wav(request.body)
    width = {"linear16": 2, "linear32": 4}.get(encoding, 1)
    assert read == (encoding, sample_rate, audio[: len(audio) // width * width])
    assert not {"encoding", "sample_rate"} & set(query(request))  # which the service would drop


@pytest.mark.parametrize("name", ["WAV", "FLAC", "OGG", "ID3"])
def test_a_file_goes_out_as_it_is_whatever_was_said_of_it(name: str) -> None:
    begin = {"WAV": b"RIFF\x10\0\0\0WAVEfmt ", "FLAC": b"fLaC", "OGG": b"OggS", "ID3": b"ID3\x04"}[name]
    config = FileTranscriptionConfig(encoding="linear16", sample_rate=16000)
    assert file_transcription_request(config, ENDPOINT, audio=begin + bytes(100)).body == begin + bytes(100)


def test_raw_audio_is_not_fetched() -> None:
    config = FileTranscriptionConfig(encoding="linear16", sample_rate=16000)
    with pytest.raises(ConfigurationError, match="send its bytes"):
        file_transcription_request(config, ENDPOINT, audio_url="https://h/a.raw")


NEW = {"language": "tlh", "new_option": "a b&c", "diarize": "maybe"}


@pytest.mark.parametrize("base", [HOST, BASE_URL, US_BASE_URL])
def test_what_is_not_known_here_goes_out_as_it_is(base: str) -> None:
    endpoint = Endpoint(api_key=KEY, base_url=base)
    live = live_transcription_request(TranscriptionConfig(diarize=True, extra=NEW), endpoint)
    file = file_transcription_request(FileTranscriptionConfig(diarize=True, extra=NEW), endpoint, audio=b"x")
    for request in (live, file):
        sent = query(request)
        assert {name: sent[name] for name in NEW} == NEW
        assert "tlh" not in repr(request)


def test_a_model_that_is_not_known_here_is_in_the_path_where_the_path_names_it() -> None:
    config = TranscriptionConfig(extra={"model": "pulse-3/x"})
    assert query(live_transcription_request(config, ENDPOINT))["model"] == "pulse-3/x"
    request = live_transcription_request(config, Endpoint(api_key=KEY, base_url=HOST, route="model"))
    assert request.url.endswith("/pulse-3%2Fx/get_text")
    assert "model" not in query(request)


def test_a_wish_for_deletion_is_a_header() -> None:
    for wish in (True, False):
        live = live_transcription_request(TranscriptionConfig(expire_content=wish), ENDPOINT)
        config = FileTranscriptionConfig(expire_content=wish)
        for request in (live, file_transcription_request(config, ENDPOINT, audio=b"x")):
            assert dict(request.headers).get("X-Expire-Content") == ("true" if wish else None)
            assert "expire" not in request.query


def test_a_server_on_premises() -> None:
    endpoint = Endpoint(api_key=KEY, base_url="http://localhost:7100", route="on-premises")
    live = live_transcription_request(TranscriptionConfig(), endpoint)
    assert live.url == "ws://localhost:7100/v1/listen/stream"
    config = FileTranscriptionConfig(word_timestamps=True, webhook_url="https://h/cb")
    file = file_transcription_request(config, endpoint, audio=b"x")
    assert file.url == "http://localhost:7100/v1/listen"
    assert (query(file)["timestamps"], query(file)["callback_url"]) == ("true", "https://h/cb")  # its own names
    for request in (live, file):
        assert dict(request.headers)["Authorization"] == f"Token {KEY}"
        assert KEY not in repr(request)


@pytest.mark.parametrize("slash", ["", "/", "//"])
@pytest.mark.parametrize(
    ("base", "secure"),
    [("https://h:1/a", True), ("wss://h:1/a", True), ("http://h:1/a", False), ("ws://h:1/a", False),
     ("HTTPS://h:1/a", True), ("Wss://h:1/a", True), ("HTTP://h:1/a", False)],
)  # fmt: skip
@pytest.mark.parametrize(
    ("route", "live", "file"),
    [
        ("unified", "/stt/live", "/stt/"),
        ("model", "/pulse/get_text", "/pulse/get_text"),
        ("direct", "/transcribe", None),
    ],
)
def test_where_requests_go(base: str, secure: bool, slash: str, route: Any, live: str, file: str | None) -> None:
    endpoint = Endpoint(api_key=KEY, base_url=base + slash, route=route)
    request = live_transcription_request(TranscriptionConfig(), endpoint)
    assert request.method == "GET"
    assert request.url == ("wss" if secure else "ws") + "://h:1/a" + live
    assert request.body is None
    if file is None:
        with pytest.raises(ConfigurationError, match="route='unified' or 'model'"):
            file_transcription_request(FileTranscriptionConfig(), endpoint, audio=b"x")
    else:
        request = file_transcription_request(FileTranscriptionConfig(), endpoint, audio=b"x")
        assert request.method == "POST"
        assert request.url == ("https" if secure else "http") + "://h:1/a" + file


def test_the_model_route_names_the_model_in_its_path() -> None:
    endpoint = Endpoint(api_key=KEY, route="model")
    live = live_transcription_request(TranscriptionConfig(model="pulse-2"), endpoint)
    assert live.url == "wss://api.smallest.ai/waves/v1/pulse-2/get_text"
    file = file_transcription_request(FileTranscriptionConfig(model="pulse-pro"), endpoint, audio=b"x")
    assert file.url == "https://api.smallest.ai/waves/v1/pulse-pro/get_text"


def test_full_url() -> None:
    assert Request(method="GET", url="ws://h/a").full_url == "ws://h/a"
    assert Request(method="GET", url="ws://h/a", query="b=c").full_url == "ws://h/a?b=c"


def test_headers() -> None:
    endpoint = Endpoint(api_key=KEY, source="livekit", headers=(("X-LiveKit-Version", "1.8.9"),))
    common = (("Authorization", f"Bearer {KEY}"), ("X-Source", "livekit"))
    common += (("Accept-Encoding", "identity"), ("X-LiveKit-Version", "1.8.9"))
    assert live_transcription_request(TranscriptionConfig(), endpoint).headers == common
    file = file_transcription_request(FileTranscriptionConfig(), endpoint, audio=b"x")
    content = (("Accept", "application/json"), ("Content-Type", "application/octet-stream"))
    assert file.headers == (*common, *content)
    linked = file_transcription_request(FileTranscriptionConfig(), endpoint, audio_url="https://h/a")
    assert linked.headers[-1] == ("Content-Type", "application/json")


def test_the_body_is_the_file_itself() -> None:
    audio = bytes(range(256))
    assert file_transcription_request(FileTranscriptionConfig(), ENDPOINT, audio=audio).body is audio


@given(_URLS)
def test_a_url_is_sent_as_json(url: str) -> None:
    request = file_transcription_request(FileTranscriptionConfig(), ENDPOINT, audio_url=url)
    assert request.body is not None
    assert json.loads(request.body) == {"url": url}


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({}, "either the audio's bytes or its URL"),
        ({"audio": b"x", "audio_url": "https://h"}, "either the audio's bytes or its URL"),
        ({"audio": b""}, "empty"),
        ({"audio": "RIFF"}, "must be bytes, not str"),
        ({"audio": bytearray(b"x")}, "must be bytes, not bytearray"),
        ({"audio": bytes(MAX_FILE_BYTES + 1)}, "at most 250 MB; compress it, or stream it live"),
        ({"audio_url": "file:///etc/passwd"}, "absolute http or https URL"),
        ({"audio_url": "a.wav"}, "absolute http or https URL"),
        ({"audio_url": "http://["}, "absolute http or https URL"),
        ({"audio_url": "http://h/\ud800"}, "absolute http or https URL"),
        ({"audio_url": 5}, "absolute http or https URL"),
    ],
)
def test_what_is_no_audio(given_: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        file_transcription_request(FileTranscriptionConfig(), ENDPOINT, **given_)


def test_pulse_pro_takes_no_url() -> None:
    with pytest.raises(ConfigurationError, match="send the file's bytes, or use model='pulse'"):
        file_transcription_request(FileTranscriptionConfig(model="pulse-pro"), ENDPOINT, audio_url="https://h/a")


def test_the_largest_file_is_no_error() -> None:
    request = file_transcription_request(FileTranscriptionConfig(), ENDPOINT, audio=bytes(MAX_FILE_BYTES))
    assert request.body is not None
    assert len(request.body) == MAX_FILE_BYTES


@pytest.mark.parametrize("language", sorted(LIVE_LANGUAGES))
def test_each_region_serves_its_languages(language: str) -> None:
    config = TranscriptionConfig(language=language)
    for base, other, lacks in (
        (BASE_URL, US_BASE_URL, US_ONLY_LANGUAGES),
        (US_BASE_URL, BASE_URL, INDIA_ONLY_LANGUAGES),
    ):
        endpoint = Endpoint(api_key=KEY, base_url=base)
        if language in lacks:
            with pytest.raises(ConfigurationError, match=f"use {other}"):
                live_transcription_request(config, endpoint)
            live_transcription_request(config, Endpoint(api_key=KEY, base_url=base, any_region=True))
        else:
            live_transcription_request(config, endpoint)
    live_transcription_request(config, ENDPOINT)  # of another host nothing is known


@pytest.mark.parametrize("language", sorted(FILE_LANGUAGES))
def test_each_region_serves_its_languages_for_files_too(language: str) -> None:
    config = FileTranscriptionConfig(language=language)
    for base, other, lacks in (
        (BASE_URL, US_BASE_URL, US_ONLY_LANGUAGES),
        (US_BASE_URL, BASE_URL, INDIA_ONLY_LANGUAGES),
    ):
        endpoint = Endpoint(api_key=KEY, base_url=base)
        if language in lacks:
            with pytest.raises(ConfigurationError, match=f"use {other}"):
                file_transcription_request(config, endpoint, audio=b"x")
            contract = Endpoint(api_key=KEY, base_url=base, any_region=True)
            file_transcription_request(config, contract, audio=b"x")
        else:
            file_transcription_request(config, endpoint, audio=b"x")


@pytest.mark.parametrize("language", ["multi", "bg", "cs", "da", "et", "fi", "hu", "lt", "lv", "mt", "pa", "pl", "uk"])
def test_what_the_vendors_pages_name_is_taken(language: str) -> None:
    live = live_transcription_request(TranscriptionConfig(language=language), ENDPOINT)
    file = file_transcription_request(FileTranscriptionConfig(language=language), ENDPOINT, audio=b"x")
    assert query(live)["language"] == query(file)["language"] == language


def test_no_error_shows_the_key_or_the_query() -> None:
    endpoint = Endpoint(api_key=KEY, base_url=BASE_URL)
    with pytest.raises(ConfigurationError) as caught:
        live_transcription_request(TranscriptionConfig(language="ja", keywords=("Wilhelmina",)), endpoint)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown.replace(f'"{KEY}"', "")
    assert "Wilhelmina" not in str(caught.value) + repr(caught.value)
    request = live_transcription_request(TranscriptionConfig(keywords=("Wilhelmina",)), endpoint)
    assert "Wilhelmina" in request.query
    assert "Wilhelmina" not in repr(request)
    assert KEY not in repr(request)
