"""Which files to transcribe, and where their texts go."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from voice_stack.utils.language import LANGUAGES

_VIDEO = ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .ts .webm .wmv"
_AUDIO = ".aac .aif .aiff .amr .flac .m4a .m4b .mka .mp2 .mp3 .mpga .oga .ogg .opus .wav .wma"
MEDIA_SUFFIXES = frozenset([*_VIDEO.split(), *_AUDIO.split()])
"""What is taken out of a folder; a file that is named is taken whatever its suffix."""

_SUFFIX_OF_FORMAT = {"text": "txt", "verbose_json": "json"}


def find_files(arguments: Iterable[str]) -> Iterator[Path]:
    """The files that arguments mean: files, folders (all media files below them), patterns.

    A name that means nothing comes back as it is, so that opening it says what is wrong.
    """
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            yield from _media_below(path)
        elif not path.exists() and (matches := sorted(glob.glob(argument, recursive=True))):  # noqa: PTH207 - absolute
            yield from (Path(match) for match in matches if Path(match).is_file())
        else:
            yield path


def _media_below(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


def output_path(source: Path, text_format: str, language: str, folder: Path | None) -> Path:
    """`film.mkv` -> `film.en.srt`, the name that players and Bazarr look for, beside the film or in `folder`."""
    suffix = _SUFFIX_OF_FORMAT.get(text_format, text_format)
    return (folder or source.parent) / f"{source.stem}.{language}.{suffix}"


def existing_output(source: Path, text_format: str, language: str | None, folder: Path | None) -> Path | None:
    """A text that is there already; in any language, if that is to be found from the audio."""
    codes = LANGUAGES if language is None else (language,)
    paths = (output_path(source, text_format, code, folder) for code in codes)
    return next((path for path in paths if path.exists()), None)
