"""Text that nobody said: one table of rules, applied to the segments of a window.

People say some of it too, so a match alone is no reason to drop a text.

Gentle by design: except over digital silence, no text is dropped on one ground alone. What the model is sure of stays
where the voice detector hears nothing, and what the detector hears stays where the model is unsure.
"""

import logging
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from voice_stack.asr.listening.repetition import collapse_loops, is_doubtful, may_be_stuck
from voice_stack.asr.listening.results import MARGIN_S, Stretch, WindowSound, is_silence
from voice_stack.asr.listening.windows import Window
from voice_stack.asr.transcript import Segment, Word
from voice_stack.core.logging import log_event

SIGN_OFFS: dict[str, tuple[str, ...]] = {
    "ar": ("شكرا للمشاهدة", "اشتركوا في القناة", "لا تنسوا الاشتراك في القناة"),
    "cs": ("Děkuji za pozornost", "Děkujeme za sledování"),
    "da": ("Tak fordi du så med", "Tak for at I så med"),
    "de": ("Vielen Dank", "Vielen Dank fürs Zuschauen", "Danke fürs Zuschauen", "Bis zum nächsten Mal", "Tschüss"),
    "el": ("Ευχαριστώ για την παρακολούθηση", "Ευχαριστούμε που παρακολουθήσατε"),
    "en": (
        "You",
        "Thank you",
        "Thank you very much",
        "Thank you so much for watching",
        "Thank you for watching",
        "Thank you for listening",
        "Thanks for watching",
        "Thanks for watching and see you next time",
        "Please subscribe",
        "Please subscribe to my channel",
        "Please like and subscribe",
        "Don't forget to like and subscribe",
        "I'll see you next time",
        "I'll see you in the next video",
        "See you in the next video",
        "See you next time",
        "Bye",
        "Bye bye",
    ),
    "es": ("Gracias", "Gracias por ver el video", "Gracias por ver", "Suscríbete", "Suscríbete al canal"),
    "fa": ("ممنون از تماشای شما", "با تشکر از تماشای شما"),
    "fi": ("Kiitos kun katsoit", "Kiitos katsomisesta"),
    "fr": ("Merci", "Merci d'avoir regardé", "Merci d'avoir regardé cette vidéo", "Abonnez-vous", "À bientôt"),
    "he": ("תודה רבה", "תודה על הצפייה"),
    "hi": ("धन्यवाद", "देखने के लिए धन्यवाद"),
    "hu": ("Köszönöm a figyelmet", "Köszönöm, hogy megnézted", "Köszönjük a figyelmet"),
    "id": ("Terima kasih", "Terima kasih telah menonton", "Terima kasih sudah menonton"),
    "it": ("Grazie", "Grazie a tutti", "Grazie per la visione", "Grazie per aver guardato il video"),
    "ja": (
        "ご視聴ありがとうございました",
        "ご清聴ありがとうございました",
        "最後までご視聴いただきありがとうございました",
        "ありがとうございました",
        "チャンネル登録お願いします",
        "チャンネル登録をお願いいたします",
        "おやすみなさい",
    ),
    "ko": ("감사합니다", "시청해주셔서 감사합니다", "시청해 주셔서 고맙습니다", "구독과 좋아요 부탁드립니다"),
    "nl": ("Bedankt voor het kijken", "Dank u voor het kijken", "Tot de volgende keer"),
    "no": ("Takk for at du så på", "Takk for at dere så på", "Takk for meg"),
    "pl": ("Dziękuję", "Dziękuję za uwagę", "Dziękuję za oglądanie", "Dzięki za oglądanie"),
    "pt": ("Obrigado", "Obrigado por assistir", "Inscreva-se no canal", "Até a próxima"),
    "ro": ("Vă mulțumesc", "Vă mulțumim pentru vizionare", "Mulțumesc pentru vizionare"),
    "ru": ("Спасибо за просмотр", "Спасибо за внимание", "Продолжение следует", "Подписывайтесь на канал"),
    "sv": ("Tack för att ni tittade", "Tack för att du tittade", "Tack för mig"),
    "th": ("ขอบคุณที่รับชม", "ขอบคุณครับ"),
    "tr": ("Teşekkürler", "İzlediğiniz için teşekkür ederim", "İzlediğiniz için teşekkürler", "Abone olmayı unutmayın"),
    "uk": ("Дякую за перегляд", "Дякую за увагу"),
    "vi": ("Cảm ơn các bạn đã theo dõi", "Cảm ơn các bạn đã xem video", "Hẹn gặp lại các bạn"),
    "zh": ("谢谢观看", "謝謝觀看", "谢谢大家", "感谢观看", "下期再见", "请订阅我的频道"),
}
"""Whole texts of a segment, by language."""

