"""Background jobs from Python, against a real server with the fake engine."""

from collections.abc import Iterator

import pytest

from client.protocol_server import connected
from e2e.sound import tone
from running_server import RunningServer, wait_until
from voice_stack.client import BadRequestError, Job, JobFailedError, NotFoundError, VoiceStackClient

LONG = tone(40.0)


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, fake_asr: RunningServer) -> Iterator[VoiceStackClient]:
    with connected(request.param, fake_asr.url, fake_asr.url) as connected_client:
        yield connected_client


def test_job_is_watched_and_its_result_fetched(client: VoiceStackClient) -> None:
    # While an engine starts, the questions become rarer: it is there before the job is watched.
    client.jobs.wait(client.jobs.submit(tone(1.0), language="en").id)
    job = client.jobs.submit(LONG, prompt="sleep=0.1", language="en", word_timestamps=True)
    seen: list[Job] = []
    done = client.jobs.wait(job.id, seen.append)
    assert (done.status, done.percent, done.language) == ("completed", 100.0, "en")
    percents = [state.percent for state in seen if state.percent is not None]
    assert percents == sorted(percents)
    assert len(set(percents)) > 2
    assert any(state.eta_s for state in seen)
    transcript = client.jobs.result(job.id)
    assert transcript.duration_s == 40.0
    assert transcript.words
    assert client.jobs.result_as(job.id, "srt").startswith("1\n00:00:00,000")
    assert job.id in [found.id for found in client.jobs.list()]
    client.jobs.cancel(job.id)
    with pytest.raises(NotFoundError):
        client.jobs.get(job.id)


def test_translation_is_a_job_too(client: VoiceStackClient) -> None:
    job = client.jobs.submit(tone(2.0), translate=True)
    client.jobs.wait(job.id)
    assert '"task":"translate"' in client.jobs.result_as(job.id, "verbose_json")


def test_failed_job_says_why(client: VoiceStackClient) -> None:
    job = client.jobs.submit(tone(2.0), prompt="fail")
    with pytest.raises(JobFailedError, match="told to fail") as caught:
        client.jobs.wait(job.id)
    assert caught.value.job.status == "failed"


def test_cancelled_job_stops_the_engine(client: VoiceStackClient, fake_asr: RunningServer) -> None:
    job = client.jobs.submit(LONG, prompt="sleep=0.5", language="en")
    wait_until(lambda: client.jobs.get(job.id).status == "running", 20, "the job runs")
    client.jobs.cancel(job.id)
    assert client.jobs.get(job.id).status == "cancelled"
    with pytest.raises(JobFailedError, match="cancelled"):
        client.jobs.wait(job.id)
    wait_until(lambda: fake_asr.count_jobs() == (0, 0), 20, "the engine let go")


def test_webhook_that_is_not_allowed_is_a_bad_request(client: VoiceStackClient) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.jobs.submit(tone(1.0), webhook_url="http://127.0.0.1:9/")
    assert caught.value.param == "webhook_url"
