"""The driver of ``examples/own_driver.py`` as a client: as much of one as a driver for one call and a file can be."""

from __future__ import annotations

import os
import queue
import runpy
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

import smallest_proto as sp

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "own_driver.py"
OWN: Any = runpy.run_path(str(SCRIPT))["transcribe"]
LEAVING = 0.2  # seconds: who leaves early waits no longer for a driver that cannot be called off


class OwnStream:
    """One call: the driver reads a pipe on a thread of its own, as it reads a file."""

    def __init__(self, session: sp.TranscriptionSession) -> None:
        self._session = session
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._open = True
        self._thread = threading.Thread(target=self._run, name="own driver", daemon=True)

    @property
    def stats(self) -> sp.SessionStats:
        return self._session.stats

    def _run(self) -> None:
        try:
            for event in OWN(self._session, self._read):
                self._events.put(event)
        except Exception as error:
            self._events.put(error)
        finally:
            os.close(self._read)
            self._events.put(None)

    async def __aenter__(self) -> OwnStream:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()
        with anyio.move_on_after(LEAVING):
            while self._thread.is_alive():
                await anyio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._write)

    async def send_audio(self, audio: Any) -> None:
        view = memoryview(audio).cast("B")
        while view:
            await anyio.lowlevel.checkpoint()
            try:
                view = view[os.write(self._write, view) :]
            except BlockingIOError:
                continue

    async def end_input(self) -> None:
        self._close()

    def __aiter__(self) -> OwnStream:
        return self

    async def __anext__(self) -> Any:
        while self._events.empty():
            await anyio.lowlevel.checkpoint()
        event = self._events.get()
        if event is None:
            self._events.put(None)  # the same when it is asked again
            raise StopAsyncIteration
        if isinstance(event, Exception):
            raise event
        if isinstance(event, sp.SessionEnded) and event.failure is not None:
            self._events.put(event.failure.error())
        return event


class OwnClient:
    """A client that does live transcription alone; TLS by the machine's own roots."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        timeouts: sp.Timeouts,
        retry: sp.RetryPolicy,
        ssl_context: object = None,
        **session: Any,
    ) -> None:
        if base_url.startswith("https:"):
            raise NotImplementedError("the driver trusts whom the machine trusts, not the authority of a test")
        self._endpoint = sp.Endpoint(api_key=api_key, base_url=base_url, route=session.pop("route", "unified"))
        self._session = {"timeouts": timeouts, "retry": retry, **session}

    async def __aenter__(self) -> OwnClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def stream_transcription(self, config: sp.TranscriptionConfig | None = None) -> OwnStream:
        made = sp.TranscriptionSession(config or sp.TranscriptionConfig(), self._endpoint, **self._session)
        return OwnStream(made)
