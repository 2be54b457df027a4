"""The page as its files and its sockets have it; a browser looks at it in ``test_page_in_browser.py``."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from smallest_proto.config import TranscriptionConfig
from smallest_proto.server.recogniser import CodedRecogniser, Heard, coded_speech
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_transports.local import page as page_module
from smallest_transports.local.faults import FAULTS, read_fault
from smallest_transports.local.page import LocalPage
from smallest_transports.local.page.calls import SPEECH_RATE
from smallest_transports.local.server import LocalServer
from smallest_transports.testing.certificates import Tls

SPEECH = coded_speech([1, 2, 3, 0.8, 4, 5])
RATE = "?rate=16000"


def serving(**options: Any) -> LocalServer:
    return LocalServer(recogniser=CodedRecogniser, synthesiser=CodedSynthesiser, pages=LocalPage(), **options)


@asynccontextmanager
async def browser(server: LocalServer, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A socket of the page, opened as its own JavaScript opens it."""
    own = server.base_url.removesuffix("/waves/v1")
    async with connect(own.replace("http", "ws", 1) + path, origin=own, proxy=None, **options) as socket:  # type: ignore[arg-type]
        yield socket


async def told(socket: ClientConnection) -> list[Any]:
    """All that still comes: JSON read, audio as it is."""
    received: list[Any] = []
    while True:
        try:
            data = await socket.recv()
        except ConnectionClosed:
            return received
        received.append(data if isinstance(data, bytes) else json.loads(data))


async def hear(socket: ClientConnection, *messages: dict[str, Any] | bytes) -> list[Any]:
    for message in messages:
        await socket.send(message if isinstance(message, bytes) else json.dumps(message))
    return await told(socket)


def heard(pcm: bytes) -> str:
    """The words in coded audio, as the page is sent it."""
    recogniser = CodedRecogniser(TranscriptionConfig(sample_rate=SPEECH_RATE))
    results = [*recogniser.hear(pcm), *recogniser.finalize()]
    return " ".join(word.text for item in results if isinstance(item, Heard) and item.final for word in item.words)


def words_of(messages: list[Any]) -> str:
    return " ".join(message["text"].strip() for message in messages if message["kind"] == "final")


def pieces(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + 1600] for at in range(0, len(pcm), 1600)]


async def test_every_file_of_the_page_is_there_and_nothing_comes_from_elsewhere() -> None:
    async with serving() as server, aiohttp.ClientSession(server.base_url.removesuffix("waves/v1")) as session:
        wanted, seen = ["/"], {}
        while wanted:
            path = wanted.pop()
            async with session.get(path) as answer:
                assert answer.status == 200, path
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                seen[path] = text = await answer.text()
            named = re.findall(r'(?:href|src)="(/[^"]*)"|"(/page/\w+\.js)"|from "\./(\w+\.js)"', text)
            found = {whole or script or f"/page/{module}" for whole, script, module in named}
            wanted += found - set(seen) - set(wanted)
            assert not re.findall(r"https?://(?!www\.w3\.org)", text), path
        assert {"/page/page.css", "/page/recorder.js", "/page/speech.js", "/page/picture.js"} <= set(seen)
        assert sum(map(len, seen.values())) < 100_000
        async with session.head("/") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with session.post("/") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        async with session.get("/page/hear") as answer:
            assert answer.status == 426
        async with session.get("/page/../../server.py") as answer:
            assert answer.status == 404


def test_every_fault_has_a_button() -> None:
    text = (page_module._HERE / "index.html").read_text("utf-8")
    names = {read_fault(fault).name for said in re.findall('data-faults="([^"]+)"', text) for fault in said.split()}
    assert names == set(FAULTS)


@pytest.mark.parametrize("faults", [(), ("drop",), ("refuse:503", "drop"), ("close:1011",), ("error",), ("garbage",)])
async def test_no_word_is_missing_whatever_is_done_to_the_link(faults: tuple[str, ...]) -> None:
    async with serving() as server, browser(server, "/page/hear" + RATE) as socket:
        await hear_first(socket, SPEECH.pcm[:6400])
        asked = [{"fault": fault} for fault in faults]
        messages = await hear(socket, *asked, *pieces(SPEECH.pcm[6400:]), {"end": True})
        assert socket.close_code == 1000
    assert words_of(messages) == "w1 w2 w3 w4 w5"
    lost = sum(message["kind"] == "lost" for message in messages)
    assert lost == {(): 0, ("garbage",): 0, ("refuse:503", "drop"): 2}.get(faults, 1)
    assert [message["link"] for message in messages if message["kind"] == "opened"] == ([] if lost == 0 else [1 + lost])
    (scene,) = [message for message in messages if message["kind"] == "picture"][-1]["scenes"]
    assert scene


