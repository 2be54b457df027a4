"""What the user sets: good values stand, bad ones get a message that says what would be right."""

from __future__ import annotations

import copy
import math
import pickle
import pydoc
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import SAMPLE_RATES, AudioFormat
from smallest_proto.config import (
    MAX_KEYWORDS,
    Endpoint,
    FileTranscriptionConfig,
    RetryPolicy,
    SynthesisConfig,
    Timeouts,
    TranscriptionConfig,
)
from smallest_proto.errors import ConfigurationError
from smallest_proto.languages import FILE_LANGUAGES, LIVE_LANGUAGES
from smallest_proto.values import Secret, Value

HOOKED: dict[str, Any] = {"model": "pulse-pro", "webhook_url": "https://h/cb"}
HUGE = 10**400  # a whole number that no float holds
BOOLEANS = (
    "diarize", "format", "punctuate", "capitalize", "itn_normalize", "content_filter", "word_timestamps",
    "sentence_timestamps", "emotion_detection", "gender_detection", "expire_content",
)  # fmt: skip
LIVE_BOOLEANS = (*BOOLEANS, "vad_events", "endpointing", "finalize_on_words", "full_transcript", "no_format_delay")
WRITTEN: list[tuple[dict[str, Any], str]] = [
    ({"numerals": "true"}, "numerals must be one of auto, words, digits, True or False"),
    ({"numerals": 1}, "numerals must be one of"),
    *(
        ({name: value}, f"{name} must be True, False, None, or a tuple of kinds")
        for name in ("redact_pii", "redact_pci")
        for value in ("true", 1, (), ("",), ("a,b",), (5,), ["name"])
    ),
    ({"extra": "a=b"}, "extra must be a mapping of texts"),
    ({"extra": None}, "extra must be a mapping of texts"),
    ({"extra": {"a": True}}, "write True as 'true'"),
    ({"extra": {"a": 5}}, "write True as 'true'"),
    ({"extra": {"": "a"}}, "extra must be a mapping of texts"),
    ({"extra": {5: "a"}}, "extra must be a mapping of texts"),
    ({"extra": {"a": "\ud800"}}, "extra must be a mapping of texts"),
]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "pulse-pro"}, "no live transcription: use model='pulse'"),
        ({"model": "whisper"}, "model must be one of pulse, pulse-2"),
        ({"model": None}, "model must be one of pulse, pulse-2"),
        ({"language": "xx"}, "use one of .*en.*hi"),
        ({"language": "xx"}, "extra={'language': …}"),
        ({"language": "multi-eu"}, "live transcription has no language 'multi-eu'"),  # files have it
        ({"language": None}, "use one of"),
        ({"language": ["en"]}, "use one of"),
        ({"model": "pulse-2", "language": "de"}, "use language='en', or model='pulse'"),
        ({"encoding": "mp3"}, "encoding must be one of linear16, linear32, alaw, mulaw, opus, ogg_opus"),
        ({"encoding": None}, "encoding must be one of linear16"),
        ({"encoding": []}, "encoding must be one of linear16"),
        ({"sample_rate": 11025}, "sample_rate must be one of 8000, 16000.*resample"),
        ({"sample_rate": 16000.0}, "sample_rate must be one of"),
        ({"sample_rate": "16000"}, "sample_rate must be one of"),
        ({"sample_rate": None}, "sample_rate must be one of"),
        ({"endpointing_timeout": 0}, "whole number of at least 1"),
        ({"endpointing_timeout": 300.0}, "milliseconds"),
        ({"endpointing_timeout": True}, "whole number"),
        ({"eou_timeout_ms": 99}, "from 100 to 10000"),
        ({"eou_timeout_ms": 10_001}, "from 100 to 10000"),
        ({"eou_timeout_ms": -1}, "0 for the default"),
        ({"eou_timeout_ms": ""}, "whole number"),
        ({"eou_timeout_ms": False}, "whole number"),
        ({"eou_timeout_ms": 0.0}, "whole number"),
        ({"max_words": 0}, "whole number of at least 1"),
        ({"keywords": "Jensen"}, "tuple of words"),
        ({"keywords": None}, "tuple of words"),
        ({"keywords": {"Jensen": 1}}, "tuple of words"),
        ({"keywords": ("a",) * (MAX_KEYWORDS + 1)}, "10,001 keywords: the service takes at most 10,000"),
        ({"keywords": ("a,b",)}, "keyword 0 must be .* without ',' and ':'"),
        ({"keywords": ("a", "b:2")}, "keyword 1 must be .* without ',' and ':'"),
        ({"keywords": ("",)}, "keyword 0"),
        ({"keywords": (5,)}, "keyword 0"),
        ({"keywords": (("a", 1, 2),)}, "keyword 0"),
        ({"keywords": ("\ud800",)}, "keyword 0"),
        ({"keywords": (("a", 0),)}, "boost of keyword 0 must be a number above 0"),
        ({"keywords": (("a", math.nan),)}, "boost of keyword 0"),
        ({"keywords": (("a", HUGE),)}, "boost of keyword 0"),
        ({"keywords": (("a", True),)}, "boost of keyword 0"),
        ({"keywords": (("a", "2"),)}, "boost of keyword 0"),
        ({"external_session_id": ""}, "1 to 128 of the characters"),
        ({"external_session_id": "a" * 129}, "1 to 128 of the characters"),
        ({"external_session_id": "a b"}, "1 to 128 of the characters"),
        ({"external_session_id": "a\n"}, "1 to 128 of the characters"),
        ({"external_session_id": 5}, "1 to 128 of the characters"),
        ({"vad_threshold": 1.1}, "vad_threshold must be a number from 0 to 1"),
        ({"vad_threshold": "0.5"}, "vad_threshold must be a number from 0 to 1"),
        ({"vad_min_speech_ms": -1}, "vad_min_speech_ms must be a whole number of at least 0"),
        *(({"extra": {name: "x"}}, "set the option") for name in ("encoding", "sample_rate", "word_timestamps")),
        *WRITTEN,
        *(({name: "true"}, f"{name} must be True, False or None") for name in LIVE_BOOLEANS),
    ],
)
def test_a_live_transcription_says_what_would_be_right(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        TranscriptionConfig(**options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "whisper"}, "model must be one of pulse, pulse-pro, pulse-2"),
        ({"language": "north_indic"}, "file transcription has no language 'north_indic'"),
        ({"model": "pulse-2", "language": "de"}, "use language='en', or model='pulse'"),
        ({"model": "pulse-pro", "language": "de"}, "use language='en', or model='pulse'"),
        ({"encoding": "linear16"}, "both encoding and sample_rate"),
        ({"sample_rate": 16000}, "both encoding and sample_rate"),
        ({"encoding": "wav", "sample_rate": 16000}, "encoding must be one of"),
        ({"encoding": "linear16", "sample_rate": 1}, "sample_rate must be a whole number from 1000 to 384000"),
        ({"encoding": "linear16", "sample_rate": 16000.0}, "sample_rate must be a whole number"),
        ({"encoding": "opus", "sample_rate": 16000}, "put them into an OGG file"),
        ({"keywords": "a"}, "tuple of words"),
        ({"webhook_method": "GET"}, "need a webhook_url"),
        ({"webhook_extra": "a:b"}, "need a webhook_url"),
        ({**HOOKED, "webhook_method": "PUT"}, "'GET' or 'POST'"),
        ({**HOOKED, "webhook_extra": 5}, "webhook_extra must be text"),
        ({**HOOKED, "webhook_extra": "\ud800"}, "webhook_extra must be text"),
        *(
            ({**HOOKED, "webhook_url": url}, "webhook_url must be an absolute http or https URL")
            for url in (5, b"http://h", "", "h", "ftp://h", "http://", "http://[", "https:///x", "http://\udfff")
        ),
        *WRITTEN,
        *(({name: 1}, f"{name} must be True, False or None") for name in BOOLEANS),
    ],
)
def test_a_file_transcription_says_what_would_be_right(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        FileTranscriptionConfig(**options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"api_key": ""}, "SMALLEST_API_KEY"),
        ({"api_key": " "}, "SMALLEST_API_KEY"),
        ({"api_key": None}, "SMALLEST_API_KEY"),
        ({"api_key": b"key"}, "SMALLEST_API_KEY"),
        ({"api_key": "secret\n"}, "line ends and quotes"),
        ({"api_key": "secret\r\nX-Evil: 1"}, "line ends"),
        ({"api_key": " secret"}, "characters that no key has"),
        ({"api_key": "s\u00e9cret"}, "characters that no key has"),
        ({"route": "direct "}, "route must be one of unified, model, direct, on-premises"),
        ({"route": None}, "route must be one of unified, model, direct, on-premises"),
        ({"any_region": 1}, "any_region must be True or False"),
        ({"source": ""}, "source"),
        ({"source": None}, "source"),
        ({"source": "a\nb"}, "source"),
        ({"headers": "abc"}, "tuple of .name, value. pairs"),
        ({"headers": {"X-A": "b"}}, "tuple of .name, value. pairs"),
        ({"headers": (("X-A",),)}, "header 0 must be a pair"),
        ({"headers": (("X-A", "b"), ("X-A", 5))}, "header 1 must be a pair"),
        ({"headers": (("X A", "b"),)}, "'X A' cannot be sent"),
        ({"headers": (("X-A:", "b"),)}, "cannot be sent"),
        ({"headers": (("X-A", "b\r\nX-B: c"),)}, "cannot be sent"),
        ({"headers": (("", "b"),)}, "cannot be sent"),
        *(
            ({"headers": ((name, "b"),)}, "written by the library")
            for name in ("Authorization", "authorization", "HOST", "Content-Length", "Transfer-Encoding", "Upgrade")
        ),
        *(({"headers": ((name, "b"),)}, "by the library") for name in ("Connection", "Sec-WebSocket-Key", "X-Source")),
    ],
)
def test_an_endpoint_says_what_would_be_right(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        Endpoint(**{"api_key": "key", **options})
    assert "secret" not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "such as https://"),
        (5, "such as https://"),
        (b"https://h", "such as https://"),
        ("", "such as https://"),
        ("api.smallest.ai/waves/v1", "such as https://"),
        ("//h", "such as https://"),
        ("ftp://h", "'ftp', not http, https, ws or wss"),
        ("https://", "no host"),
        ("https:///waves", "no host"),
        ("https://h st", "no host"),
        ("https://h\n", "no host"),
        (" https://h", "no host"),
        ("https://h/\u00e4", "no host"),
        ("https://h\u2028", "no host"),
        ("https://ho\\st", "no host"),
        ("https://h<>", "no host"),
        ('https://h/"', "no host"),
        ("https://h/{model}", "no host"),
        ("https://h,evil", "no host"),
        ("https://-", "no host"),
        ("https://h:", "no host"),
        ("https://h:0", "no host"),
        ("https://h:99999", "cannot be read"),
        ("https://h:x", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://[zz]", "cannot be read|no host"),
        ("https://h?", "end with its path"),
        ("https://h/#", "end with its path"),
        ("https://h?model=pulse", "end with its path"),
        ("https://@h", "must not hold a user"),
        ("https://secret@h", "must not hold a user"),
        ("https://u:secret@h", "must not hold a user"),
    ],
)
def test_a_base_url_says_what_would_be_right(url: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        Endpoint(api_key="key", base_url=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.smallest.ai/waves/v1", "https://api.smallest.ai/waves/v1/", "HTTPS://API.SMALLEST.AI/waves/v1",
        "http://localhost:8000", "ws://127.0.0.1:1/a/b", "wss://[::1]:65535/", "http://speech_server.internal",
        "https://h/a%20b/~c",
    ],
)  # fmt: skip
def test_base_urls_that_stand(url: str) -> None:
    assert Endpoint(api_key="key", base_url=url).base_url == url


