"""People's voices, in whatever languages there are: the folder that `VOICE_STACK_SPEECH_DIR` names.

It holds WAV files and, beside each, its text in a `.txt` file. The language stands at the end of a name, as `_de` or
`_french`; names without one are English.
"""

import io
import os
import wave
from pathlib import Path

import jiwer
import pytest
from whisper_normalizer.basic import BasicTextNormalizer

from running_server import RunningServer
from voice_stack.utils.language import LANGUAGES, find_language

SPEECH_DIR = os.environ.get("VOICE_STACK_SPEECH_DIR")
FILES = sorted(wav for wav in Path(SPEECH_DIR).glob("*.wav") if wav.with_suffix(".txt").is_file()) if SPEECH_DIR else []
normalize = BasicTextNormalizer()


def language_of(wav: Path) -> str:
    named = find_language(wav.stem.rpartition("_")[2])
    return named.code if named else "en"


@pytest.mark.parametrize("wav", FILES, ids=lambda wav: wav.stem)
def test_language_is_found_and_words_are_heard(asr_server: RunningServer, wav: Path) -> None:
    with asr_server.openai() as client, wav.open("rb") as file:
        heard = client.audio.transcriptions.create(model="whisper-1", file=file, response_format="verbose_json")
    assert heard.language == LANGUAGES[language_of(wav)].name
    said = normalize(wav.with_suffix(".txt").read_text("utf-8"))
    # The smallest multilingual model but one errs in a word or two of a short sentence.
    assert jiwer.wer(said, normalize(heard.text)) <= 0.25


CUTS = [("librivox-0870", 3.0), ("librivox-0870", 6.5), ("librivox-0880", 2.25), ("librivox-0890", 3.0)]


@pytest.mark.parametrize(("name", "end_s"), [cut for cut in CUTS if cut[0] in {wav.stem for wav in FILES}])
def test_a_sentence_that_is_cut_off_is_not_finished(asr_server: RunningServer, name: str, end_s: float) -> None:
    path, memory = next(wav for wav in FILES if wav.stem == name), io.BytesIO()
    with wave.open(str(path)) as whole, wave.open(memory, "wb") as cut:
        cut.setparams(whole.getparams())
        cut.writeframes(whole.readframes(round(end_s * whole.getframerate())))
    with asr_server.openai() as client:
        upload = ("cut.wav", memory.getvalue())
        heard = client.audio.transcriptions.create(model="whisper-1", file=upload, language="en").text.split()
    complete = heard[:-1] if heard[-1].endswith(("-", "—", "…", "...")) else heard
    said = {"mr", *normalize(path.with_suffix(".txt").read_text("utf-8")).split()}
    assert set(normalize(" ".join(complete)).split()) <= said


@pytest.mark.parametrize("wav", FILES, ids=lambda wav: wav.stem)
def test_streamed_words_are_the_same(asr_server: RunningServer, wav: Path) -> None:
    options = {"model": "whisper-1", "language": language_of(wav)}
    with asr_server.openai() as client:
        whole = client.audio.transcriptions.create(**options, file=wav.open("rb")).text  # type: ignore[call-overload]
        events = client.audio.transcriptions.create(**options, file=wav.open("rb"), stream=True)  # type: ignore[call-overload]
        assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == whole
