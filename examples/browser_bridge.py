"""A bridge from a browser: audio comes over a WebSocket of your server, captions go back. The key stays on the server.

Usage: ``pip install fastapi uvicorn``, then ``uvicorn --app-dir examples browser_bridge:app`` and open its address.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

from smallest_proto import FinalTranscript, InterimTranscript, RemoteError, TranscriptionConfig
from smallest_transports.asyncio import Client

app = FastAPI()

PAGE = """<!doctype html><meta charset="utf-8"><title>Captions</title><button>Speak</button><p></p><script>
document.querySelector("button").onclick = async () => {
  const context = new AudioContext({sampleRate: 16000});
  const code = "registerProcessor('pcm', class extends AudioWorkletProcessor {"
    + "process([[x]]) { if (x) this.port.postMessage(Int16Array.from(x, s => s * 32767)); return true; } })";
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
  const microphone = await navigator.mediaDevices.getUserMedia({audio: {channelCount: 1}});
  const socket = new WebSocket(location.href.replace("http", "ws") + "captions");
  const pcm = new AudioWorkletNode(context, "pcm");
  pcm.port.onmessage = ({data}) => socket.readyState == 1 && socket.send(data);
  context.createMediaStreamSource(microphone).connect(pcm);
  socket.onmessage = ({data}) => document.querySelector("p").textContent = JSON.parse(data).text;
};
</script>"""


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.websocket("/captions")
async def captions(browser: WebSocket) -> None:
    await browser.accept()

    async def audio() -> AsyncIterator[bytes]:
        while piece := await browser.receive_bytes():  # an empty message: no more comes
            yield piece

    base_url = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
    try:
        async with Client(api_key="any", base_url=base_url) as client:
            async with client.transcribe_live(audio(), TranscriptionConfig(sample_rate=16000)) as events:
                async for event in events:
                    if isinstance(event, (InterimTranscript, FinalTranscript)) and event.text:
                        await browser.send_json({"text": event.text, "final": isinstance(event, FinalTranscript)})
        await browser.close()
    except WebSocketDisconnect:
        pass  # the browser has gone: the call ended with the block above
    except RemoteError as error:
        await browser.close(1011, str(error)[:120])
    except asyncio.CancelledError:
        await browser.close(1001)
        raise
