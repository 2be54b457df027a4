"""``smallest-proto serve``: the local server, until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket

from smallest_proto.server.imperfection import Imperfection
from smallest_proto.values import Value
from smallest_transports.local.faults import Fault
from smallest_transports.local.page import LocalPage
from smallest_transports.local.plan import PLANS
from smallest_transports.local.server import BASE_PATH, LocalServer

from .output import write_out
from .problems import KEY_VARIABLE, Problem, say
from .running import run


class Options(Value, frozen=True, kw_only=True):
    """What a server is to be; the fields are those of ``LocalServer``."""

    host: str
    port: int
    key: str | None
    max_live: int
    max_files: int
    max_speech: int
    plan: str | None = None  # a name of PLANS
    english_only: bool = False
    any_voice: bool = False
    faults: tuple[Fault, ...] = ()
    like: tuple[str, ...] = ()  # kinds of imperfection


def serve(options: Options) -> None:
    """Listen until Ctrl-C or SIGTERM. Raises ``Problem`` if it cannot listen there."""
    imperfection = Imperfection.read(options.like)
    if not _is_loopback(options.host):
        say(
            f"Warning: {options.host} can be reached from other machines. This is a development tool: without TLS, "
            f"{'with one key for all' if options.key else 'and any key opens it (--key names one)'}."
        )
    run(_serve(options, imperfection))


async def _serve(options: Options, imperfection: Imperfection) -> None:
    server = LocalServer(
        host=options.host,
        port=options.port,
        key=options.key,
        max_live=options.max_live,
        max_files=options.max_files,
        max_speech=options.max_speech,
        plan=None if options.plan is None else PLANS[options.plan],
        english_only=options.english_only,
        any_voice=options.any_voice,
        faults=options.faults,
        imperfection=imperfection,
        pages=LocalPage(),
    )
    try:
        async with server:
            await server.warm_up()  # whoever comes first does not wait for what is loaded once
            write_out("\n".join([*instructions(server.base_url, with_key=options.key is not None), ""]))
            if options.faults:
                write_out(f"Faults, one after the other: {', '.join(map(str, options.faults))}\n")
            if imperfection.kinds:
                write_out(f"Imperfect: {', '.join(imperfection.kinds)}\n")
            await asyncio.Event().wait()
    except OSError as error:
        raise Problem(_cannot_listen(options.host, options.port, error)) from None


def instructions(base_url: str, *, with_key: bool) -> list[str]:
    """What to set in a client. The key is never in it."""
    key = "THE_KEY_GIVEN_TO_SERVE" if with_key else "any"
    curl = (
        f'curl -H "Authorization: Bearer ${KEY_VARIABLE}" -H "Content-Type: application/octet-stream" '
        f'--data-binary @FILE "{base_url}/stt/?model=pulse&language=en"'
    )
    return [
        f"Listening at {base_url}",
        "A stand-in for development, with its own recogniser and voice (English) and without the service's quality.",
        "",
        f"  browser  {base_url.removesuffix(BASE_PATH)}/",
        f"  shell    export {KEY_VARIABLE}={key}",
        f"           smallest-proto transcribe --base-url {base_url} FILE",
        f'           smallest-proto speak --base-url {base_url} "Hello there" -o hello.wav',
        f'  Python   client = smallest_transports.asyncio.Client(base_url="{base_url}")',
        f"  curl     {curl}",
        "",
        "Any other client of the service takes the same base URL. Ctrl-C stops.",
    ]


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use: take another with --port, or --port 0 for any that is free"
    if error.errno == errno.EACCES:
        return f"port {port} is not allowed to you: take one above 1023 with --port"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all"
    return f"cannot listen at {host}, port {port}: {error.strerror or type(error).__name__}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
