"""Options that several commands have, and what they come to: whom to talk to, which voice, which faults."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click
import msgspec

from smallest_proto.config import BASE_URL, SPEECH_MODELS, Route, SynthesisConfig
from smallest_proto.values import Secret, Value

from .problems import KEY_VARIABLE, WrongUse, keep_secret, set_debug

if TYPE_CHECKING:
    from smallest_transports.local.faults import Fault

Command = TypeVar("Command", bound=Callable[..., Any])


class Service(Value, frozen=True, kw_only=True):
    """Whom a command talks to: the service, or a local server of its own, for which nothing else counts."""

    local: bool = False
    base_url: str = BASE_URL
    route: Route = "unified"
    any_region: bool = False
    api_key: str = Secret()


def debug_option(command: Command) -> Command:
    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_debug,
        help="On an error show the traceback and the service's own words (they can repeat what was said).",
    )(command)


def _debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        set_debug(context)


def fault_option(command: Command) -> Command:
    return click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="FAULT",
        callback=_faults,
        help="Do this to a link of the local server: drop@5 breaks it after 5 s of audio. Also half-open, stall, mute, "
        "close:CODE, error, garbage, no-last, no-complete, twice, refuse:STATUS; x3 at the end: to three links. "
        "Several: one after the other, each to the next link.",
    )(command)


def _faults(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Fault, ...]:  # noqa: ARG001
    if not values:
        return ()
    from smallest_transports.local.faults import read_fault

    return tuple(map(read_fault, values))


def picture_option(command: Command) -> Command:
    return click.option(
        "--picture",
        type=click.Path(path_type=Path),
        callback=_picture,
        metavar="FILE",
        help="Draw what happened: every link, what was sent again, what was heard, with what was said; .html or .svg.",
    )(command)


def _picture(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:  # noqa: ARG001
    if value is not None:
        from .camera import check_picture

        check_picture(value, "--picture")
    return value


def service_options(local: str, *, unless: str = "", keyless: bool = False) -> Callable[[Command], Command]:
    """``--local`` (what it does is said by ``local``), ``--base-url`` and ``--api-key``: the command gets ``service``.

    Without a key, and where the options contradict each other, it is not called at all; with the flag ``unless``,
    and where the command is ``keyless``, it needs none.
    """

    def decorate(command: Command) -> Command:
        options = (
            click.option("--local", is_flag=True, help=local),
            click.option("--base-url", metavar="URL", help=f"Where the service is.  [default: {BASE_URL}]"),
            click.option(
                "--route",
                type=click.Choice(get_args(Route)),
                help="The shape of its paths; on-premises for a server in your own house.  [default: unified]",
            ),
            click.option(
                "--any-region",
                is_flag=True,
                help="Take languages that the service is not known to have at this URL: your contract has them.",
            ),
            click.option(
                "--api-key",
                metavar="KEY",
                envvar=KEY_VARIABLE,
                show_envvar=True,
                callback=secret,
                help="The key. Better in the environment: others on this machine can see arguments.",
            ),
        )

        def called(
            *,
            local: bool,
            base_url: str | None,
            route: Route | None,
            any_region: bool,
            api_key: Secret | None,
            **others: Any,
        ) -> Any:
            needed = not (keyless or others.get(unless))
            service = _service(local, base_url, api_key, needed=needed)
            if local and route is not None:
                raise WrongUse("--local is a server of its own: leave out --route")
            service = msgspec.structs.replace(service, route=route or "unified", any_region=any_region)
            return command(service=service, **others)

        return _with(options, command, called)

    return decorate


def _service(local: bool, base_url: str | None, api_key: Secret | None, *, needed: bool = True) -> Service:
    if local and base_url is not None:
        raise WrongUse("--local is a server of its own: leave out --base-url")
    if needed and not local and api_key is None:
        raise WrongUse(f"no API key: set {KEY_VARIABLE}, or pass --api-key; --local needs none and uses this machine")
    return Service(local=local, base_url=base_url or BASE_URL, api_key=api_key or Secret())


def secret(context: click.Context, parameter: click.Parameter, value: str | None) -> Secret | None:  # noqa: ARG001
    """A callback for an option that holds a key: never shown from here on; ``None`` for one that is empty."""
    if value is None or not value.strip():
        return None
    keep_secret(context, value)
    return Secret(value.strip())


def voice_options(command: Command) -> Command:
    """``--voice``, ``--model``, ``--language`` and ``--speed``: the command gets ``voice``, a ``SynthesisConfig``."""
    options = (
        click.option("--voice", metavar="ID", help="Who speaks, such as sophia.  [default: the model's own voice]"),
        click.option("--model", default=SPEECH_MODELS[0], show_default=True, help=", ".join(SPEECH_MODELS) + "."),
        click.option("--language", metavar="CODE", help="A language of the service, such as en, hi, de; or auto."),
        click.option("--speed", type=float, metavar="FACTOR", help="From 0.5 to 2; 1 is the natural pace."),
        extra_option,
    )

    def called(*, voice: str | None, model: str, language: str | None, speed: float | None, **others: Any) -> Any:
        config = SynthesisConfig(voice_id=voice, model=model, language=language, speed=speed, extra=others.pop("extra"))
        return command(voice=config, **others)

    return _with(options, command, called)


def extra_option(command: Command) -> Command:
    """``--option NAME=VALUE``, any number of them: the command gets ``extra``."""
    return click.option(
        "--option",
        "extra",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_pairs,
        help="An option or a language of the service that is not known here, sent as it is, such as language=xx.",
    )(command)


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:  # noqa: ARG001
    pairs = dict(value.split("=", 1) for value in values if "=" in value)
    if len(pairs) != len(values) or "" in pairs:
        raise WrongUse("--option takes a name and a value, each name once: --option numerals=auto")
    return pairs


def _with(options: tuple[Callable[[Any], Any], ...], command: Command, called: Callable[..., Any]) -> Command:
    """``called`` in the place of ``command``, with more options, in their order."""
    decorated: Any = functools.update_wrapper(called, command)
    for option in reversed(options):
        decorated = option(decorated)
    kept: Command = decorated
    return kept
