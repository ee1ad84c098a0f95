"""Subtitles in another language, as clients get them: every format, streams, jobs, Bazarr's route, the command line."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner
from fastapi.responses import JSONResponse

from chat.scripted_model import ScriptedModel, Step, run_scripted_model
from e2e.sound import tone
from running_server import RunningServer, wait_until
from voice_stack.cli.transcribe import transcribe
from voice_stack.client import JobFailedError, VoiceStackClient

StartServer = Callable[..., AbstractContextManager[RunningServer]]
FAKE = {"ASR_ENGINE": "fake", "ASR_MODEL": "fake", "ASR_WINDOW_S": "2", "ASR_VAD_ENABLED": "false"}
FILM_S = 4.8
"""Three windows."""


def german(body: Mapping[str, object]) -> list[Step]:
    """Each line `window 1.6 s.` as `Fenster 1.6 s.`"""
    messages = body["messages"]
    assert isinstance(messages, list)
    lines = re.findall(r"^(\[\d+\]) \{\d+\} (.*)$", messages[-1]["content"], re.MULTILINE)
    return ["\n".join(f"{number} {text.replace('window', 'Fenster')}" for number, text in lines)]


@pytest.fixture(scope="module")
def shared_model() -> Iterator[ScriptedModel]:
    with run_scripted_model() as model:
        yield model


@pytest.fixture
def model(shared_model: ScriptedModel) -> ScriptedModel:
    shared_model.replies.clear()
    shared_model.requests.clear()
    shared_model.answer_by, shared_model.cut = german, 0
    return shared_model


@pytest.fixture(scope="module")
def server(start_server: StartServer, shared_model: ScriptedModel) -> Iterator[RunningServer]:
    with start_server("asr", ASR_LLM_URL=shared_model.url, ASR_LLM_KEY="sk-subtitles", **FAKE) as server:
        yield server


def ask(server: RunningServer, route: str = "translations", length_s: float = FILM_S, **fields: str) -> httpx2.Response:
    with server.http() as client:
        sent = {"model": "whisper-1", "target_language": "de", **fields}
        return client.post(f"/v1/audio/{route}", data=sent, files={"file": ("film.wav", tone(length_s))})


def cues(srt: str) -> list[list[str]]:
    return [block.split("\n")[1:] for block in srt.strip().split("\n\n")]


def test_every_format_has_the_cues_of_the_original(model: ScriptedModel, server: RunningServer) -> None:
    with server.http() as client:
        source = client.post(
            "/v1/audio/transcriptions",
            data={"model": "whisper-1", "response_format": "srt"},
            files={"file": ("film.wav", tone(FILM_S))},
        )
    before = cues(source.text)
    assert len(before) == 3
    translated = ask(server, response_format="srt")
    assert translated.status_code == 200, translated.text
    assert cues(translated.text) == [[times, text.replace("window", "Fenster")] for times, text in before]
    both = ask(server, response_format="srt", original="true")
    assert cues(both.text) == [[times, text.replace("window", "Fenster"), text] for times, text in before]
    assert ask(server, response_format="vtt").text.count(" --> ") == 3
    assert ask(server, response_format="text").text == "Fenster 1.6 s. Fenster 1.6 s. Fenster 1.6 s.\n"
    assert ask(server, "transcriptions").json() == {"text": "Fenster 1.6 s. Fenster 1.6 s. Fenster 1.6 s."}
    verbose = ask(server, response_format="verbose_json", original="true").json()
    assert (verbose["task"], verbose["language"], verbose["languages"]) == ("translate", "german", [{"code": "en"}])
    assert verbose["original"] == "window 1.6 s. window 1.6 s. window 1.6 s."
    assert [(part["text"], part["original"]) for part in verbose["segments"]] == [
        (" Fenster 1.6 s.", " window 1.6 s.")
    ] * 3
    known = ask(server, "transcriptions/verbose").json()
    assert (known["language_code"], known["original"]) == ("de", verbose["original"])
    assert known["segments"][0]["original"] == " window 1.6 s."
    rows = ask(server, response_format="tsv", original="true").text.splitlines()
    assert rows[0] == "start\tend\ttext\toriginal"
    assert rows[1].endswith("\tFenster 1.6 s.\twindow 1.6 s.")
    lines = ask(server, response_format="jsonl").text.splitlines()
    assert [json.loads(line)["text"] for line in lines] == [" Fenster 1.6 s."] * 3
    lrc = ask(server, response_format="lrc", original="true").text.splitlines()
    assert lrc[:2] == ["[00:00.00]Fenster 1.6 s.", "[00:00.00]window 1.6 s."]


def test_a_stream_has_each_cue_as_soon_as_it_is_translated(model: ScriptedModel, server: RunningServer) -> None:
    may_go_on = threading.Event()
    first = "\n".join(f"[{n}] Fenster {n}" for n in range(1, 11))
    model.replies.extend([[first], [may_go_on, *(f"[{n}] Fenster {n}\n" for n in range(11, 16))]])
    sent = {"model": "whisper-1", "target_language": "de", "stream": "true", "original": "true"}
    events = list[dict[str, object]]()
    with (
        server.http() as client,
        client.stream("POST", "/v1/audio/translations", data=sent, files={"file": ("film.wav", tone(24.0))}) as answer,
    ):
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                events.append(json.loads(line.removeprefix("data: ")))
                if len(events) == 10:
                    may_go_on.set()
    *deltas, done = events
    assert [event["delta"] for event in deltas] == ["Fenster 1", *(f" Fenster {n}" for n in range(2, 16))]
    assert done["text"] == "".join(str(event["delta"]) for event in deltas)
    assert str(done["original"]).count("window") == 15


def test_what_stays_untranslated_is_said(model: ScriptedModel, server: RunningServer) -> None:
    def refuse_second(body: Mapping[str, object]) -> list[Step]:
        (answer,) = german(body)
        return [re.sub(r"(?m)^\[2\].*\n?", "", str(answer))]

    model.answer_by = refuse_second
    answer = ask(server, response_format="text")
    assert answer.text == "Fenster 1.6 s. window 1.6 s. Fenster 1.6 s.\n"
    assert answer.headers["x-fallback"] == "translation"
    assert answer.headers["x-warnings"] == "cues not translated, for the language model gave no line: 2"
    job = VoiceStackClient(server.url).jobs.submit(tone(FILM_S), target_language="de")
    done = VoiceStackClient(server.url).jobs.wait(job.id)
    assert done.warnings == ("cues not translated, for the language model gave no line: 2",)


def test_a_model_that_fails_is_an_error_without_its_key(model: ScriptedModel, server: RunningServer) -> None:
    model.answer_by = lambda _body: JSONResponse({"error": {"message": "bad key sk-sub..."}}, 401)
    answer = ask(server)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert "ASR_LLM_KEY" in answer.text
    assert "sk-subtitles" not in answer.text + server.log.read_text()


def test_a_job_counts_its_translation_and_keeps_the_transcript_where_that_fails(
    model: ScriptedModel, server: RunningServer
) -> None:
    held = threading.Event()
    model.replies.append([held, *german({"messages": [{"content": "[1] {1} window\n[2] {1} window\n[3] {1} window"}]})])
    with VoiceStackClient(server.url) as client, server.http() as http:
        job = client.jobs.submit(tone(FILM_S), translate=True, target_language="de", original=True)
        wait_until(lambda: len(model.requests) == 1, 30, "the model is asked")
        assert 50 <= (client.jobs.get(job.id).percent or 0) < 100
        held.set()
        assert client.jobs.wait(job.id).language == "en"
        assert client.jobs.result(job.id).original == "window 1.6 s. window 1.6 s. window 1.6 s."
        assert client.jobs.result_as(job.id, "text").startswith("Fenster Fenster Fenster\n\nwindow")
        model.answer_by = lambda _body: JSONResponse({"error": {"message": "no memory"}}, 400)
        job = client.jobs.submit(tone(FILM_S), target_language="de")
        with pytest.raises(JobFailedError, match=r"ASR_LLM_URL.*no memory"):
            client.jobs.wait(job.id)
        failed = http.get(f"/v1/jobs/{job.id}").json()
        assert (failed["status"], failed["target_language"]) == ("failed", "de")
        kept = http.get(failed["source_url"], params={"translated": "false", "response_format": "text"})
        assert kept.text == "window 1.6 s. window 1.6 s. window 1.6 s.\n"
        assert http.get(f"/v1/jobs/{job.id}/result").status_code == 409


@pytest.mark.parametrize("is_job", [True, False])
def test_a_cancelled_translation_closes_the_models_stream(
    model: ScriptedModel, server: RunningServer, is_job: bool
) -> None:
    model.replies.append(["[1] Fen", *([0.05, "ster "] * 1000)])
    answers = list[httpx2.Response]()
    waiting = threading.Thread(target=lambda: answers.append(ask(server)))
    with server.http() as client:
        if is_job:
            job_id = VoiceStackClient(server.url).jobs.submit(tone(FILM_S), target_language="de").id
        else:
            waiting.start()
        wait_until(lambda: len(model.requests) == 1, 30, "the model is asked")
        shown = next(job for job in client.get("/v1/jobs").json()["data"] if job["status"] == "running")
        assert (shown["task"], shown["background"]) == ("translate", is_job)
        assert client.delete(f"/v1/jobs/{job_id if is_job else shown['id']}").json()["status"] == "cancelled"
    wait_until(lambda: model.cut == 1, 30, "the stream is closed")
    if not is_job:
        waiting.join(30)
        assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (409, "job_cancelled")


def test_bazarrs_route_takes_a_target(model: ScriptedModel, server: RunningServer) -> None:
    with server.http() as client:
        for task in ("transcribe", "translate"):
            query = {"task": task, "language": "en", "output": "srt", "target_language": "de", "original": "true"}
            answer = client.post("/asr", params=query, files={"audio_file": ("film", tone(FILM_S))})
            assert [text for _, *text in cues(answer.text)] == [["Fenster 1.6 s.", "window 1.6 s."]] * 3
        assert len(model.requests) == 1, "the same film twice is translated once"


def test_the_command_writes_the_film_of_the_language(
    model: ScriptedModel, server: RunningServer, tmp_path: Path
) -> None:
    film = tmp_path / "film.wav"
    film.write_bytes(tone(FILM_S))
    arguments = [str(film), "--to", "pt-BR", "--original", "--url", server.url]
    result = CliRunner().invoke(transcribe, arguments)
    assert result.exit_code == 0, result.output
    assert [text for _, *text in cues((tmp_path / "film.pt-BR.srt").read_text())] == [
        ["Fenster 1.6 s.", "window 1.6 s."]
    ] * 3
    system = json.dumps(model.requests[0])
    assert "into Portuguese (pt-BR)" in system


def test_without_a_model_a_target_is_refused_with_the_setting(fake_asr: RunningServer, server: RunningServer) -> None:
    answer = ask(fake_asr)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "target_language")
    assert "ASR_LLM_URL is empty" in answer.text
    with fake_asr.http() as client, server.http() as other:
        query = {"task": "translate", "target_language": "de"}
        film = client.post("/asr", params=query, files={"audio_file": ("film", tone(2.0))})
        assert (film.status_code, "ASR_LLM_URL" in film.text) == (400, True)
        assert (client.get("/status").json()["llm"], bool(other.get("/status").json()["llm"])) == (None, True)
    # English from speech is the ASR model's own work.
    assert ask(fake_asr, target_language="en").json()["text"].startswith("translated")


WRONG = {
    "target_language": {"target_language": "klingon"},
    "original": {"target_language": "", "original": "true"},
    "timestamp_granularities": {"timestamp_granularities[]": "word", "response_format": "verbose_json"},
    "include": {"include[]": "logprobs"},
}


@pytest.mark.parametrize("param", WRONG)
def test_what_cannot_be_is_refused(server: RunningServer, param: str) -> None:
    route = "transcriptions" if param == "original" else "translations"
    answer = ask(server, route, **WRONG[param])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
