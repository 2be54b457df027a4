"""A driver of one's own: live transcription over plain sockets, with the core, wsproto and ``select`` alone.

Usage (POSIX): ``python examples/own_driver.py < speech.raw``: 16 bit, 16 kHz, mono; the key is in SMALLEST_API_KEY.
"""

import os
import select
import socket
import ssl
import sys
from collections.abc import Iterator
from time import monotonic as now
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection, events
from wsproto.utilities import ProtocolError

import smallest_proto as sp
from smallest_proto.refusals import refusal

UNREACHED = sp.Failure(kind=sp.FailureKind.CONNECT, reason="the service cannot be reached")
LOST = sp.Failure(kind=sp.FailureKind.DISCONNECTED, reason="the connection was lost")
NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Link:
    """One WebSocket, and the bytes that wait to be written to it."""

    def __init__(self, request: sp.Request) -> None:
        url = urlsplit(request.full_url)
        port = url.port or (443 if url.scheme == "wss" else 80)
        # This blocks for a moment. A driver that has other things to do connects in the background.
        self.socket = socket.create_connection((url.hostname or "", port), timeout=5)
        if url.scheme == "wss":
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=url.hostname)
        self.socket.setblocking(False)
        self.fileno = self.socket.fileno  # select asks for it
        self.websocket, self.unsent, self.text = WSConnection(ConnectionType.CLIENT), b"", ""
        headers = [(name.encode(), value.encode()) for name, value in request.headers]
        self.say(events.Request(host=url.netloc, target=f"{url.path}?{url.query}", extra_headers=headers))

    def say(self, event: events.Event) -> None:
        self.unsent += self.websocket.send(event)


class Driver:
    """Runs one session: does what it asks, and tells it what happens."""

    def __init__(self, session: sp.TranscriptionSession) -> None:
        self.session = session
        self.links: dict[int, Link] = {}

    def transcribe(self, audio: int) -> Iterator[sp.Event]:
        """The events of the audio that comes from a file descriptor."""
        session, sources = self.session, [audio]
        session.start(now())
        while True:
            while (output := session.poll_output()) is not None:  # 1. Do each command; pass each event on.
                if isinstance(output, sp.Command):
                    self.obey(output)
                else:
                    yield output
            if session.ended:
                return
            due, links = session.get_timer(), tuple(self.links.items())  # 2. Wait, at most until get_timer().
            reading = [link for _, link in links] + (sources if session.ready_for_audio else [])
            writing = [link for _, link in links if link.unsent]
            ready, free, _ = select.select(reading, writing, [], None if due is None else max(0.0, due - now()))
            for number, link in links:
                try:
                    if link in free:  # 3. Write; tell when all of it has left.
                        link.unsent = link.unsent[link.socket.send(link.unsent) :]
                        if not link.unsent:
                            session.write_done(number, now())
                    if link in ready:  # 4. Read; tell what came.
                        self.hear(number, link)
                except NOT_NOW:
                    pass
                except (OSError, ProtocolError):
                    self.drop(number)
                    session.link_failed(number, LOST, now())
            if audio in ready:  # 5. Give audio, or tell that no more comes.
                if pcm := os.read(audio, 3200):
                    session.send_audio(pcm, now())
                else:
                    sources = []
                    session.end_input(now())
            session.handle_timer(now())  # 6. Tell the time, and begin again.

    def obey(self, command: sp.Command) -> None:
        match command:
            case sp.OpenLink(link=number, request=request):
                try:
                    self.links[number] = Link(request)
                except OSError:
                    self.session.link_failed(number, UNREACHED, now())
            case sp.AbortLink(link=number):
                self.drop(number)
            case _ if command.link in self.links:  # else it was lost after the command was given
                self.links[command.link].say(frame(command))

    def hear(self, number: int, link: Link) -> None:
        while data := link.socket.recv(65536):
            link.websocket.receive_data(data)
            for event in link.websocket.events():
                match event:
                    case events.AcceptConnection():
                        self.session.link_opened(number, now())
                    case events.TextMessage(data=text, message_finished=whole):
                        link.text += text
                        if whole:
                            self.session.message_received(number, link.text, now())
                            link.text = ""
                    case events.Ping():
                        link.say(event.response())
                    case events.Pong():
                        self.session.pong_received(number, now())
                    case events.CloseConnection(code=code, reason=reason):
                        self.drop(number)
                        return self.session.link_closed(number, int(code), reason or "", now())
                    case events.RejectConnection(status_code=status, headers=headers):
                        named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
                        self.drop(number)
                        return self.session.link_failed(number, refusal(status, named), now())
        raise ConnectionResetError  # the peer left without a goodbye

    def drop(self, number: int) -> None:
        if (link := self.links.pop(number, None)) is not None:
            link.socket.close()


def frame(command: sp.Command) -> events.Event:
    match command:
        case sp.SendText(text=text):
            return events.TextMessage(data=text)
        case sp.SendBinary(data=data):
            return events.BytesMessage(data=data)
        case sp.CloseLink(code=code):
            return events.CloseConnection(code=code)
    return events.Ping()


def main() -> None:
    """Print what is said, as soon as it is final."""
    endpoint = sp.Endpoint(api_key=os.environ.get("SMALLEST_API_KEY", ""))
    for event in Driver(sp.TranscriptionSession(sp.TranscriptionConfig(), endpoint)).transcribe(sys.stdin.fileno()):
        if isinstance(event, sp.FinalTranscript):
            print(event.text)


if __name__ == "__main__":
    main()
