"""``smallest-proto doctor``: what a call needs, looked at one after the other; what is wrong, and what to do."""

from __future__ import annotations

import email.utils
import http.client
import importlib.metadata
import platform
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from smallest_proto import __version__
from smallest_proto.config import BASE_URL, RetryPolicy, Timeouts, TranscriptionConfig
from smallest_proto.errors import ConfigurationError, RemoteError, SmallestError
from smallest_proto.events import LinkOpened
from smallest_transports._address import Address, address_of
from smallest_transports._proxy import Proxy
from smallest_transports._world import World
from smallest_transports.asyncio import Client

from .microphone import list_devices, sound_library
from .options import Service
from .output import show
from .problems import KEY_VARIABLE, Problem, explain, redact
from .running import run

CONNECT_SECONDS = 10.0  # for what a person waits for
CLOCK_SECONDS = 60.0  # off by more, certificates and signed requests begin to fail
# For each thing that is optional: what of it is looked for, and what installs it.
_PACKAGES = ("msgspec", "wsproto", "h11", "aiohttp", "trio", "anyio", "livekit-agents", "onnxruntime", "av")

_ON_THE_WAY = ("key", "address", "proxy", "TLS", "clock", "a call")  # to the service: not looked at with --local

GOOD, NOTE, BAD = "ok", "note", "wrong"


class Finding(NamedTuple):
    """What became of one look."""

    how: str  # GOOD, NOTE (it can be right as it is) or BAD
    what: str
    to_do: str = ""


Check = tuple[str, Callable[[Service], Finding]]


def doctor(service: Service) -> bool:
    """Look at everything, a line each; whether nothing is wrong."""
    bad = 0
    for name, finding in look(service):
        show(redact(f"{finding.how:<6} {name:<11} {finding.what}"))
        if finding.to_do:
            show(redact(f"{'':<18} -> {finding.to_do}"))
        bad += finding.how == BAD
    show()
    show(f"{bad} of these {'is' if bad == 1 else 'are'} wrong." if bad else "Nothing is wrong.")
    return not bad


def look(service: Service) -> Iterator[tuple[str, Finding]]:
    """Each thing that is looked at, and what was found."""
    broken = None  # the first thing on the way to the service that is wrong: what lies behind it cannot be seen
    for name, check in CHECKS:
        on_the_way = name in _ON_THE_WAY
        if service.local and on_the_way:
            continue
        if broken is not None and on_the_way:
            yield name, Finding(NOTE, f"not checked: the {broken} has to be right first")
            continue
        try:
            finding = check(service)
        except click.exceptions.Exit:  # Ctrl-C
            raise
        except Exception as error:
            finding = Finding(BAD, explain(error))
        yield name, finding
        if finding.how == BAD and on_the_way and name != "clock":
            broken = name


