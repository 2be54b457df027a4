"""The voices that the local server lists: names that the service's catalogue has, all of one voice.

From the vendor's model cards (June to August 2026) and its API files; the service has some 200. Cloned voices have ids
(``voice_...``) that nobody can list.
"""

from __future__ import annotations

from smallest_proto.config import SPEECH_MODELS
from smallest_proto.server.answers import ListedVoice

_STANDARD, _PRO = SPEECH_MODELS
_STANDARD_NAMES = """
sophia magnus jordan robert johnny lucas ronald blofeld zorin felix malcolm lauren hannah vanessa brooke olivia rachel
nicole elizabeth ilsa christine william erica chloe sunidhi chinmayi aanya siya anuja avni ishani yuvika advika sana
sameera srishti sakshi maya wasim rehan parth atharv vivaan devansh aarush quinn mia daniel neel maithili mihir kartik
liam avery dina ella harper jessica kevin sandra alex brian divyanshu ethan kyle mishka emily daniella camilla alba
marcos david nerea miguel carlos jose luis mariana lucia javier diego gabriela jeevan rajeshwari vaisakh shibi srihari
padmaja rupali nilesh niharika dhruvit deepashri pranav raju
"""
_PRO_NAMES = "meher kaitlyn rhea"

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
    for model, names in ((_STANDARD, _STANDARD_NAMES), (_PRO, _PRO_NAMES))
    for name in names.split()
)
NAMES = frozenset(voice.voice_id for voice in VOICES)
