"""What ``on_metrics`` is told: each link when it has ended, each final, nothing of what was said."""

from __future__ import annotations

import pytest

from smallest_proto.config import RetryPolicy, TranscriptionConfig
from smallest_proto.errors import RemoteError
from smallest_proto.metrics import LinkMetrics
from smallest_proto.server.synthesiser import CodedSynthesiser
from smallest_proto.transcription.events import FinalTranscript
from smallest_proto.transcription.metrics import FinalMetrics
from smallest_transports.testing import judge
from smallest_transports.testing.servers import local_server

from .drivers import KEY, Driver, Logs
from .promises import SHORT, SPEECH


def links(told: list[LinkMetrics | FinalMetrics]) -> list[LinkMetrics]:
    return [one for one in told if isinstance(one, LinkMetrics)]


async def test_each_link_is_told_when_it_has_ended_and_each_final(transport: Driver) -> None:
    told: list[LinkMetrics | FinalMetrics] = []
    with local_server("drop@2") as url:
        client = transport.client(url, timeouts=SHORT, on_metrics=told.append)
        async with client, client.stream_transcription(TranscriptionConfig(vad_events=True)) as stream:
            await stream.send_audio(SPEECH.pcm)
            await stream.end_input()
            events = [event async for event in stream]
    assert judge(events, SPEECH, stats=stream.stats).ok
    lost, closed = links(told)
    assert (lost.link, closed.link) == (1, 2)
    assert lost.failure is not None
    assert closed.failure is None
    assert all(one.opening is not None and 0 < one.opening <= one.seconds for one in (lost, closed))
    finals = [FinalMetrics.of(event) for event in events if isinstance(event, FinalTranscript)]
    assert [one for one in told if isinstance(one, FinalMetrics)] == finals
    assert sum(final.words for final in finals) == len(SPEECH.text.split())
    shown = repr(told)
    assert not [secret for secret in (KEY, *SPEECH.text.split()) if secret in shown]


async def test_a_link_of_speech_is_told_when_the_client_lets_go_of_it(transport: Driver) -> None:
    told: list[LinkMetrics | FinalMetrics] = []
    with local_server(synthesiser=CodedSynthesiser) as url:
        async with transport.client(url, on_metrics=told.append) as client:
            for _ in range(2):
                async with client.stream_synthesis() as stream:
                    await stream.send_text("w1 w2")
                    await stream.end_input()
                    assert [event async for event in stream]
            assert told == []  # it is kept for the next
    (link,) = links(told)
    assert link.failure is None


async def test_a_link_that_never_opened_says_why(transport: Driver) -> None:
    told: list[LinkMetrics | FinalMetrics] = []
    with local_server("refuse:503") as url:
        client = transport.client(url, retry=RetryPolicy(max_retries=0), on_metrics=told.append)
        async with client, client.stream_transcription() as stream:
            with pytest.raises(RemoteError):
                assert [event async for event in stream]
    (link,) = links(told)
    assert link.opening is None
    assert link.failure is not None
    assert link.failure.status == 503


async def test_a_mistake_in_the_function_is_logged_and_the_call_goes_on(transport: Driver, logs: Logs) -> None:
    def wrong(metrics: LinkMetrics | FinalMetrics) -> None:
        raise ValueError(f"counting {type(metrics).__name__}")

    with local_server() as url:
        async with transport.client(url, on_metrics=wrong) as client, client.stream_transcription() as stream:
            await stream.send_audio(SPEECH.pcm)
            await stream.end_input()
            events = [event async for event in stream]
    assert judge(events, SPEECH, stats=stream.stats).ok
    told = [line.splitlines() for line in logs.messages if line.startswith("on_metrics raised; the call goes on")]
    assert {lines[-1] for lines in told} == {"ValueError: counting FinalMetrics", "ValueError: counting LinkMetrics"}