@given(st.text())
def test_a_base_url_stands_or_is_a_configuration_error(text: str) -> None:
    for url in (text, f"https://{text}", f"https://h{text}", f"https://h/{text}"):
        try:
            Endpoint(api_key="key", base_url=url)
        except ConfigurationError:
            continue
        assert url.isascii()
        assert not set(url) & set(' ?#\\@"<>{}\r\n\t\0') - ({"@"} if url.startswith("https://h/") else set())


@pytest.mark.parametrize("kind", [TranscriptionConfig, FileTranscriptionConfig, SynthesisConfig])
def test_what_goes_out_as_it_is_can_be_read_and_not_be_changed(kind: Any) -> None:
    mine = {"new_option": "Wilhelmina"}
    config, same = kind(extra=mine), kind(extra=dict(mine))
    assert (config, hash(config)) == (same, hash(same))
    assert config != kind()
    assert config.extra == mine
    assert "Wilhelmina" not in repr(config)
    mine["other"] = "x"
    assert "other" not in config.extra
    with pytest.raises(TypeError, match="does not change"):
        config.extra["other"] = "x"
    with pytest.raises(TypeError):
        config.extra.update(other="x")
    again = msgspec.convert(msgspec.to_builtins(config), kind)
    assert (again, hash(again)) == (config, hash(config))
    assert msgspec.json.decode(msgspec.json.encode(config), type=kind) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert copy.deepcopy(config) == config


