"""What a voice says when somebody wants to hear how it sounds."""

from collections.abc import Sequence

SAMPLES = {
    "ar": "مرحبا، هكذا يبدو صوتي عندما أقرأ لك.",
    "cs": "Dobrý den, takhle zní můj hlas, když vám předčítám.",
    "de": "Guten Tag, so klingt meine Stimme, wenn ich Ihnen vorlese.",
    "en": "Hello, this is how my voice sounds when I read to you.",
    "es": "Hola, así suena mi voz cuando te leo en voz alta.",
    "fr": "Bonjour, voici comment sonne ma voix quand je vous fais la lecture.",
    "hi": "नमस्ते, जब मैं आपके लिए पढ़ता हूँ तो मेरी आवाज़ ऐसी लगती है।",
    "hu": "Jó napot, így szól a hangom, amikor felolvasok.",
    "it": "Buongiorno, così suona la mia voce quando leggo per voi.",
    "ja": "こんにちは。私の声はこのように聞こえます。",
    "ko": "안녕하세요, 제 목소리는 이렇게 들립니다.",
    "nl": "Goedendag, zo klinkt mijn stem als ik u voorlees.",
    "pl": "Dzień dobry, tak brzmi mój głos, kiedy czytam na głos.",
    "pt": "Olá, é assim que soa a minha voz quando leio para si.",
    "ru": "Здравствуйте, так звучит мой голос, когда я читаю вслух.",
    "tr": "Merhaba, size okurken sesim böyle çıkıyor.",
    "zh": "你好，这就是我朗读时的声音。",
}
"""A sentence in each language that many voices speak."""


def sample_text(languages: Sequence[str]) -> str:
    """A sentence in the first of a voice's languages that there is one for, else in English."""
    return next((SAMPLES[language] for language in languages if language in SAMPLES), SAMPLES["en"])
