"""Pronunciation rules: the table, what it matches, and its file while a server runs."""

import logging
import os
import time
from pathlib import Path

import pytest

from voice_stack.core.errors import ConfigurationError
from voice_stack.utils.text.pronunciation import PronunciationFile, Pronunciations, parse_pronunciations, read_out

HEAD = "written,spoken,language,case\n"
TABLE = (
    HEAD
    + """# names of our house
Kubernetes,koo-ber-net-eez
C++,see plus plus
IT,I T,en
nginx,"engine, x"
New York,Big Apple,english
York,Jork
polish,POLISH,,exact
live,lyve,en,any
東京,とうきょう,ja
.NET,dot net
(sic),
"""
)


def say(text: str, language: str, table: str = TABLE) -> str:
    spans = parse_pronunciations(table, "words.csv").find(text, language)
    return read_out(text, spans, is_spaced=language != "ja").text


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        ("en", "Kubernetes, kubernetes and KUBERNETES.", "koo-ber-net-eez, koo-ber-net-eez and koo-ber-net-eez."),
        ("en", "Kubernetes2 and preKubernetes", "Kubernetes2 and preKubernetes"),
        ("en", "IT is it. It's IT.", "I T is it. It's I T."),
        ("de", "IT live in New York", "IT live in New Jork"),
        ("en-GB", "From New York to York", "From Big Apple to Jork"),
        ("en", "C++, C+ and C++17", "see plus plus, C+ and see plus plus 17"),
        ("en", "nginx on .NET (sic)!", "engine, x on dot net !"),
        ("en", "Polish polish", "Polish POLISH"),
        ("ja", "私は東京都に", "私はとうきょう都に"),
        ("", "Kubernetes live", "koo-ber-net-eez live"),
    ],
)
def test_whole_words_are_said_as_the_table_says(language: str, written: str, spoken: str) -> None:
    assert say(written, language) == spoken


def test_apostrophes_and_accents_match_however_they_are_typed() -> None:
    assert say("O'Neil's café", "en", HEAD + "O’Neil,oh neel\ncafe\u0301,kaf-fay\n") == "oh neel's kaf-fay"


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("word,sound\n", "line 1"),
        (HEAD + "a,b\n\n# c\nonly one column\n", "line 5"),
        (HEAD + "a,b,klingon\n", "line 2.*'klingon'"),
        (HEAD + "a,b,en,maybe\n", "line 2.*'maybe'"),
        (HEAD + "a,b,en,any,more\n", "line 2"),
        (HEAD + "a,b\n,b\n", "line 3"),
        (HEAD + 'a,b\nc,"d"e\n', "line 3"),
        (HEAD + 'a,b\nc,"d\n', "line 3"),
    ],
)
def test_damaged_table_is_refused_with_the_line(table: str, line: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"words\.csv, {line}"):
        parse_pronunciations(table, "words.csv")


@pytest.mark.parametrize("table", ["", "\n", "\ufeff" + HEAD, "# nothing yet\n", "written,spoken\n"])
def test_empty_table_has_no_rules(table: str) -> None:
    assert parse_pronunciations(table, "words.csv").rules == ()


def test_large_table_and_large_text_take_no_time() -> None:
    rules = Pronunciations(parse_pronunciations(HEAD + "".join(f"word{n},w{n}\n" for n in range(5000)), "t").rules)
    started = time.process_time()
    assert len(rules.find("word77 other " * 8000, "en")) == 8000
    assert time.process_time() - started < 2.0


def write(path: Path, text: str) -> None:
    """Replace the file as an editor does, with a time of its own however coarse the clock is."""
    stamp = path.stat().st_mtime_ns + 10**9 if path.exists() else None
    path.write_text(text, encoding="utf-8")
    if stamp:
        os.utime(path, ns=(stamp, stamp))


def spoken(file: PronunciationFile) -> list[str]:
    return [rule.spoken for rule in file.current().rules]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [str(vars(record)["fields"]["error"]) for record in caplog.records if record.levelno == logging.ERROR]
    caplog.clear()
    return found


def test_file_is_read_again_when_it_changes_and_damage_keeps_the_last_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "words.csv"
    write(path, HEAD + "a,one\n")
    file = PronunciationFile(path)
    assert spoken(file) == ["one"]
    write(path, HEAD + "a,two\n")
    assert spoken(file) == ["two"]
    write(path, HEAD + "a,three\nb\n")
    assert [spoken(file), spoken(file)] == [["two"], ["two"]]
    (error,) = errors(caplog)
    assert "line 3" in error
    path.write_bytes(b"\xff\xfe\x00")
    assert [spoken(file), spoken(file)] == [["two"], ["two"]]
    assert len(errors(caplog)) == 1
    path.unlink()
    assert [spoken(file), spoken(file)] == [["two"], ["two"]]
    assert len(errors(caplog)) == 1
    write(path, HEAD + "a,four\n")
    assert spoken(file) == ["four"]
    assert not errors(caplog)


def test_without_a_file_there_are_no_rules(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert spoken(PronunciationFile(None)) == []
    assert not errors(caplog)
    assert spoken(PronunciationFile(tmp_path / "none.csv")) == []
    assert "none.csv" in errors(caplog)[0]
