"""Names of files, hashtags and names of users."""

import re

from voice_stack.utils.text.spoken.grammar import Grammar
from voice_stack.utils.text.spoken.numbers import spell_whole

_ENDINGS = (
    "pdf|txt|md|csv|tsv|json|jsonl|ya?ml|toml|xml|html?|css|js|ts|py|sh|exe|zip|tar|gz|tgz|7z|rar|mp3|mp4|m4a|wav|flac|"
    "ogg|opus|mkv|avi|mov|webm|jpe?g|png|gif|svg|webp|docx?|xlsx?|pptx?|odt|log|ini|cfg|conf|sql|iso|apk|dll|srt|vtt|epub"
)
FILE = re.compile(rf"(?<![\w@./-])[\w-]{{1,100}}(?:\.[\w-]{{1,30}}){{0,3}}\.(?:{_ENDINGS})(?![\w@/-]|\.\w)")
TAG = re.compile(r"(?<![\w@#&/.])([@#])([^\W\d_]\w{0,99})(?![\w@])")
_WORD_IN_TAG = re.compile(r"_+|(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")


def read_tag(found: re.Match[str], grammar: Grammar) -> str:
    """Read a hashtag word by word (`#VoiceStack`), or a user's name (`@voice_stack`), that `TAG` found."""
    blank = " " if grammar.is_spaced else ""
    mark = grammar.signs["@"] if found[1] == "@" else grammar.signs.get("hashtag", "hashtag")
    name = _WORD_IN_TAG.sub(" ", found[2]).strip()
    return mark + blank + re.sub(r"\d+", lambda digits: spell_whole(digits[0], grammar), name)