async def hear_first(socket: ClientConnection, pcm: bytes) -> None:
    """Audio, once the link is open: what is asked for then happens to it."""
    while json.loads(await socket.recv())["kind"] != "opened":
        pass
    for piece in pieces(pcm):
        await socket.send(piece)


async def test_what_the_page_breaks_is_its_own_link(peer: Any) -> None:
    async with serving() as server, browser(server, "/page/hear" + RATE) as socket, peer.live(server) as other:
        await hear_first(socket, b"")
        await socket.send(json.dumps({"fault": "drop"}))
        await socket.send(bytes(1600))
        while json.loads(await socket.recv())["kind"] != "lost":
            pass
        await peer.send_audio(other, SPEECH.pcm)
        await other.send('{"type":"close_stream"}')
        assert (await peer.messages(other))[-1]["is_last"]
        assert server.faults_left == ()


async def test_what_cannot_be_is_told_and_the_call_goes_on() -> None:
    async with serving() as server, browser(server, "/page/hear" + RATE) as socket:
        await socket.send("{no json")
        await socket.send("[1]")
        messages = await hear(socket, {"fault": "earthquake"}, {"fault": 7}, *pieces(SPEECH.pcm), {"end": True})
    assert words_of(messages) == "w1 w2 w3 w4 w5"
    (refused,) = [message for message in messages if message["kind"] == "refused"]
    assert "there is no fault 'earthquake'" in refused["why"]
    async with serving() as server, browser(server, "/page/hear?rate=1") as socket:
        (failed, *_) = await told(socket)
        assert (failed["kind"], "sample_rate" in failed["why"]) == ("failed", True)


@pytest.mark.parametrize("fault", [None, "drop", "twice", "no-complete"])
async def test_a_text_is_spoken_whole(fault: str | None) -> None:
    text = " ".join(f"w{number}" for number in range(1, 12))
    audio, spoken, messages = b"", [], []
    async with serving() as server, browser(server, "/page/speak") as socket:
        if fault:
            await socket.send(json.dumps({"fault": fault}))
        await socket.send(json.dumps({"text": text}))
        while True:
            data = await socket.recv()
            if isinstance(data, bytes):
                audio += data
                continue
            messages.append(message := json.loads(data))
            if message["kind"] == "word":
                spoken.append(message["text"].strip())
            if message["kind"] == "done":
                break
        await socket.send(json.dumps({"over": True}))
        messages += await told(socket)
        assert socket.close_code == 1000
    assert " ".join(spoken) == text
    assert sum(message["kind"] == "lost" for message in messages) == (fault == "drop")
    assert heard(audio) == text


async def test_the_page_asks_for_no_key_of_a_browser_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(key="sk_secret") as server:
        async with browser(server, "/page/hear" + RATE) as socket:
            messages = await hear(socket, *pieces(SPEECH.pcm), {"end": True})
            assert words_of(messages) == "w1 w2 w3 w4 w5"
            assert "sk_secret" not in json.dumps(messages)
        monkeypatch.setattr(page_module, "_is_near", lambda _: False)  # as from another machine
        with pytest.raises(InvalidStatus, match="403"):
            async with browser(server, "/page/hear" + RATE):
                pass


async def test_over_tls(tls: Tls) -> None:
    over = {"ssl": tls.client}
    async with serving(ssl_context=tls.server) as server, browser(server, "/page/hear" + RATE, **over) as socket:
        assert words_of(await hear(socket, *pieces(SPEECH.pcm), {"end": True})) == "w1 w2 w3 w4 w5"


async def test_a_browser_that_leaves_ends_its_call_and_a_server_that_stops_says_goodbye() -> None:
    async with serving() as server:
        async with browser(server, "/page/hear" + RATE) as socket:
            await hear_first(socket, SPEECH.pcm)
        async with browser(server, "/page/hear" + RATE) as socket:
            await hear_first(socket, SPEECH.pcm)
            await server.__aexit__()
            await told(socket)
            assert socket.close_code == 1001
        await server.__aenter__()


def _luminance(colour: str) -> float:
    digits = colour if len(colour) == 7 else "#" + "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
def test_what_is_written_can_be_read_by_day_and_by_night(scheme: int) -> None:
    """4.5 to 1, as WCAG 2 wants it of text."""
    style = (page_module._HERE / "page.css").read_text("utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]))
    pairs = [(ink, ground) for ground in ("ground", "faint") for ink in ("ink", "soft", "lost", "interim")]
    for ink, ground in [*pairs, ("on-strong", "strong"), ("strong", "ground")]:
        darker, lighter = sorted((_luminance(colours[ink]), _luminance(colours[ground])))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (ink, ground)