CREDITS: dict[str, tuple[str, ...]] = {
    "ar": ("ترجمة نانسي قنقر",),
    "ca": ("Subtítols realitzats per la comunitat d'Amara.org",),
    "cs": ("Titulky vytvořil",),
    "da": ("Danske tekster af", "Undertekster af"),
    "de": (
        "Untertitel der Amara.org",
        "Untertitel im Auftrag des ZDF",
        "Untertitelung",
        "Untertitel von",
        "Copyright WDR",
    ),
    "el": ("Υπότιτλοι AUTHORWAVE",),
    "en": ("Subtitles by", "Subtitled by", "Captions by", "Captioned by", "Transcription by", "Transcribed by"),
    "es": ("Subtítulos realizados por", "Subtítulos por la comunidad de Amara.org"),
    "fi": ("Suomentanut", "Tekstitys"),
    "fr": ("Sous-titrage", "Sous-titres réalisés par", "Sous-titres par la communauté d'Amara.org"),
    "hr": ("Titlovi",),
    "hu": ("Feliratot készítette", "Az Amara.org közösség által készített feliratok"),
    "it": ("Sottotitoli creati dalla comunità Amara.org", "Sottotitoli e revisione a cura di", "Sottotitoli a cura di"),
    "ja": ("字幕作成者", "字幕視聴ありがとうございました"),
    "ko": ("한글자막", "자막 제공", "MBC 뉴스"),
    "nl": ("Ondertitels ingediend door", "Ondertiteld door", "Ondertiteling"),
    "no": ("Teksting av", "Tekstet av", "Undertekster av"),
    "pl": ("Napisy stworzone przez", "Napisy"),
    "pt": ("Legendas pela comunidade", "Legendado por", "Legenda por"),
    "ro": ("Subtitrarea", "Subtitrare"),
    "ru": ("Субтитры", "Редактор субтитров"),
    "sv": ("Undertexter från Amara.org", "Svensktextning.nu", "Översättning och undertextning"),
    "tr": ("Altyazı",),
    "uk": ("Субтитри",),
    "vi": ("Phụ đề bởi", "Hãy subscribe cho kênh"),
    "zh": ("字幕由", "字幕by", "字幕志愿者", "中文字幕", "请不吝点赞", "請不吝點贊"),
}
"""Beginnings of a segment that is somebody's credit, by language: what follows is a name or a year."""


