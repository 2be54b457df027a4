"""A LiveKit agent with speech of this library, or of the published plugin beside it, to compare the two.

Usage: ``python examples/livekit_agent.py console`` with ``smallest-proto serve`` running; ``dev`` for a LiveKit server.
``PLUGIN=smallestai`` takes the published plugin (livekit-plugins-smallestai). The model answers by rule here: put yours
in its place.
"""

import os
from importlib import import_module
from typing import Any

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, llm

BASE_URL = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
KEY = os.environ.get("SMALLEST_API_KEY", "any")


class Parrot(llm.LLM):
    """Says again what was said."""

    def chat(self, *, chat_ctx: llm.ChatContext, **options: Any) -> llm.LLMStream:
        return _Saying(self, chat_ctx=chat_ctx, tools=options.get("tools") or [], conn_options=options["conn_options"])


class _Saying(llm.LLMStream):
    async def _run(self) -> None:
        said = [item for item in self._chat_ctx.items if item.type == "message" and item.role == "user"]
        text = said[-1].text_content if said else "nothing"
        for token in f"You said: {text}".split(" "):
            delta = llm.ChoiceDelta(role="assistant", content=f"{token} ")
            self._event_ch.send_nowait(llm.ChatChunk(id="parrot", delta=delta))


def session() -> AgentSession[None]:
    plugin = import_module(f"livekit.plugins.{os.environ.get('PLUGIN', 'smallest_proto')}")
    live = f"{BASE_URL.replace('http', 'ws', 1)}/tts/live"
    return AgentSession(
        stt=plugin.STT(api_key=KEY, base_url=BASE_URL),
        tts=plugin.TTS(api_key=KEY, base_url=BASE_URL, ws_url=live, model="lightning_v3.1", voice_id="sophia"),
        llm=Parrot(),
        turn_detection="stt",
    )


server = AgentServer()


@server.rtc_session()
async def entrypoint(context: JobContext) -> None:
    await session().start(agent=Agent(instructions="Be brief."), room=context.room)


if __name__ == "__main__":
    cli.run_app(server)
