"""A driver of one's own: live transcription over plain sockets, with the core, wsproto and ``select`` alone.

Usage (POSIX): ``python examples/own_driver.py < speech.raw``: 16 bit, 16 kHz, mono; the key is in SMALLEST_API_KEY.
"""

import os
import select
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from time import monotonic as now
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection, events
from wsproto.utilities import ProtocolError

import smallest_proto as sp
from smallest_proto.refusals import refusal

UNREACHED = sp.Failure(kind=sp.FailureKind.CONNECT, reason="the service cannot be reached")
LOST = sp.Failure(kind=sp.FailureKind.DISCONNECTED, reason="the connection was lost")
NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
FRAMES: dict[type[sp.Command], Callable[[Any], events.Event]] = {
    sp.SendText: lambda command: events.TextMessage(data=command.text),
    sp.SendBinary: lambda command: events.BytesMessage(data=command.data),
    sp.SendPing: lambda _: events.Ping(),
    sp.CloseLink: lambda command: events.CloseConnection(code=command.code),
}


class Link:
    """One WebSocket, and the bytes that wait to be written to it."""

    def __init__(self, request: sp.Request) -> None:
        url = urlsplit(request.full_url)
        tls = url.scheme == "wss"
        self.socket = socket.create_connection((url.hostname or "", url.port or (443 if tls else 80)), timeout=5)
        if tls:
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=url.hostname)
        self.socket.setblocking(False)
        self.fileno = self.socket.fileno  # select asks for it
        self.websocket, self.unsent, self.text = WSConnection(ConnectionType.CLIENT), b"", ""
        headers = [(name.encode(), value.encode()) for name, value in request.headers]
        self.send(events.Request(host=url.netloc, target=f"{url.path}?{url.query}", extra_headers=headers))

    def send(self, event: events.Event) -> None:
        self.unsent += self.websocket.send(event)


def transcribe(session: sp.TranscriptionSession, audio: int) -> Iterator[sp.Event]:
    """The events of the audio that comes from a file descriptor."""
    links: dict[int, Link] = {}
    sources = [audio]
    session.start(now())
    while True:
        while (output := session.poll_output()) is not None:  # 1. Do each command; pass each event on.
            if isinstance(output, sp.Command):
                obey(session, links, output)
            else:
                yield output
        if session.ended:
            return
        due = session.get_timer()  # 2. Wait, at most until get_timer().
        reading = [*links.values(), *(sources if session.ready_for_audio else ())]
        writing = [link for link in links.values() if link.unsent]
        ready, free, _ = select.select(reading, writing, [], None if due is None else max(0.0, due - now()))
        for number, link in tuple(links.items()):
            try:
                if link in free:  # 3. Write; tell when all of it has left.
                    link.unsent = link.unsent[link.socket.send(link.unsent) :]
                    if not link.unsent:
                        session.write_done(number, now())
                if link in ready:  # 4. Read; tell what came.
                    receive(session, links, number)
            except NOT_YET:
                pass
            except (OSError, ProtocolError):
                links.pop(number).socket.close()
                session.link_failed(number, LOST, now())
        if audio in ready:  # 5. Give audio, or tell that no more comes.
            if pcm := os.read(audio, 3200):
                session.send_audio(pcm, now())
            else:
                sources.clear()
                session.end_input(now())
        session.handle_timer(now())  # 6. Tell the time, and begin again.


def obey(session: sp.TranscriptionSession, links: dict[int, Link], command: sp.Command) -> None:
    """Do what the session asks."""
    match command:
        case sp.OpenLink(link=number, request=request):
            try:
                links[number] = Link(request)
            except OSError:
                session.link_failed(number, UNREACHED, now())
        case sp.AbortLink(link=number) if number in links:
            links.pop(number).socket.close()
        case _ if command.link in links:  # else it was lost after the command was given
            links[command.link].send(FRAMES[type(command)](command))


def receive(session: sp.TranscriptionSession, links: dict[int, Link], number: int) -> None:
    """Tell the session what came on a link."""
    link = links[number]
    if not (data := link.socket.recv(65536)):
        raise ConnectionResetError  # the peer left without a close frame
    link.websocket.receive_data(data)
    for event in link.websocket.events():
        match event:
            case events.AcceptConnection():
                session.link_opened(number, now())
            case events.TextMessage(data=text, message_finished=whole):
                link.text += text
                if whole:
                    session.message_received(number, link.text, now())
                    link.text = ""
            case events.Ping():
                link.send(event.response())
            case events.Pong():
                session.pong_received(number, now())
            case events.CloseConnection(code=code, reason=reason):
                links.pop(number).socket.close()
                session.link_closed(number, int(code), reason or "", now())
            case events.RejectConnection(status_code=status, headers=headers):
                links.pop(number).socket.close()
                text_headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
                session.link_failed(number, refusal(status, text_headers), now())


def main() -> None:
    """Print each final transcript as it comes."""
    endpoint = sp.Endpoint(api_key=os.environ.get("SMALLEST_API_KEY", ""))
    session = sp.TranscriptionSession(sp.TranscriptionConfig(), endpoint)
    for event in transcribe(session, sys.stdin.fileno()):
        if isinstance(event, sp.FinalTranscript):
            print(event.text)


if __name__ == "__main__":
    main()
