"""Whether a voice can read what it is given, and what is said to whoever asks for what it cannot."""

from collections.abc import Callable, Collection

from voice_stack.core.errors import UnsupportedValueError
from voice_stack.tts.capabilities import CAPABILITIES
from voice_stack.tts.voices import Voice, VoiceLibrary
from voice_stack.utils.language import LANGUAGES, require_language
from voice_stack.utils.text import normalise
from voice_stack.utils.text.writing import find_unreadable_script, language_scripts, name_script

DetectLanguage = Callable[[str, Collection[str], float], str | None]
_MAX_NAMED = 10
_SURE = 0.9


def refuse_language(voice: Voice, language: str, library: VoiceLibrary) -> UnsupportedValueError:
    """The answer to a request for a language that the voice does not speak.

    Args:
        voice: Who was to speak.
        language: As the request names it.
        library: The voices there are.
    """
    offer = _offer({require_language(language).code}, voice, library)
    return UnsupportedValueError(
        f"language {language!r}: voice {voice.id!r} speaks {', '.join(voice.languages)}; {offer}",
        param="language",
    )


def require_readable(text: str, voice: Voice, library: VoiceLibrary, detect: DetectLanguage) -> None:
    """Refuse a text that is written in letters which no language of the voice has.

    A few foreign letters are no reason: names are read letter by letter. Neither is another language in Latin letters.
    Looks at every character, and may wait for the language model: not on the event loop.

    Args:
        text: As the client wrote it.
        voice: Who is to speak; one whose languages are not known may read anything.
        library: The voices there are.
        detect: Tells the language of a text among some, with a certainty.

    Raises:
        UnsupportedValueError: Most letters are of a script that the voice does not read.
    """
    if not voice.languages or text.isascii():
        return
    plain = normalise(text)
    script = find_unreadable_script(plain, voice.languages)
    if script is None:
        return
    candidates = {code for code in LANGUAGES if script in language_scripts(code)}
    found = detect(plain, candidates, _SURE)
    looks = f" and looks like {LANGUAGES[found].name.title()}" if found and len(candidates) > 1 else ""
    raise UnsupportedValueError(
        f"input={plain[:40]!r}: the text is in {name_script(script)} letters{looks}; voice {voice.id!r} speaks "
        f"{', '.join(voice.languages)}; {_offer({found} if found else candidates, voice, library)}",
        param="input",
    )


def _offer(codes: Collection[str], voice: Voice, library: VoiceLibrary) -> str:
    """Who speaks one of some languages: voices that are here, else engines."""
    there = (other for other in library.own_voices().values() if not other.unavailable)
    speakers = [other.id for other in there if not set(codes).isdisjoint(other.languages)]
    if speakers:
        more = ", ..." if len(speakers) > _MAX_NAMED else ""
        return f"voices that do: {', '.join(speakers[:_MAX_NAMED])}{more}"
    engines = [name for name, can in CAPABILITIES.items() if not can.languages.isdisjoint(codes)]
    extras = sorted({extra for code, extra in CAPABILITIES[voice.engine].missing_extras.items() if code in codes})
    install = "".join(f"; {voice.engine} does with pip install 'voice-stack[{extra}]'" for extra in extras)
    return f"engines that do: {', '.join([*engines, 'piper with a voice for it'])}{install}"
