"""Errors in one line that says what would be right. The key is never in it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator

import click

from smallest_proto.errors import (
    ConfigurationError,
    ConnectError,
    DeadlineError,
    LocalProtocolError,
    RemoteError,
)

KEY_VARIABLE = "SMALLEST_API_KEY"
_SECRETS = "smallest_transports.cli.secrets"  # where the context keeps what must not be shown
_DEBUG = "smallest_transports.cli.debug"
_SHORT = 8  # characters: the service's keys are far longer


class Problem(click.ClickException):
    """The command did not do what was asked: exit code 1."""


class WrongUse(Problem):
    """The command cannot be run as it was given: exit code 2."""

    exit_code = 2


def keep_secret(context: click.Context, secret: str) -> None:
    """Never show this text, whatever an error says."""
    context.find_root().meta.setdefault(_SECRETS, set()).add(secret)


def redact(text: str) -> str:
    """The text without the keys that this run knows."""
    context = click.get_current_context(silent=True)
    secrets = set(context.find_root().meta.get(_SECRETS, ())) if context else set()
    secrets.add(os.environ.get(KEY_VARIABLE, ""))
    # The longest first: one key can be the beginning of another.
    for secret in sorted((secret.strip() for secret in secrets), key=len, reverse=True):
        if len(secret) < _SHORT:  # such as "any", for a local server: it can be a part of other words
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text) if secret else text
        else:
            text = text.replace(secret, "***")
    return text


def set_debug(context: click.Context) -> None:
    """Print more about errors from now on."""
    context.find_root().meta[_DEBUG] = True


def debugging() -> bool:
    """Whether ``--debug`` was given."""
    context = click.get_current_context(silent=True)
    return bool(context and context.find_root().meta.get(_DEBUG))


def say(text: str) -> None:
    """One line to standard error: standard output is for transcripts.

    Where a display moves on the same terminal, it goes through that.
    """
    text = redact(text)
    if sys.stderr is None:  # whoever started this program has closed it
        return
    if _displays and sys.stderr.isatty():
        _displays[-1](text)
        return
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


_displays: list[Callable[[str], None]] = []


@contextlib.contextmanager
def printed_through(display: Callable[[str], None]) -> Iterator[None]:
    """Give lines that are printed meanwhile to what draws on the terminal, or they would mix with it."""
    _displays.append(display)
    try:
        yield
    finally:
        _displays.remove(display)


def explain(error: BaseException) -> str:
    """One line on any error, with what to do about it where that is known."""
    if isinstance(error, click.ClickException):
        return redact(error.format_message())
    if isinstance(error, RemoteError):
        return redact(_explain_remote(error))
    if isinstance(error, (ConfigurationError, LocalProtocolError)):
        return redact(str(error))
    if isinstance(error, ModuleNotFoundError):
        return f'{error.name} is not installed: pip install "smallest-proto[cli]"'
    if isinstance(error, ImportError):
        return redact(str(error))
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return redact(f"{where}{error.strerror or type(error).__name__}")
    return f"unexpected {type(error).__name__}, a bug of this program: --debug shows where"


def show_details(error: BaseException) -> None:
    """With ``--debug``: the traceback and the service's own words, to standard error."""
    if not debugging():
        return
    say("".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip())
    remote = error if isinstance(error, RemoteError) else error.__cause__
    if isinstance(remote, RemoteError):
        say(repr(remote.failure))
        if remote.failure.detail:
            say(f"the service said: {remote.failure.detail}")


def _explain_remote(error: RemoteError) -> str:
    failure = error.failure
    reason = failure.reason.rstrip(".").replace("its words are in failure.detail", "--debug shows its words")
    if failure.status == 401:
        return f"{reason}, or --api-key"
    if isinstance(error, ConnectError):
        return f"{reason}; --base-url says where the service is, and --local needs none"
    if isinstance(error, DeadlineError):
        return f"{reason}: try again, or use --local"
    if failure.retry_after is not None:
        return f"{reason}; it asks to wait {failure.retry_after:g} s"
    return reason