_EVERY = (TranscriptionConfig, FileTranscriptionConfig, SynthesisConfig, Timeouts, RetryPolicy, Endpoint, AudioFormat)
_ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(HUGE), st.floats(), st.text(), st.binary(), st.just([]),
    st.just({}),
    st.dictionaries(st.text() | st.integers(), st.text() | st.integers(), max_size=2),
    st.lists(st.tuples(st.text(), st.just(HUGE) | st.floats() | st.text())), st.just(("a", "b")),
)  # fmt: skip


@pytest.mark.parametrize("kind", _EVERY)
@given(data=st.data())
def test_any_value_anywhere_stands_or_is_a_configuration_error(kind: Any, data: st.DataObject) -> None:
    fields = st.sampled_from(kind.__struct_fields__)
    options = data.draw(st.dictionaries(fields, _ANYTHING, max_size=3))
    if kind is Endpoint:
        options.setdefault("api_key", "key")
    try:
        made = kind(**options)
    except ConfigurationError:
        return
    hash(made)  # nothing in it can change later
    assert repr(made)


@pytest.mark.parametrize("kind", [TranscriptionConfig, FileTranscriptionConfig])
@given(st.lists(st.text(alphabet="abc é", min_size=1).filter(str.strip) | st.tuples(st.just("x"), st.floats(0.5, 9))))
def test_keywords_in_a_list_are_kept_as_they_were(kind: Any, keywords: list[Any]) -> None:
    config = kind(keywords=keywords)
    assert config.keywords == tuple(keywords)
    keywords.append("later")
    assert "later" not in config.keywords


