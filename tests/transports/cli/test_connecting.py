"""What the command says of a request that is sent again, and that it does not wait for nobody."""

from __future__ import annotations

import asyncio

import pytest

from smallest_proto.errors import ConnectError, Failure, FailureKind
from smallest_proto.http.exchange import ExchangeRetried
from smallest_transports.cli import connecting
from smallest_transports.cli.connecting import connect
from smallest_transports.cli.options import Service
from smallest_transports.testing.conformance.retries import REFUSE, VOICES, in_turn
from smallest_transports.testing.servers import serving

BUSY = Failure(kind=FailureKind.STATUS, reason="HTTP 503: busy", status=503)


@pytest.mark.parametrize(("retry_in", "lines"), [(0.4, []), (7.6, ["HTTP 503: busy; trying again in 8 s"])])
def test_a_wait_that_is_worth_a_line_is_told(
    retry_in: float, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    connecting.tell_retry(ExchangeRetried(failure=BUSY, retry_in=retry_in))
    assert capsys.readouterr().err.splitlines() == lines


def test_a_request_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(url: str) -> None:
        async with connect(Service(base_url=url, api_key="any", local=False)) as client:
            assert [voice.id for voice in await client.voices()] == ["a"]

    monkeypatch.setattr(connecting, "RETRY", connecting.RetryPolicy(first_delay=0))
    talk, count = in_turn(REFUSE, VOICES)
    with serving(talk) as url:
        asyncio.run(main(url))
    assert count == [2]


def test_nobody_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with connect(Service(base_url="http://127.0.0.1:9", api_key="any", local=False)) as client:
            with pytest.raises(ConnectError):
                await client.voices()

    monkeypatch.setattr(connecting, "RETRY", connecting.RetryPolicy(first_delay=500, longest_delay=500))
    asyncio.run(asyncio.wait_for(main(), 20))
