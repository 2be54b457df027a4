"""Which proxy leads to the service: ``NO_PROXY`` as curl reads it."""

from __future__ import annotations

import pytest

from smallest_transports._address import address_of
from smallest_transports._proxy import bypasses
from smallest_transports._world import World


@pytest.mark.parametrize(
    ("exceptions", "host", "port"),
    [
        ("*", "speech.example", 443),
        ("speech.example", "speech.example", 443),
        ("speech.example", "eu.speech.example", 443),
        (".speech.example", "speech.example", 443),
        ("*.speech.example", "eu.speech.example", 443),
        ("SPEECH.example.", "speech.example", 443),
        ("speech.example", "Speech.Example.", 443),
        ("other.example speech.example", "speech.example", 443),
        ("other.example,\tspeech.example", "speech.example", 443),
        ("speech.example:8443", "speech.example", 8443),
        ("10.0.0.0/8", "10.255.1.2", 443),
        ("10.1.2.3/8", "10.255.1.2", 443),
        ("192.168.1.7", "192.168.1.7", 80),
        ("192.168.1.7:80", "192.168.1.7", 80),
        ("fd00::/8", "fd12::1", 443),
        ("[fd12::1]:443", "fd12::1", 443),
        ("fd12::1", "fd12::1", 443),
    ],
)
def test_no_proxy_leads_there(exceptions: str, host: str, port: int) -> None:
    assert bypasses(exceptions, host, port)


@pytest.mark.parametrize(
    ("exceptions", "host", "port"),
    [
        ("", "speech.example", 443),
        (" , ,", "speech.example", 443),
        ("speech.example", "myspeech.example", 443),
        ("*.speech.example", "myspeech.example", 443),
        ("eu.speech.example", "speech.example", 443),
        ("speech.example:8443", "speech.example", 443),
        ("10.0.0.0/8", "11.0.0.1", 443),
        ("10.0.0.0/8", "10.example", 443),
        ("192.168.1.7:81", "192.168.1.7", 80),
        ("0.0.0.0/0", "fd12::1", 443),
        ("not/a/network", "10.0.0.1", 443),
        ("300.1.1.1/40", "10.0.0.1", 443),
    ],
)
def test_or_one_does(exceptions: str, host: str, port: int) -> None:
    assert not bypasses(exceptions, host, port)


@pytest.mark.parametrize("host", ["localhost", "localhost.", "here.localhost", "127.0.0.9", "[::1]"])
def test_none_leads_to_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert World.find_proxy(address_of(f"https://{host}/")) is None
    found = World.find_proxy(address_of("https://speech.example/"))
    assert found is not None
    assert found.port == 3128
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8, .example")
    assert World.find_proxy(address_of("https://speech.example/")) is None
    assert World.find_proxy(address_of("https://10.1.1.1/")) is None