def _versions(_: Service) -> Finding:
    found = [f"Python {platform.python_version()}", f"smallest-proto {__version__}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return Finding(GOOD, f"{', '.join(found)}; {platform.system()} {platform.machine()}, {ssl.OPENSSL_VERSION}")


def _key(service: Service) -> Finding:
    if not service.api_key:
        return Finding(
            NOTE,
            "there is none: the service was not tried",
            f"set {KEY_VARIABLE} to a key of yours; what is done with --local needs none",
        )
    if any(sign.isspace() or not sign.isprintable() for sign in service.api_key) or not service.api_key.isascii():
        return Finding(BAD, "it holds signs that no key has", f"copy it again into {KEY_VARIABLE}, without quotes")
    return Finding(GOOD, "there is one")


def _address(service: Service) -> Finding:
    where = address_of(service.base_url)
    if _proxy_of(service) is not None:
        return Finding(GOOD, f"{service.base_url}: its name is left to the proxy")
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Finding(
            BAD,
            f"the name {where.host} was not found",
            "check the network and its name server"
            + ("" if service.base_url == BASE_URL else ", and the address that was given with --base-url"),
        )
    addresses = dict.fromkeys(str(one[4][0]) for one in found)
    return Finding(GOOD, f"{service.base_url} is at {', '.join(addresses)}")


def _proxy(service: Service) -> Finding:
    proxy = _proxy_of(service)
    if proxy is None:
        return Finding(GOOD, "none leads there: the connection is direct")
    try:
        _connect(Address(proxy.host, proxy.port, False)).close()
    except OSError as error:
        return Finding(
            BAD,
            f"{proxy.host}, port {proxy.port} cannot be reached: {explain(error)}",
            "correct HTTPS_PROXY, or put the host of the service into NO_PROXY",
        )
    return Finding(GOOD, f"{proxy.host}, port {proxy.port}, as the environment says")


def _proxy_of(service: Service) -> Proxy | None:
    return World.find_proxy(address_of(service.base_url))


def _tls(service: Service) -> Finding:
    where = address_of(service.base_url)
    if not where.secure:
        return Finding(NOTE, f"{where.host} is reached without TLS", "fine on this machine; elsewhere use https")
    context = ssl.create_default_context()
    try:
        with _tunnel(service, where) as plain, context.wrap_socket(plain, server_hostname=where.name) as secure:
            return Finding(GOOD, f"{secure.version()}, with a certificate that the system trusts")
    except ssl.SSLCertVerificationError as error:
        return Finding(
            BAD,
            f"the certificate of {where.host} does not hold: {error.verify_message}",
            "look at the clock; where a company's proxy reads along, SSL_CERT_FILE names the file with its root",
        )
    except OSError as error:
        to_do = "look at the network, proxy and firewall"
        why = explain(error) if error.errno else str(error)  # http.client says in words how a proxy refused
        if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            why, to_do = "what answers there speaks no TLS", "look at the port; where TLS is not wanted, use http"
        elif " 407 " in why:
            to_do = "the proxy wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"
        return Finding(BAD, f"no TLS with {where.host}: {why}", to_do)


def _clock(service: Service) -> Finding:
    where = address_of(service.base_url)
    kind = http.client.HTTPSConnection if where.secure else http.client.HTTPConnection
    connection = kind(where.host, where.port, timeout=CONNECT_SECONDS)
    if (proxy := _proxy_of(service)) is not None:
        connection = kind(proxy.host, proxy.port, timeout=CONNECT_SECONDS)
        connection.set_tunnel(where.host, where.port, headers=proxy.headers)
    try:
        connection.request("HEAD", urlsplit(service.base_url).path or "/")
        date = connection.getresponse().getheader("Date")
    except (OSError, http.client.HTTPException) as error:
        return Finding(BAD, f"{where.host} does not answer: {explain(error)}", "look at the network")
    finally:
        connection.close()
    try:
        off = email.utils.parsedate_to_datetime(date or "").timestamp() - time.time()
    except ValueError:  # it says none, or what is none
        return Finding(NOTE, f"it is {time.strftime('%Y-%m-%d %H:%M %z')}; {where.host} does not send its own time")
    if abs(off) > CLOCK_SECONDS:
        late = "behind" if off > 0 else "ahead of"
        return Finding(BAD, f"it is {abs(off):.0f} s {late} {where.host}'s", "set it, best by the network (NTP)")
    return Finding(GOOD, f"within {CLOCK_SECONDS:.0f} s of {where.host}'s")


def _call(service: Service) -> Finding:
    if not service.api_key:
        return Finding(NOTE, "not tried: there is no key")
    try:
        return run(_transcribe_silence(service))
    except RemoteError as error:
        return Finding(BAD, explain(error))


async def _transcribe_silence(service: Service) -> Finding:
    timeouts, retry = Timeouts(opening=CONNECT_SECONDS), RetryPolicy(max_retries=0)
    began, opened = time.monotonic(), 0.0
    async with (
        Client(
            api_key=service.api_key,
            base_url=service.base_url,
            route=service.route,
            any_region=service.any_region,
            timeouts=timeouts,
            retry=retry,
        ) as client,
        client.stream_transcription(TranscriptionConfig(language="en", sample_rate=16000)) as stream,
    ):
        await stream.send_audio(bytes(16000))  # half a second
        await stream.end_input()
        async for event in stream:
            if isinstance(event, LinkOpened):
                opened = time.monotonic() - began
    whole = time.monotonic() - began
    return Finding(GOOD, f"half a second of silence was transcribed: link open in {opened:.2f} s, all in {whole:.2f} s")


def _ear(_: Service) -> Finding:
    from smallest_transports.local import check_installed
    from smallest_transports.local.recogniser import LocalRecogniser

    return _engine(check_installed, lambda: LocalRecogniser(TranscriptionConfig()).finalize())


def _voice(_: Service) -> Finding:
    from smallest_transports.local import check_installed
    from smallest_transports.local.synthesiser import synthesiser

    return _engine(check_installed, lambda: list(synthesiser().speak("Yes.", sample_rate=24000)))


def _engine(check: Callable[[], None], work: Callable[[], object]) -> Finding:
    try:
        check()
    except ConfigurationError as error:
        return Finding(BAD, str(error), "it is needed for --local, serve and demo alone")
    began = time.monotonic()
    try:
        work()
    except SmallestError as error:
        return Finding(BAD, explain(error))
    return Finding(GOOD, f"loaded and tried in {time.monotonic() - began:.1f} s")


def _media(_: Service) -> Finding:
    try:
        importlib.metadata.version("av")
    except importlib.metadata.PackageNotFoundError:
        return Finding(NOTE, "m4a, mp4 and webm are not read here", 'pip install "smallest-proto[media]"')
    return Finding(GOOD, "m4a, mp4 and webm are read")


def _sound(_: Service) -> Finding:
    needed = "it is needed for listen and speak --play alone"
    try:
        found = len(list_devices())
        players = sum(device["max_output_channels"] > 0 for device in sound_library().query_devices())
    except Problem as problem:
        return Finding(NOTE, problem.message, needed)
    return Finding(GOOD, f"{found} to record with, {players} to play on; listen --list-devices names them")


def _connect(where: Address) -> socket.socket:
    return socket.create_connection((where.host, where.port), CONNECT_SECONDS)


def _tunnel(service: Service, where: Address) -> socket.socket:
    """A connection to the service, through the proxy where there is one."""
    if (proxy := _proxy_of(service)) is None:
        return _connect(where)
    connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=CONNECT_SECONDS)
    connection.set_tunnel(where.host, where.port, headers=proxy.headers)
    connection.connect()
    return connection.sock


CHECKS: tuple[Check, ...] = (
    ("versions", _versions),
    ("key", _key),
    ("address", _address),
    ("proxy", _proxy),
    ("TLS", _tls),
    ("clock", _clock),
    ("a call", _call),
    ("recogniser", _ear),
    ("voice", _voice),
    ("media", _media),
    ("sound", _sound),
)
