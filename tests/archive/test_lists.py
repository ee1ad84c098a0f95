"""Lists of recordings: what each form says, and what becomes of one that is broken."""

import json
from pathlib import Path

import pytest

from archive.readers import Archive
from voice_stack.archive.sources import Source
from voice_stack.core.errors import ConfigurationError


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive(tmp_path)
    for name in ("a.mkv", "deep/b.ogg", "no suffix"):
        made.put(name, name)
    (tmp_path / "outside.wav").write_text("outside")
    return made


def _list(archive: Archive, name: str, content: str | bytes) -> str:
    path = archive.films / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_a_path_a_line(archive: Archive) -> None:
    outside = archive.films.parent / "outside.wav"
    lines = f"# films\n\na.mkv\n./deep/b.ogg\r\nno suffix\na.mkv\n../outside.wav\n{outside}\n"
    assert archive.run(source=_list(archive, "list.txt", lines)) == ["a.mkv", "deep/b.ogg", "no suffix", "outside"]
    texts = archive.texts()
    assert texts[:2] == ["a.en.srt", "deep/b.en.srt"]
    assert str(outside.with_suffix(".en.srt")).lstrip("/") in texts, "it stays below the folder for texts"


@pytest.mark.parametrize("name", ["list.jsonl", "list.csv", "list.tsv"])
def test_columns_say_the_language_and_the_name(archive: Archive, name: str) -> None:
    rows: list[dict[str, object]] = [
        {"audio_filepath": "a.mkv", "language": "German", "output": "1973/first reel", "duration": 3.5},
        {"audio_filepath": "deep/b.ogg", "language": "", "output": "../../b", "duration": None},
    ]
    if name.endswith("jsonl"):
        content = "".join(f"{json.dumps(row)}\n" for row in rows)
    else:
        comma = "\t" if name.endswith("tsv") else ","
        content = "\ufeff" + comma.join(rows[0]) + "\n"
        content += "".join(comma.join(f'"{value or ""}"' for value in row.values()) + "\n" for row in rows)
    archive.run(source=_list(archive, name, content))
    assert archive.texts() == ["1973/first reel.de.srt", "_/_/b.en.srt"]


def test_what_a_list_names_and_is_not_there_is_told_and_the_rest_is_done(archive: Archive) -> None:
    source = Source(_list(archive, "list.txt", "gone.wav\na.mkv\n"))
    assert [item.key for item in source.items()] == ["a.mkv"]
    assert source.problems == [f"{archive.films / 'gone.wav'}: No such file or directory"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("list.txt", b"\xff\xfe\x00", "it is not UTF-8"),
        ("list.jsonl", '{"path": "a.mkv"}\n{"path": \n{"paht": "b"}\n["a.mkv"]\n', "line 2: no JSON"),
        ("list.jsonl", '{"path": "a.mkv"}\n{"paht": "b"}\n', "line 2: no 'path'"),
        ("list.jsonl", '{"path": 7}\n', "line 1: no 'path' that is a text, but 7"),
        ("list.jsonl", '{"path": "a.mkv", "language": "klingon"}\n', "klingon"),
        ("list.csv", "name,length\na.mkv,3\n", "no column 'path' in its first line, but 'name', 'length'"),
        ("list.csv", 'path\n"a.mkv\n', "line"),
        ("gone.txt", None, "No such file"),
        ("reel.mkv", "", "`voice-stack transcribe` is for single ones"),
    ],
)
def test_a_broken_list_begins_nothing(archive: Archive, name: str, content: str | bytes | None, told: str) -> None:
    source = str(archive.films / name) if content is None else _list(archive, name, content)
    with pytest.raises(ConfigurationError) as caught:
        archive.run(source=source)
    assert told in caught.value.message
    assert archive.reader.heard == []
