"""``metrics`` and ``transcription.metrics``: what the links and the finals of a session measured."""

from __future__ import annotations

from smallest_proto import FinalMetrics, FinalTranscript, LinkMetrics, LinkOpened
from smallest_proto.commands import OpenLink, SendText
from smallest_proto.config import Endpoint, TranscriptionConfig
from smallest_proto.errors import Failure, FailureKind
from smallest_proto.metrics import LinkMeter
from smallest_proto.requests import live_transcription_request
from smallest_proto.stats import LinkRecord

REQUEST = live_transcription_request(TranscriptionConfig(), Endpoint(api_key="any"))
LOST = Failure(kind=FailureKind.DISCONNECTED, reason="the peer is gone")


def test_a_link_is_measured_from_the_attempt_to_its_end_and_told_once() -> None:
    meter = LinkMeter()
    meter.take(OpenLink(link=1, request=REQUEST), 10.0)
    meter.take(LinkOpened(link=1, seconds=0.25), 10.25)
    meter.take(SendText(link=1, text="{}"), 11.0)
    assert list(meter.ended([LinkRecord(link=1, opened=True)], 12.0)) == []
    ended = [LinkRecord(link=1, opened=True, ended=True, failure=LOST)]
    assert list(meter.ended(ended, 15.0)) == [LinkMetrics(link=1, opening=0.25, seconds=5.0, failure=LOST)]
    assert list(meter.ended(ended, 16.0)) == []


def test_links_that_lived_beside_each_other_come_in_order() -> None:
    meter = LinkMeter()
    for link, begun in ((1, 0.0), (2, 3.0), (3, 4.0)):
        meter.take(OpenLink(link=link, request=REQUEST), begun)
    records = [LinkRecord(link=1, ended=True), LinkRecord(link=2), LinkRecord(link=3, ended=True)]
    told = list(meter.ended(records, 6.0))
    assert [(one.link, one.opening, one.seconds) for one in told] == [(1, None, 6.0), (3, None, 2.0)]
    assert [one.link for one in meter.ended([*records[:1], LinkRecord(link=2, ended=True), records[2]], 7.0)] == [2]


def test_a_final_is_measured_without_what_was_said() -> None:
    final = FinalTranscript(text=" very private words ", start=1.0, end=2.5, latency=0.2, session_id="s1")
    metrics = FinalMetrics.of(final)
    assert (metrics.start, metrics.end, metrics.words, metrics.latency) == (1.0, 2.5, 3, 0.2)
    assert (metrics.from_finalize, metrics.provisional, metrics.may_repeat) == (False, False, False)
    assert metrics.session_id == "s1"
    assert "private" not in repr(metrics)
    assert FinalMetrics.of(FinalTranscript(text="", start=0.0, end=0.0, from_finalize=True)).words == 0
