"""The languages that the service has, and where it has them.

The codes are all that the vendor's pages name for Pulse, live or for files (its API files, model card and changelogs to
August 2026); which it accepts for what changes from month to month, so only the groups are told apart here.
"""

from __future__ import annotations

from .errors import ConfigurationError

# fmt: off
_CODES = frozenset((
    "en", "hi", "de", "es", "ru", "it", "fr", "nl", "pt", "zh", "yue", "ja", "ko", "gu", "mr", "or", "bn", "pa",
    "ta", "te", "kn", "ml", "uk", "pl", "cs", "sk", "lv", "et", "ro", "fi", "sv", "bg", "hu", "da", "lt", "mt",
))
# fmt: on
# The groups hear which of their languages is spoken; "multi" is all of them.
LIVE_LANGUAGES = _CODES | {"multi", "north_indic", "multi-asian", "multi-south-indic"}
FILE_LANGUAGES = _CODES | {"multi", "multi-eu", "multi-asian", "multi-indic"}

US_ONLY_LANGUAGES = frozenset(("zh", "yue", "ja", "ko", "multi-asian"))
INDIA_ONLY_LANGUAGES = frozenset(("ta", "te", "kn", "ml", "multi-south-indic", "multi-indic"))
_INDIA, _US = "api.smallest.ai", "api.us.smallest.ai"  # the vendor's hosts

ENGLISH_ONLY_MODELS = ("pulse-2", "pulse-pro")


def check_language(language: object, allowed: frozenset[str], model: str, job: str) -> None:
    """Raises ``ConfigurationError`` for a language that is not among ``allowed``, or that ``model`` does not know."""
    if not isinstance(language, str) or language not in allowed:
        raise ConfigurationError(
            f"{job} has no language {language!r}: use one of {', '.join(sorted(allowed))}; one that the service has "
            "since learnt goes into extra={'language': …}, as it is"
        )
    if model in ENGLISH_ONLY_MODELS and language != "en":
        raise ConfigurationError(f"{model} knows English alone: use language='en', or model='pulse'")


def check_region(language: str, host: str | None) -> None:
    """Raises ``ConfigurationError`` for a language that the vendor's ``host`` does not serve.

    Of other hosts nothing is known. A contract can say otherwise: see ``Endpoint.any_region``.
    """
    if host == _INDIA and language in US_ONLY_LANGUAGES:
        region, other = "the US", _US
    elif host == _US and language in INDIA_ONLY_LANGUAGES:
        region, other = "India", _INDIA
    else:
        return
    raise ConfigurationError(
        f"{language} is served from {region} alone: use https://{other}/waves/v1, or any_region=True if your contract "
        "says otherwise"
    )
