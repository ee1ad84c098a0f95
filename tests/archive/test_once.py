"""What is done is done once: a further run does what is new or changed, and nothing else."""

import os
from pathlib import Path

import pytest

from archive.readers import Archive
from voice_stack.archive.manifest import Manifest, Shard
from voice_stack.core.errors import ConfigurationError


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def test_a_second_run_does_what_is_new_or_changed(archive: Archive) -> None:
    archive.put("season 1/a.mkv", "one")
    archive.put("season 1/b.mkv", "two")
    archive.put("notes.txt", "no film")
    archive.put(".trash/c.mkv", "thrown away")
    assert archive.run("srt", "json") == ["one", "two"]
    assert archive.texts() == [f"season 1/{name}.en.{kind}" for name in "ab" for kind in ("json", "srt")]
    assert archive.run("srt", "json") == []
    archive.put("season 1/b.mkv", "de:zwei")
    archive.put("c.mkv", "three")
    assert archive.run("srt", "json") == ["de:zwei", "three"]
    assert "season 1/b.de.srt" in archive.texts()
    assert "season 1/b.en.srt" not in archive.texts(), "what it said before is gone with its language"
    assert "zwei" in (archive.out / "season 1/b.de.srt").read_text()


def test_what_was_only_touched_moved_or_copied_is_not_heard_again(archive: Archive) -> None:
    film = archive.put("a.mkv", "one")
    archive.run()
    os.utime(film, (1, 1))
    assert archive.run() == []
    film.rename(film.with_name("new name.mkv"))
    archive.put("copies/b.mkv", "one")
    assert archive.run() == []
    assert archive.texts() == ["a.en.srt", "copies/b.en.srt", "new name.en.srt"]
    assert "one" in (archive.out / "copies/b.en.srt").read_text()
    # The name goes to another film: what it once was called by tells nothing any more.
    archive.put("a.mp3", "four")
    assert archive.run() == ["four"]
    archive.put("another copy.mkv", "one")
    archive.run()
    assert "one" in (archive.out / "another copy.en.srt").read_text()


def test_what_changes_itself_lends_its_texts_to_nobody(archive: Archive) -> None:
    archive.put("a.mkv", "one")
    archive.run()
    archive.put("a.mkv", "two")
    archive.put("copy.mkv", "one")
    assert archive.run() == ["one", "two"]


def test_other_wishes_and_lost_texts_are_done_anew(archive: Archive) -> None:
    for name in "ab":
        archive.put(f"{name}.mkv", name)
    archive.run("srt")
    (archive.out / "a.en.srt").unlink()
    assert archive.run("srt") == ["a"]
    assert archive.run("vtt") == ["a", "b"]
    assert archive.texts() == ["a.en.vtt", "b.en.vtt"]
    assert archive.run("vtt", again=True) == ["a", "b"]


def test_what_is_refused_waits_for_another_file_and_what_failed_does_not(archive: Archive) -> None:
    archive.put("bad.mkv", "bad")
    archive.put("broken.mkv", "broken")
    assert archive.run() == ["bad", "broken"]
    assert (archive["bad.mkv"].state, archive["bad.mkv"].reason) == ("refused", "there is no sound in it")
    assert (archive["broken.mkv"].state, archive["broken.mkv"].reason) == ("failed", "the engine broke")
    assert archive.run() == ["broken"]
    assert archive.run(retry=True) == ["bad", "broken"]
    archive.put("bad.mkv", "good")
    assert archive.run() == ["broken", "good"]


def test_recordings_that_differ_in_their_suffix_alone_keep_it(archive: Archive) -> None:
    archive.put("a.wav", "one")
    archive.run()
    archive.put("A.mp3", "two")
    archive.run()
    assert archive.texts() == ["A.mp3.en.srt", "a.wav.en.srt"]


def test_shards_are_all_of_it_and_nothing_twice(archive: Archive) -> None:
    for number in range(40):
        archive.put(f"{number}.mkv", str(number))
    archive.put("7.mp3", "seven")
    heard = list[str]()
    for index in range(3):
        archive.state = archive.out.with_name(f"state-{index}.sqlite")
        part = archive.run(shard=Shard(index, 3))
        assert 0 < len(part) < 41
        heard += part
    assert sorted(heard) == sorted([*map(str, range(40)), "seven"])
    assert {"7.mp3.en.srt", "7.mkv.en.srt"} < set(archive.texts())


def test_a_damaged_state_is_put_aside_and_one_in_use_is_left_alone(archive: Archive) -> None:
    archive.put("a.mkv", "one")
    archive.run()
    with Manifest(archive.state), pytest.raises(ConfigurationError, match="Another run works with"):
        archive.run()
    archive.state.write_bytes(b"no database" * 1000)
    assert archive.run() == ["one"]
    assert archive.state.with_name("state.sqlite.unreadable").exists()