@given(st.sampled_from(sorted(LIVE_LANGUAGES)), st.sampled_from(SAMPLE_RATES), st.integers(100, 10_000) | st.just(0))
def test_what_the_live_service_has_stands(language: str, rate: int, eou: int) -> None:
    config = TranscriptionConfig(language=language, sample_rate=rate, eou_timeout_ms=eou)
    assert config.audio_format == AudioFormat(encoding="linear16", sample_rate=rate)


@given(st.sampled_from(sorted(FILE_LANGUAGES)), st.sampled_from(SAMPLE_RATES))
def test_what_the_file_service_has_stands(language: str, rate: int) -> None:
    assert FileTranscriptionConfig(language=language, encoding="mulaw", sample_rate=rate).language == language


@pytest.mark.parametrize("name", Timeouts().__struct_fields__)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, pytest.param(HUGE, id="huge"), "1", None, True])
def test_a_deadline_is_a_number_of_seconds(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a number of seconds (above|of at least) 0"):
        Timeouts(**{name: value})


@pytest.mark.parametrize("name", Timeouts().__struct_fields__)
def test_only_the_pace_can_be_nothing(name: str) -> None:
    if name == "message_interval":
        assert Timeouts(message_interval=0).message_interval == 0
    else:
        with pytest.raises(ConfigurationError, match="above 0"):
            Timeouts(**{name: 0})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_retries": -1}, "max_retries must be a whole number of at least 0"),
        ({"max_retries": 1.5}, "whole number"),
        ({"first_delay": -0.1}, "first_delay must be a number of seconds of at least 0"),
        ({"longest_delay": math.inf}, "longest_delay must be a number of seconds"),
        ({"longest_retry_after": "60"}, "longest_retry_after must be a number of seconds"),
        ({"healthy_after": None}, "healthy_after must be a number of seconds"),
        ({"growth": 0.5}, "growth must be a number from 1 to 1000"),
        ({"jitter": 1.5}, "jitter must be a number from 0 to 1"),
    ],
)
def test_a_retry_policy_says_what_would_be_right(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        RetryPolicy(**options)
    assert RetryPolicy(max_retries=0, first_delay=0).max_retries == 0


CONFIGURATIONS = (TranscriptionConfig, FileTranscriptionConfig, SynthesisConfig, Timeouts, RetryPolicy, Endpoint)


def untold(config: type[Value], text: str) -> set[str]:
    """Fields that a text does not tell of as ``name (default): meaning``."""
    fields = {}
    for field in msgspec.structs.fields(config):
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        fields[field.name] = "required" if type(default) is Secret else repr(default)
    return {name for name, shown in fields.items() if not re.search(rf"\b{name} \({re.escape(shown)}\): \S", text)}


@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_help_tells_of_each_field_and_its_default(config: type[Value]) -> None:
    assert untold(config, pydoc.plain(pydoc.render_doc(config))) == set()
    assert len(untold(config, "")) == len(config.__struct_fields__) > 5


def test_a_field_that_help_does_not_tell_of_is_found() -> None:
    told = (Timeouts.__doc__ or "").replace("ping (5.0)", "ping (6.0)").replace("mute (12.0):", "")
    assert untold(Timeouts, told) == {"mute", "ping"}


# What a field needs beside it.
ALONG: dict[tuple[type[Value], str], dict[str, Any]] = {
    (FileTranscriptionConfig, "sample_rate"): {"encoding": "linear16"},
    (SynthesisConfig, "consistency"): {"model": "lightning-large"},
    (SynthesisConfig, "similarity"): {"model": "lightning-large"},
    (SynthesisConfig, "enhancement"): {"model": "lightning-large"},
    (SynthesisConfig, "max_buffer_delay_ms"): {"continuations": True},
}
UNITS = r"\b(Hz|ms|seconds|words|times|probability|share|failures)\b|\b0 to [12]\b"


def numbers() -> list[tuple[type[Value], str, str]]:
    """Each field that is a number, with what ``help`` says of it."""
    every = []
    for config in (TranscriptionConfig, FileTranscriptionConfig, SynthesisConfig, Timeouts, RetryPolicy):
        text = " ".join((config.__doc__ or "").split())
        for field in msgspec.structs.fields(config):
            if re.search(r"\b(int|float)\b", str(field.type)) and field.name != "keywords":
                match = re.search(rf"\b{field.name} \([^)]*\): (.*?)(?=\b\w+ \([^)]*\)+: |$)", text)
                every.append((config, field.name, match[1] if match else ""))
    return every


@pytest.mark.parametrize(("config", "name", "meaning"), numbers())
def test_help_tells_the_unit_and_the_true_range_of_each_number(config: type[Value], name: str, meaning: str) -> None:
    if config is Timeouts:
        assert "All are seconds above 0; ``message_interval`` can be 0." in (Timeouts.__doc__ or "")
        return  # see the test above
    assert re.search(UNITS, meaning)
    along = ALONG.get((config, name), {})
    bounds = re.search(r"([\d.]+) to ([\d.]*\d)", meaning) or re.search(r"at least ([\d.]*\d)", meaning)
    if bounds is None:  # the numbers that there are
        listed = [int(rate) for rate in re.findall(r"\d{4,}", meaning)]
        assert len(listed) > 3
        assert [getattr(config(**{name: rate}), name) for rate in listed] == listed
        return
    for bound, step in zip(bounds.groups(), (-1, 1), strict=False):
        number = float(bound) if "." in bound else int(bound)
        assert getattr(config(**{name: number}, **along), name) == number
        with pytest.raises(ConfigurationError, match=name):
            config(**{name: number + step}, **along)


def test_there_are_numbers_to_tell_of() -> None:
    assert len({(config, name) for config, name, _ in numbers()}) > 30
    assert all(meaning for _, _, meaning in numbers())
