"""What Whisper writes where nobody speaks: sign-offs and credits that its training subtitles ended with.

People say some of it too, so a match alone is no reason to drop a text.
"""

import unicodedata

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
