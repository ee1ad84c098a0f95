"""Clips out of folders as people have them, their sound, and which are kept back."""

from pathlib import Path

import av
import numpy as np
import pytest

from finetune.recordings import RATE, json_lines, tones
from voice_stack.core.errors import InvalidRequestError
from voice_stack.finetune.clips import Clip, read_sounds, split_clips
from voice_stack.finetune.folders import read_clips

SRT = """\ufeff1
00:00:01,000 --> 00:00:02,500
<i>Where is the</i>
Zyrtolex?

2
00:00:03,000 --> 00:00:03,900
[Door slams]

3
00:00:04,000 --> 00:00:06,000
{\\an8}- MARY: In the drawer.
"""


def pitch(samples: np.ndarray) -> list[int]:
    """The tone of each whole second, in Hz."""
    seconds = samples[: samples.size // RATE * RATE].reshape(-1, RATE)
    return [int(np.abs(np.fft.rfft(second)).argmax()) for second in seconds]


def test_pairs_of_sound_and_text(tmp_path: Path) -> None:
    tones(tmp_path / "b.wav", 2)
    (tmp_path / "b.txt").write_text("  Two\n lines ")
    tones(tmp_path / "deeper" / "a[1].wav", 1)
    (tmp_path / "deeper" / "a[1].txt").write_text("A caf\u0065\u0301.")
    tones(tmp_path / "silent.wav", 1)
    tones(tmp_path / "latin.wav", 1)
    (tmp_path / "latin.txt").write_bytes("Café".encode("latin-1"))
    tones(tmp_path / ".hidden" / "c.wav", 1)
    found = read_clips(tmp_path)
    assert [(clip.path.name, clip.text) for clip in found.clips] == [("b.wav", "Two lines"), ("a[1].wav", "A café.")]
    assert {one.place: one.reason for one in found.left_out} == {
        "silent.wav": "no text beside it",
        "latin.wav": "its text cannot be read as UTF-8",
    }


def test_ljspeech_as_its_second_column_is_written(tmp_path: Path) -> None:
    tones(tmp_path / "wavs" / "LJ001-0001.wav", 1)
    (tmp_path / "metadata.csv").write_text(
        'LJ001-0001|He said "in 1455".|He said "in fourteen fifty-five".\nLJ001-0002|Not there.|Not there.\nLJ001\n'
    )
    found = read_clips(tmp_path)
    assert [(clip.path, clip.text) for clip in found.clips] == [
        (tmp_path / "wavs" / "LJ001-0001.wav", 'He said "in 1455".')
    ]
    assert [(one.place, one.reason[:12]) for one in found.left_out] == [
        ("metadata.csv:2", "no file 'LJ0"),
        ("metadata.csv:3", "one column o"),
    ]


@pytest.mark.parametrize(
    "table",
    [
        'file_name,transcription,speaker_id\na.wav,"Yes, please.",7\n',
        "audio_file|text|speaker_name\na.wav|Yes, please.|7\n",
        "client_id\tpath\tsentence\n7\ta.wav\tYes, please.\n",
    ],
    ids=["hugging-face", "coqui", "common-voice"],
)
def test_tables_that_name_their_columns(table: str, tmp_path: Path) -> None:
    tones(tmp_path / "clips" / "a.wav", 1)
    (tmp_path / "train.tsv").write_text(table)
    assert read_clips(tmp_path / "train.tsv").clips == [
        Clip(tmp_path / "clips" / "a.wav", 0.0, None, "Yes, please.", "7")
    ]


def test_json_lines_of_nemo(tmp_path: Path) -> None:
    film = tones(tmp_path / "sound" / "long.wav", 9)
    json_lines(
        tmp_path / "manifest.json",
        {"audio_filepath": "sound/long.wav", "offset": 2, "duration": 1.5, "text": "One", "speaker": "anna"},
        {"audio_filepath": str(film), "duration": 9.01, "text": "All of it"},
        {"audio_filepath": "sound/long.wav", "offset": 5, "duration": -1, "text": "Backwards"},
        {"audio_filepath": ["sound/long.wav"], "text": "A list"},
        '{"audio_filepath": "sound/long.wav", "te\n',
        "[" * 100_000 + "\n",
    )
    found = read_clips(tmp_path)
    assert found.clips == [Clip(film, 2.0, 3.5, "One", "anna"), Clip(film, 0.0, None, "All of it")]
    assert [one.place for one in found.left_out] == [f"manifest.json:{line}" for line in (3, 4, 5, 6)]


def test_subtitled_film_is_cut_by_cue(tmp_path: Path) -> None:
    sound = tones(tmp_path / "scratch" / "film.wav", 8)
    film = tmp_path / "films" / "The Film.mkv"
    film.parent.mkdir()
    with av.open(str(sound)) as source, av.open(str(film), "w") as target:
        stream = target.add_stream("libopus", rate=48_000)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    (tmp_path / "films" / "The Film.en.srt").write_text(SRT)
    clips = read_clips(tmp_path / "films").clips
    assert [(clip.start_s, clip.end_s, clip.text) for clip in clips] == [
        (1.0, 2.5, "Where is the Zyrtolex?"),
        (4.0, 6.0, "In the drawer."),
    ]
    sounds = [samples for _, samples in read_sounds(clips)]
    assert [samples.size for samples in sounds] == [24_000, 32_000]
    assert [pitch(samples) for samples in sounds] == [[300], [600, 700]]
    (tmp_path / "films" / "The Film.de.srt").write_text(SRT)
    with pytest.raises(InvalidRequestError, match=r"several subtitles, The Film.de.srt, The Film.en.srt"):
        read_clips(tmp_path / "films")


def test_webvtt_names_its_voices(tmp_path: Path) -> None:
    tones(tmp_path / "talk.wav", 3)
    (tmp_path / "talk.vtt").write_text(
        "WEBVTT\n\nNOTE a -- b\n\nintro\n00:00.500 --> 00:01.500 align:start\n<v Anna>Tea &amp; <b>cake</b></v>\n"
    )
    assert read_clips(tmp_path).clips == [Clip(tmp_path / "talk.wav", 0.5, 1.5, "Tea & cake", "Anna")]


def test_sounds_of_clips_that_overlap_or_go_too_far(tmp_path: Path) -> None:
    path = tones(tmp_path / "long.wav", 100)
    clips = [
        Clip(path, 0.0, None, "longer than can be heard at once"),
        Clip(path, 20.0, 50.0, "over it"),
        Clip(path, 97.0, 103.0, "beyond the end"),
        Clip(path, 200.0, 203.0, "behind the end"),
    ]
    heard = {clip.text: samples for clip, samples in read_sounds(reversed(clips))}
    assert {text: samples.size / RATE for text, samples in heard.items()} == {
        "longer than can be heard at once": 30.5,
        "over it": 30.0,
        "beyond the end": 3.0,
        "behind the end": 0.0,
    }
    assert pitch(heard["over it"])[0] == 2200


@pytest.mark.parametrize(
    ("content", "said"),
    [({}, "no clip in"), ({"a.wav": b"x"}, "a.wav: no text beside it"), ({"metadata.csv": b"\xff\xfe\x00"}, "UTF-8")],
)
def test_folder_without_a_clip_says_what_it_was_taken_for(content: dict[str, bytes], said: str, tmp_path: Path) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidRequestError, match=said):
        read_clips(tmp_path)


