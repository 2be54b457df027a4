"""What the doctor finds, and what it says is to be done; it never shows the key."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from click.testing import CliRunner

from smallest_transports import local
from smallest_transports.cli import doctor as doctor_module
from smallest_transports.cli.app import commands
from smallest_transports.cli.doctor import Finding, look
from smallest_transports.cli.options import Service
from smallest_transports.cli.problems import KEY_VARIABLE
from smallest_transports.testing.certificates import Certificates

from .stage import KEY, RunServer


def found(service: Service, *names: str) -> dict[str, Finding]:
    return {name: finding for name, finding in look(service) if not names or name in names}


@pytest.fixture
def with_engines() -> None:
    """The engines are looked at as well."""


@pytest.fixture(autouse=True)
def _no_engines(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """They take seconds: one test has them."""
    if "with_engines" not in request.fixturenames:
        quick = tuple(check for check in doctor_module.CHECKS if check[0] not in ("recogniser", "voice"))
        monkeypatch.setattr(doctor_module, "CHECKS", quick)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """The base URL of what gives that answer to every request: ``answering(b"HTTP/1.1 ...")``."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def answer(said: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(said)

        threads.append(thread := threading.Thread(target=serve, daemon=True))
        thread.start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield answer
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize("key", [KEY, "another"])
def test_a_round_trip_with_the_key_and_never_the_key_itself(key: str, run_server: RunServer) -> None:
    url = run_server(key=KEY)
    result = CliRunner().invoke(commands, ["doctor", "--base-url", url], env={KEY_VARIABLE: key})
    assert key not in result.output
    assert result.exit_code == (key != KEY)
    assert ("half a second of silence was transcribed" in result.stdout) == (key == KEY)
    assert result.stdout.splitlines()[-1] == ("Nothing is wrong." if key == KEY else "1 of these is wrong.")
    if key != KEY:
        assert "wrong  a call      HTTP 401: the service does not accept the API key" in result.stdout


def test_without_a_key_the_way_is_looked_at(run_server: RunServer) -> None:
    findings = found(Service(base_url=run_server()))
    assert list(findings) == [name for name, _ in doctor_module.CHECKS]
    assert {name: finding.how for name, finding in findings.items() if name not in ("media", "sound")} == {
        **dict.fromkeys(("versions", "address", "proxy"), "ok"),
        **dict.fromkeys(("key", "TLS", "clock", "a call"), "note"),
    }
    assert KEY_VARIABLE in findings["key"].to_do


@pytest.mark.usefixtures("with_engines")
def test_this_machine_alone() -> None:
    result = CliRunner().invoke(commands, ["doctor", "--local"], env={KEY_VARIABLE: None})
    assert result.exit_code == 0, result.output
    names = [line.split()[1] for line in result.stdout.splitlines() if line.split()[:1] in (["ok"], ["note"])]
    assert names == ["versions", "recogniser", "voice", "media", "sound"]


@pytest.mark.usefixtures("with_engines")
def test_engines_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_NEEDED", ("numpy", "moonshine_less"))
    for finding in found(Service(local=True), "recogniser", "voice").values():
        assert finding.how == "wrong"
        assert finding.what == 'no moonshine_less here: pip install "smallest-proto[local]"'


@pytest.mark.parametrize("key", ["sk with blanks", "schlüssel"])
def test_a_key_that_can_be_none(key: str) -> None:
    finding = found(Service(api_key=key, base_url="http://127.0.0.1:9"), "key")["key"]
    assert finding.how == "wrong"
    assert key not in finding.what + finding.to_do


def test_what_is_wrong_hides_what_lies_behind_it() -> None:
    findings = found(Service(api_key=KEY, base_url="https://no.such.host.invalid"))
    assert findings["address"].how == "wrong"
    assert findings["address"].to_do.endswith("--base-url")
    for name in ("proxy", "TLS", "clock", "a call"):
        assert findings[name] == Finding("note", "not checked: the address has to be right first")
    assert found(Service(base_url="nonsense"), "address")["address"].how == "wrong"


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    findings = found(Service(api_key=KEY, base_url=f"https://127.0.0.1:{port}"), "TLS", "clock")
    assert findings["TLS"].how == "wrong"
    assert findings["clock"].how == "note"
    assert found(Service(base_url=f"http://127.0.0.1:{port}"), "clock")["clock"].what.startswith("127.0.0.1 does not")


def test_a_certificate_that_nobody_trusts(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smallest_certificates: Certificates
) -> None:
    service = Service(api_key=KEY, base_url=run_server(ssl_context=smallest_certificates.server()))
    finding = found(service, "TLS")["TLS"]
    assert (finding.how, "SSL_CERT_FILE" in finding.to_do) == ("wrong", True)
    monkeypatch.setenv("SSL_CERT_FILE", str(smallest_certificates.authority(tmp_path)))  # the advice helps
    findings = found(service, "TLS", "a call")
    assert [finding.how for finding in findings.values()] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("off", "how", "said"), [(0, "ok", "within 60 s"), (900, "wrong", "behind"), (-900, "wrong", "ahead of")]
)
def test_a_clock_that_is_wrong(off: int, how: str, said: str, answering: Callable[[bytes], str]) -> None:
    date = formatdate(time.time() + off, usegmt=True).encode()
    url = answering(b"HTTP/1.1 404 Not Found\r\nDate: " + date + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    finding = found(Service(base_url=url), "clock")["clock"]
    assert (finding.how, said in finding.what) == (how, True)


@pytest.mark.parametrize("date", [b"", b"Date: yesterday\r\n"])
def test_a_service_that_does_not_say_the_time(date: bytes, answering: Callable[[bytes], str]) -> None:
    url = answering(b"HTTP/1.1 404 Not Found\r\n" + date + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
    finding = found(Service(base_url=url), "clock")["clock"]
    assert (finding.how, "does not send its own time" in finding.what) == ("note", True)


def test_a_port_without_tls(answering: Callable[[bytes], str]) -> None:
    url = answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    finding = found(Service(base_url=url.replace("http:", "https:")), "TLS")["TLS"]
    assert (finding.how, "speaks no TLS" in finding.what, "http" in finding.to_do) == ("wrong", True, True)


def test_a_proxy_that_wants_a_password(answering: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    monkeypatch.setenv("HTTPS_PROXY", answering(refusal))
    finding = found(Service(base_url="https://service.example"), "TLS")["TLS"]
    assert "407 Proxy Authentication Required" in finding.what
    assert "PASSWORD" in finding.to_do


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{port}")
    findings = found(Service(api_key=KEY, base_url="https://service.example"))
    assert findings["address"].what == "https://service.example: its name is left to the proxy"
    assert findings["proxy"].how == "wrong"
    assert "NO_PROXY" in findings["proxy"].to_do
    assert "secret" not in str(findings)


def test_no_sound_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    finding = found(Service(local=True), "sound")["sound"]
    assert (finding.how, "sounddevice is not installed" in finding.what) == ("note", True)
