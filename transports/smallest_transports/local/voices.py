"""The voices that the local server lists: names that clients of the service use, all of one voice."""

from __future__ import annotations

from smallest_proto.config import SPEECH_MODELS
from smallest_proto.server.answers import ListedVoice

_STANDARD, _PRO = SPEECH_MODELS
_NAMES = {"sophia": _STANDARD, "magnus": _STANDARD, "jordan": _STANDARD, "meher": _PRO, "kaitlyn": _PRO}

# Any other name is spoken as well: cloned voices have ids that nobody can list.
VOICES = tuple(
    ListedVoice(
        voice_id=name,
        name=name.capitalize(),
        models=(model,),
        description="A stand-in: the local server speaks with one voice, whatever its name.",
        languages=("english",),
        gender="female",
        accent="american",
    )
    for name, model in _NAMES.items()
)
