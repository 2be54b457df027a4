"""What a user sets: the same names as in the published plugin, and errors that say what would be right."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import APIConnectOptions
from livekit.plugins import smallest_proto, smallestai
from livekit.plugins.smallest_proto import STT
from livekit.plugins.smallest_proto._options import endpoint, retry_policy

from smallest_proto import US_BASE_URL, Failure, FailureKind
from smallest_proto.retry import delay

from .stage import KEY


def make(**options: Any) -> STT:
    return STT(**{"api_key": KEY, **options})


def methods(of: type) -> list[str]:
    return [name for name in vars(of) if name == "__init__" or (not name.startswith("_") and callable(vars(of)[name]))]


NAMES = ("STT", "SpeechStream", "TTS", "ChunkedStream", "SynthesizeStream")
PAIRS = [
    (getattr(smallestai, name, None) or getattr(smallestai.tts, name), getattr(smallest_proto, name)) for name in NAMES
]
CALLS = [(theirs, ours, name) for theirs, ours in PAIRS for name in methods(theirs)]


@pytest.mark.parametrize(("theirs", "ours", "name"), CALLS, ids=lambda value: getattr(value, "__name__", value))
def test_what_the_published_plugin_takes_is_taken(theirs: type, ours: type, name: str) -> None:
    known = inspect.signature(getattr(ours, name)).parameters
    for parameter in inspect.signature(getattr(theirs, name)).parameters.values():
        assert parameter.name in known
        assert known[parameter.name].kind is parameter.kind
    assert inspect.iscoroutinefunction(getattr(ours, name)) is inspect.iscoroutinefunction(getattr(theirs, name))


@pytest.mark.parametrize(("name", "other"), [("STT", {"eou_timeout_ms": 0}), ("TTS", {"model": "lightning-v3.1"})])
def test_the_defaults_are_those_of_the_published_plugin(name: str, other: dict[str, Any]) -> None:
    """But for one each: 0 in place of nothing, which is not sent either way, and the model that the contract names."""
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (smallest_proto, smallestai))
    assert {name: ours[name].default for name in theirs if ours[name].default != theirs[name].default} == other


def test_who_it_is() -> None:
    made = make()
    assert (made.model, made.provider) == ("pulse", "SmallestAI")
    assert made.label == "livekit.plugins.smallest_proto.stt.STT"
    theirs = smallestai.STT(api_key=KEY)
    assert (made.model, made.provider) == (theirs.model, theirs.provider)


@pytest.mark.parametrize(
    ("options", "capabilities"),
    [
        ({}, {"streaming": True, "diarization": False, "aligned_transcript": "word"}),
        ({"model": "pulse-pro"}, {"streaming": False}),
        ({"diarize": True}, {"diarization": True}),
        ({"word_timestamps": False}, {"aligned_transcript": False}),
    ],
)
def test_capabilities(options: dict[str, Any], capabilities: dict[str, Any]) -> None:
    told = make(**options).capabilities
    assert (told.interim_results, told.offline_recognize, told.keyterms) == (True, True, True)
    assert {name: getattr(told, name) for name in capabilities} == capabilities
    theirs = smallestai.STT(api_key=KEY, **options).capabilities
    assert {name: getattr(theirs, name) for name in capabilities} == capabilities


def test_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    with pytest.raises(ValueError, match="SMALLEST_API_KEY"):
        STT()
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)
    assert KEY not in repr(vars(STT()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "xx"}, "live transcription has no language 'xx': use one of "),
        ({"sample_rate": 12345}, "sample_rate must be one of 8000, "),
        ({"encoding": "mp3"}, "use encoding='linear16'"),
        ({"encoding": "opus"}, "use encoding='linear16'"),
        ({"model": "whisper"}, "model must be one of "),
        ({"model": "pulse-pro", "language": "hi"}, "pulse-pro knows English alone"),
        ({"eou_timeout_ms": 50}, "eou_timeout_ms must be a whole number from 100 to 10000"),
        ({"keywords": "NVIDIA"}, "keywords must be a list of "),
        ({"keywords": [("a,b", 1.0)]}, "must be a word or phrase without ','"),
        ({"keywords": [5]}, "keyword 0 must be a word or phrase"),
        ({"diarize": "yes"}, "diarize must be True, False"),
        ({"base_url": "not a url"}, "base_url"),
        ({"stream_path": "/listen"}, "stream_path must be '/stt/live'"),
        ({"api_key": "sk\nvery"}, "the API key holds characters that no key has"),
        ({"keepalive_interval": -1.0}, "keepalive must be a number of seconds above 0"),
    ],
)
def test_what_cannot_be_is_said_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(**options)


def test_a_language_for_files_alone() -> None:
    assert make(language="pl").capabilities.streaming


@pytest.mark.parametrize(
    ("given", "live"), [("en", "en"), ("en-US", "en"), ("english", "en"), ("multi-asian", "multi-asian"), ("HI", "hi")]
)
def test_languages_have_many_names(given: str, live: str) -> None:
    made = make(language=given, base_url=US_BASE_URL)
    assert made.live_config(made._opts).language == live


def test_what_is_not_set_is_not_sent() -> None:
    made = make()
    config = made.live_config(made._opts)
    assert (config.eou_timeout_ms, config.numerals, config.finalize_on_words, config.max_words) == (0, None, None, None)
    assert (config.endpointing_timeout, config.vad_events, config.format, config.endpointing) == (300, True, True, True)


@pytest.mark.parametrize(
    ("base_url", "stream_path", "route", "base"),
    [
        ("https://api.smallest.ai/waves/v1", "/stt/live", "unified", "https://api.smallest.ai/waves/v1"),
        ("https://api.smallest.ai/waves/v1/", "stt/live/", "unified", "https://api.smallest.ai/waves/v1"),
        ("http://127.0.0.1:7000", "/transcribe", "direct", "http://127.0.0.1:7000"),
        ("http://127.0.0.1:7000", "/asr/transcribe", "direct", "http://127.0.0.1:7000/asr"),
        ("https://api.smallest.ai/waves/v1", "/pulse/get_text", "model", "https://api.smallest.ai/waves/v1"),
    ],
)
def test_routes(base_url: str, stream_path: str, route: str, base: str) -> None:
    made = endpoint(KEY, base_url, stream_path)
    assert (made.route, made.base_url, made.source) == (route, base, "livekit")
    assert dict(made.headers) == {"X-LiveKit-Version": smallest_proto.__version__}


def test_the_region_is_checked() -> None:
    made = make(language="ja")
    with pytest.raises(ValueError, match=r"api\.us\.smallest\.ai"):
        made.live_config(made._opts)


@pytest.mark.parametrize(("max_retry", "interval", "timeout"), [(0, 2.0, 10.0), (3, 2.0, 10.0), (5, 0.0, 0.0)])
def test_retries_are_those_of_the_framework(max_retry: int, interval: float, timeout: float) -> None:
    allowed = APIConnectOptions(max_retry=max_retry, retry_interval=interval, timeout=timeout)
    policy = retry_policy(allowed)
    assert policy.max_retries == max_retry
    lost = Failure(kind=FailureKind.DISCONNECTED, reason="lost")
    for failures in range(5):
        wait = delay(lost, failures + 1, policy, lambda: 0.0)
        assert wait == pytest.approx(min(interval, allowed._interval_for_retry(failures)))
    deadlines = make()._opts.timeouts(allowed)
    assert 0 < deadlines.opening <= max(timeout, 0.001)


@pytest.mark.parametrize(("given", "seconds"), [({}, 5.0), ({"keepalive_interval": 2.5}, 2.5)])
def test_keepalives(given: dict[str, Any], seconds: float) -> None:
    assert make(**given)._opts.timeouts(APIConnectOptions()).keepalive == seconds


def test_no_keepalives() -> None:
    assert make(keepalive_interval=None)._opts.timeouts(APIConnectOptions()).keepalive > 3600 * 24 * 365


def test_options_show_no_keywords() -> None:
    assert "Miriam" not in repr(make(keywords=[("Miriam", 2.0)])._opts)


CHANGES: list[Callable[[STT], None]] = [
    lambda made: made.update_options(language="xx"),
    lambda made: made.update_options(model="whisper"),
    lambda made: made.update_options(sample_rate=1),
    lambda made: made.update_options(encoding="mulaw"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_an_update_that_cannot_be_changes_nothing(change: Callable[[STT], None]) -> None:
    made = make()
    before = made._opts, made.capabilities.streaming
    with pytest.raises(ValueError, match=r"use|must"):
        change(made)
    assert (made._opts, made.capabilities.streaming) == before


def test_an_update_reaches_what_the_framework_reads() -> None:
    made = make()
    made.update_options(model="pulse-pro", diarize=True, word_timestamps=False)
    told = made.capabilities
    assert (made.model, told.streaming, told.diarization, told.aligned_transcript) == ("pulse-pro", False, True, False)


def test_what_is_not_known_here_goes_out_as_it_is() -> None:
    made = make(extra={"language": "xx", "new": "yes"})
    for config in (made._opts.live(), made._opts.file()):
        assert dict(config.extra) == {"language": "xx", "new": "yes"}
    assert "yes" not in repr(made._opts)
    made.update_options(extra={"other": "1"})
    assert dict(made._opts.live().extra) == {"other": "1"}
    with pytest.raises(ValueError, match="sample_rate does not go into extra"):
        make(extra={"sample_rate": "8000"})


def test_of_speech_likewise() -> None:
    made = smallest_proto.TTS(api_key=KEY, extra={"language": "xx"})
    assert dict(made._opts.live().extra) == dict(made._opts.whole().extra) == {"language": "xx"}
    made.update_options(extra={})
    assert not made._opts.live().extra


def test_a_contract_can_have_other_regions() -> None:
    made = make(language="ja", any_region=True)
    made.live_config(made._opts)
    plain = make(language="ja")
    with pytest.raises(ValueError, match="any_region=True"):
        plain.live_config(plain._opts)
