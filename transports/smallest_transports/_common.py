"""What the clients of all drivers have in common beside ``_wire``; pure as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smallest_proto.config import FileTranscriptionConfig
from smallest_proto.errors import ConfigurationError, Failure, FailureKind
from smallest_proto.exchange import FileTranscript, TranscriptionAccepted
from smallest_proto.requests import MAX_FILE_BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer

KEY_VARIABLE = "SMALLEST_API_KEY"
PIECE_BYTES = 64 * 2**10  # of audio that a session is given at once: 2 s of linear16 at 16 kHz


def pieces(audio: Buffer) -> Iterator[Buffer]:
    """Audio of any length in pieces that a session can hold, so that back-pressure holds for a whole file at once too.

    What is no audio comes out as it is: the session says what is wrong with it.
    """
    try:
        view = memoryview(audio)
    except TypeError:
        view = memoryview(b"")
    if view.nbytes <= PIECE_BYTES or view.ndim != 1:
        yield audio
        return
    items = PIECE_BYTES // view.itemsize
    for at in range(0, len(view), items):
        yield view[at : at + items]


def check_size(name: object, size: int) -> None:
    """Raises ``ConfigurationError`` for a file of so many bytes that is empty, or more than the service takes."""
    if size > MAX_FILE_BYTES:
        limit = f"{MAX_FILE_BYTES / 1e6:.0f} MB"
        raise ConfigurationError(f"{name} is over {limit}, the service's limit: compress it, or stream it live")
    if not size:
        raise ConfigurationError(f"{name} is empty: there is nothing to transcribe")


def check_webhook(config: FileTranscriptionConfig | None, *, wanted: bool) -> FileTranscriptionConfig:
    """The configuration, or the default one.

    Raises ``ConfigurationError`` for a configuration whose answer would not come where it is awaited.
    """
    config = config or FileTranscriptionConfig()
    if config.webhook_url is not None and not wanted:
        raise ConfigurationError("with a webhook_url the transcript goes there: use transcribe_by_webhook()")
    if config.webhook_url is None and wanted:
        raise ConfigurationError("set model='pulse-pro' and webhook_url, which the transcript is to go to")
    return config


def unexpected(answer: FileTranscript | TranscriptionAccepted) -> Failure:
    """The service answers at once what was to come by webhook, or the other way round."""
    when = (
        "at once and not by webhook" if isinstance(answer, FileTranscript) else "later, though no webhook_url was set"
    )
    return Failure(kind=FailureKind.PROTOCOL, reason=f"the service answers {when}", request_id=answer.request_id)
