"""No frame of ours holds a secret in clear: tracebacks with local variables are what error services send home."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smallest_proto.config import Endpoint
from smallest_proto.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / name) for name in ("smallest_proto", "transports", "livekit_plugin"))
KEY = "sk-ToldToNobody"
PASSWORD = "hush-hush-9"
DRIVERS = ("asyncio", "trio", "anyio", "aiohttp", "sync")


def shown(error: BaseException) -> str:
    """A traceback of our frames, with their local variables, and what the error itself says."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = [repr(error), str(error)]
    while told is not None:
        ours = [frame for frame in told.stack if frame.filename.startswith(OURS)]
        parts += [f"{frame.name}: {frame.locals}" for frame in ours]
        told = told.__cause__ or told.__context__  # type: ignore[assignment]
    return "\n".join(parts)


def refused(make: Callable[..., Any], **options: Any) -> str:
    """What is shown of a client that cannot be made."""
    with pytest.raises((ConfigurationError, TypeError, ValueError)) as raised:
        make(**options)
    return shown(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "nowhere"},
        {"pool": -1},
        {"pool_seconds": "long"},
        {"proxy": f"socks5://me:{PASSWORD}@127.0.0.1"},
        {"proxy": f"http://me:{PASSWORD}@/"},
        {"headers": (("X-Gateway-Key", PASSWORD), ("no name", "x"))},
        {"headers": (("Authorization", f"Token {PASSWORD}"),)},
        {"headers": f"X-Gateway-Key: {PASSWORD}"},
        {"headers": {"X-Gateway-Key": PASSWORD}},
        {"base_url": f"https://me:{PASSWORD}@speech.example/"},
        {"base_url": f"https://speech.example/v1?key={PASSWORD}"},
        {"source": "\n"},
        {"route": "none"},
        {"no_such_option": 1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_client_that_cannot_be_made_shows_no_secret(driver: str, wrong: dict[str, Any]) -> None:
    made = importlib.import_module(f"smallest_transports.{driver}").Client
    told = refused(made, api_key=KEY, **wrong)
    assert ("__init__" in told) or "no_such_option" in told
    assert KEY not in told
    assert PASSWORD not in told


@pytest.mark.parametrize("value", [f"http://me:{PASSWORD}@[bad", f"socks5://me:{PASSWORD}@127.0.0.1:1080"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_proxy_of_the_environment_shows_no_password(driver: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = importlib.import_module(f"smallest_transports.{driver}").Client
    monkeypatch.setenv("https_proxy", value)
    assert PASSWORD not in refused(made, api_key=KEY)


@pytest.mark.parametrize("key", [f"{KEY}\n", f'"{KEY}"', KEY.encode(), f"Bearer \t{KEY}", [KEY]])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_key_that_is_none_is_not_shown(driver: str, key: Any) -> None:
    made = importlib.import_module(f"smallest_transports.{driver}").Client
    assert KEY not in refused(made, api_key=key)


@pytest.mark.parametrize("driver", DRIVERS)
def test_nor_is_that_of_the_environment(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = importlib.import_module(f"smallest_transports.{driver}").Client
    monkeypatch.setenv("SMALLEST_API_KEY", f"{KEY}\n")
    assert KEY not in refused(made)
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)
    assert KEY not in refused(made, route="none")


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "nowhere"},
        {"base_url": f"https://me:{PASSWORD}@speech.example/v1"},
        {"base_url": f"https://speech.example/v1?key={PASSWORD}"},
        {"sample_rate": 5},
        {"language": 7},
    ],
)
@pytest.mark.parametrize("half", ["STT", "TTS"])
def test_nor_in_the_plugin(half: str, wrong: dict[str, Any]) -> None:
    made = getattr(importlib.import_module("livekit.plugins.smallest_proto"), half)
    told = refused(made, api_key=KEY, **wrong)
    assert KEY not in told
    assert PASSWORD not in told


def test_an_endpoint_shows_none_either() -> None:
    told = refused(Endpoint, api_key=KEY, headers=(("X-Gateway-Key", PASSWORD),), route="none")
    assert "__post_init__" in told
    assert KEY not in told
    assert PASSWORD not in told
