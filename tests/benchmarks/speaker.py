"""A service for ``speech.py``: the first audio of each answer says when it was sent, and over which connection.

It runs in a process of its own, on blocking sockets, so that nothing but the clock is shared with who listens: on Linux
``perf_counter`` is the same for all processes. Speech is one chunk of noise, made beforehand.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smallest_proto.server.answers import SSE_END, sse_audio
from smallest_transports._wire import BinaryMessage, RequestReceived, ServerConnection, TextMessage

TEXT = "Hello."
CHUNK = bytes(range(7, 25)) + os.urandom(4782)  # 0.1 s of pcm at 24 kHz
_PLACE = CHUNK[:18]  # of the stamp, within bytes that are framed beforehand: a multiple of 3, for base64
_STAMP = struct.Struct("<qq2x")  # nanoseconds, the number of the connection


def read_stamp(audio: bytes) -> tuple[int, int]:
    """When the audio was sent, in nanoseconds of ``perf_counter_ns``, and over which of all connections so far."""
    sent, number = _STAMP.unpack_from(audio)
    return sent, number


class Listener:
    """One connection, from the service's side."""

    def __init__(self, connection: socket.socket, number: int, delay: float) -> None:
        self._socket = connection
        self._number = number
        self._delay = delay
        self._wire = ServerConnection()

    def serve(self) -> None:
        """To its end."""
        wire = self._wire
        while not wire.finished and (data := self._socket.recv(65536)):
            for event in wire.receive_data(data):
                if isinstance(event, RequestReceived):
                    self._begin(event)
                elif isinstance(event, TextMessage):
                    self._say(json.loads(event.text))
                elif isinstance(event, BinaryMessage):
                    self._say(json.loads(event.data))
            self._socket.sendall(wire.data_to_send())

    def _begin(self, request: RequestReceived) -> None:
        wire = self._wire
        if request.websocket:
            wire.accept()
            return
        sse = request.target.endswith("/live")
        wire.start_response(200, [("Content-Type", "text/event-stream" if sse else "audio/pcm")])
        self._socket.sendall(wire.data_to_send())
        wire.send_body(sse_audio(CHUNK) if sse else CHUNK)
        self._speak(base64.b64encode if sse else bytes)
        if sse:
            wire.send_body(SSE_END)
        wire.end_body()

    def _say(self, asked: dict[str, Any]) -> None:
        if asked.get("continue", True):
            return
        ids = {"context_id": asked["context_id"]} if "context_id" in asked else {}
        audio = base64.b64encode(CHUNK).decode()
        word = {"id": 0, "word": TEXT, "start": 0.0, "end": 0.09}
        self._tell({**ids, "status": "chunk", "data": {"audio": audio}})
        self._speak(base64.b64encode)
        self._tell({**ids, "status": "word_timestamp", "data": word})
        self._tell({**ids, "status": "complete"})

    def _tell(self, message: dict[str, Any]) -> None:
        self._wire.send_text(json.dumps(message))

    def _speak(self, encode: Callable[[bytes], bytes]) -> None:
        """Send what is framed, with the stamp in it, when the client has long been waiting for it."""
        before, after = self._wire.data_to_send().split(encode(_PLACE))
        time.sleep(self._delay)
        self._socket.sendall(before + encode(_STAMP.pack(time.perf_counter_ns(), self._number)) + after)


def main(delay: float, certificate: str) -> None:
    """Serve until standard input ends, over TLS if there is a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
    if context is not None:
        context.load_cert_chain(certificate)
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listening.getsockname()[1], flush=True)

    def accept() -> None:
        number = 0
        while True:
            connection, _ = listening.accept()
            number += 1
            threading.Thread(target=serve, args=(connection, number), daemon=True).start()

    def serve(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with context.wrap_socket(connection, server_side=True) if context else connection as wrapped:
                Listener(wrapped, number, delay).serve()
        except OSError:
            pass  # the client is gone

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


@contextmanager
def speaking(*, delay: float = 0.0, certificate: Path | None = None) -> Iterator[str]:
    """The service in a process of its own; gives its base URL. It waits ``delay`` seconds before it speaks."""
    command = [sys.executable, __file__, str(delay), str(certificate or "")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = int(process.stdout.readline())
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}/waves/v1"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