def clips_of(count: int) -> list[Clip]:
    return [Clip(Path(f"/data/{number}.wav"), 0.0, None, f"Text {number}") for number in range(count)]


def test_tenth_that_is_kept_back_stays_the_same() -> None:
    clips = clips_of(300)
    split = split_clips(clips)
    assert split.by == "file"
    assert 15 <= len(split.held_out) <= 45
    assert {*split.train} | {*split.held_out} == {*clips}
    moved = [Clip(Path("/elsewhere") / clip.path.name, 0.0, None, clip.text) for clip in clips[:200]]
    assert {clip.text for clip in split_clips(moved).held_out} == {clip.text for clip in split.held_out} & {
        clip.text for clip in moved
    }


def test_nobody_is_heard_on_both_sides() -> None:
    clips = [
        Clip(Path(f"/data/{speaker}-{number}.wav"), 0.0, None, "Text", f"speaker {speaker}")
        for speaker in range(20)
        for number in range(5)
    ]
    split = split_clips(clips)
    assert split.by == "speaker"
    assert split.held_out
    assert {clip.speaker for clip in split.held_out}.isdisjoint(clip.speaker for clip in split.train)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_few_clips_leave_one_to_measure_with(count: int) -> None:
    split = split_clips(clips_of(count))
    assert len(split.held_out) == min(count - 1, 1)
    assert len(split.train) == count - len(split.held_out)