def _letters(text: str) -> str:
    """What remains for comparison: no case, no spaces, no punctuation."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


_SIGN_OFFS = frozenset(_letters(text) for texts in SIGN_OFFS.values() for text in texts)
_CREDITS = tuple(_letters(text) for texts in CREDITS.values() for text in texts)


def is_boilerplate(text: str) -> bool:
    """Whether a segment's text is a sign-off or a credit, once or several times, in any language.

    The language of the transcription does not matter: over noise Whisper changes into another one.
    """
    letters = _letters(text)
    return letters.startswith(_CREDITS) or any(
        letters and letters == text * (len(letters) // len(text)) for text in _SIGN_OFFS
    )


logger = logging.getLogger(__name__)

BOILERPLATE_NO_SPEECH_PROB = 0.4
BOILERPLATE_LOGPROB = -0.8
"""Of a sign-off less doubt is enough than of other text."""
ABSURD_PROBABILITY = 0.15
ABSURD_WORD_S = (0.03, 3.0)
"""Nobody says a word in less time, and hardly one in more."""
ABSURD_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class _Rule:
    """Why a segment is dropped: the step it belongs to, the reason for the log, and the test."""

    step: str
    reason: str
    applies: Callable[[Segment, WindowSound], bool]


def suppress(segments: tuple[Segment, ...], window: Window, steps: frozenset[str]) -> tuple[Segment, ...]:
    """What is left of a window's segments, in the window's time; each removal is logged with its reason.

    Args:
        segments: As decoded from the window, in its time.
        window: Where they come from.
        steps: Names of the steps to take, from `suppression_steps.STEPS`.
    """
    sound, kept = WindowSound(window), list[Segment]()
    for segment in segments:
        rule = next((rule for rule in _RULES if rule.step in steps and rule.applies(segment, sound)), None)
        if rule is not None:
            _log(rule.reason, segment, window)
            continue
        drawn = draw_to_sound(segment, sound) if "silence" in steps else segment
        kept.append(_unloop(drawn, window) if "repetition" in steps else drawn)
    return tuple(kept)


def draw_to_sound(segment: Segment, sound: WindowSound) -> Segment:
    """The segment without the silence that its times and those of its words are stretched over."""
    span, audible = _span(segment), sound.audible
    nearest = max(audible, key=span.overlap_s, default=None)
    if nearest is None or nearest.overlap_s(span) < -MARGIN_S:
        return segment
    heard = [one for one in audible if one.overlap_s(span) > 0] or [nearest]
    limits = Stretch(heard[0].start_s, heard[-1].end_s)
    return replace(
        segment,
        start_s=limits.clamp(segment.start_s),
        end_s=limits.clamp(segment.end_s),
        words=tuple(_draw_word(word, heard) for word in segment.words),
    )


def _draw_word(word: Word, heard: Sequence[Stretch]) -> Word:
    """A word is said in one go: it belongs to the stretch of sound that it shares most with."""
    best = max(heard, key=Stretch(word.start_s, word.end_s).overlap_s)
    return replace(word, start_s=best.clamp(word.start_s), end_s=best.clamp(word.end_s))


def has_absurd_words(segment: Segment) -> bool:
    """Whether nearly all words are improbable or take an impossible time; False where words have no times."""
    shortest_s, longest_s = ABSURD_WORD_S
    absurd = [
        word.probability < ABSURD_PROBABILITY or not shortest_s <= word.end_s - word.start_s <= longest_s
        for word in segment.words
    ]
    return bool(absurd) and sum(absurd) >= ABSURD_SHARE * len(absurd)


def _is_in_silence(segment: Segment, sound: WindowSound) -> bool:
    """Text the model is sure of may have its times a little beside the speech."""
    span = _span(segment)
    return sound.is_silent(span) and (is_doubtful(segment) or not sound.has_speech(span))


def _is_idle_sign_off(segment: Segment, sound: WindowSound) -> bool:
    if not is_boilerplate(segment.text):
        return False
    is_doubted = segment.no_speech_prob > BOILERPLATE_NO_SPEECH_PROB or segment.avg_logprob < BOILERPLATE_LOGPROB
    return is_doubted or not sound.has_speech(_span(segment))


_RULES = (
    _Rule("silence", "digital silence", _is_in_silence),
    _Rule("no_speech", "the model hears no speech", lambda segment, _: is_silence(segment)),
    _Rule("no_speech", "no word in it", lambda segment, _: not any(map(str.isalnum, segment.text))),
    _Rule("boilerplate", "boilerplate without speech", _is_idle_sign_off),
    _Rule(
        "no_speech",
        "doubtful text, no speech detected",
        lambda segment, sound: may_be_stuck(segment) and not sound.has_speech(_span(segment)),
    ),
    _Rule(
        "words",
        "absurd words",
        lambda segment, sound: is_doubtful(segment) and has_absurd_words(draw_to_sound(segment, sound)),
    ),
)


def _span(segment: Segment) -> Stretch:
    return Stretch(segment.start_s, segment.end_s)


def _unloop(segment: Segment, window: Window) -> Segment:
    collapsed = collapse_loops(segment) if may_be_stuck(segment) else segment
    if collapsed is not segment:
        _log("a loop said once", segment, window)
    return collapsed


def _log(reason: str, segment: Segment, window: Window) -> None:
    log_event(
        logger,
        logging.INFO,
        "text dropped",
        reason=reason,
        start_s=round(window.to_file_s(segment.start_s), 2),
        end_s=round(window.to_file_s(segment.end_s, is_end=True), 2),
        text=segment.text,
        no_speech_prob=round(segment.no_speech_prob, 2),
        avg_logprob=round(segment.avg_logprob, 2),
        compression_ratio=round(segment.compression_ratio, 2),
    )
