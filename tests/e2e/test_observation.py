"""What `/metrics`, `/v1/status` and `voice-stack status` tell of work that was done."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from e2e.sound import tone
from running_server import RunningServer, wait_until


def scrape(server: RunningServer) -> dict[str, float]:
    """Sums over all labels."""
    with server.http() as client:
        families = list(text_string_to_metric_families(client.get("/metrics").text))
    sums: dict[str, float] = {}
    for sample in (sample for family in families for sample in family.samples):
        sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def test_heard_audio_is_counted(fake_asr: RunningServer) -> None:
    before = scrape(fake_asr)
    with fake_asr.openai() as client:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", tone(5.0)), prompt="sleep=0.1")
    after = scrape(fake_asr)

    def more(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert more("voice_stack_audio_input_seconds_total") == pytest.approx(5.0)
    assert more("voice_stack_jobs_total") == more("voice_stack_queue_wait_seconds_count") == 1
    # Windows of 2 s: three or more units, each slept for 0.1 s; 5 s of audio.
    assert more("voice_stack_batch_units_sum") >= 3
    assert more("voice_stack_real_time_factor_ratio_sum") >= 0.2 / 5
    assert more("voice_stack_run_seconds_total") >= 0.2
    assert after["voice_stack_model_loads_total"] >= 1
    wait_until(lambda: scrape(fake_asr)["voice_stack_engine_memory_bytes"] > 1e6, 30, "the engine's memory is measured")
    assert after["voice_stack_open_connections"] >= 1

    name = "voice_stack_lane_busy_seconds_total"

    def busy_s() -> float:
        return scrape(fake_asr)[name] - before.get(name, 0.0)

    wait_until(lambda: busy_s() >= 0.3, 30, "the engine says how long its lanes were at work")


def test_spoken_text_and_the_cache_are_counted(fake_tts: RunningServer) -> None:
    before = scrape(fake_tts)
    text = "A sentence that only this test lets the server speak."
    with fake_tts.openai() as client:
        for _ in range(2):
            client.audio.speech.create(model="tts-1", voice="alloy", input=text)
    after = scrape(fake_tts)

    def more(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert more("voice_stack_input_characters_total") == len(text)
    # The fake engine takes 0.06 s for a character; pauses come on top.
    assert 0.06 * len(text) <= more("voice_stack_audio_output_seconds_total") < 0.06 * len(text) + 2
    assert more("voice_stack_cache_requests_total") == 2


def test_work_for_nobody_is_counted(fake_asr: RunningServer) -> None:
    before = scrape(fake_asr).get("voice_stack_cancelled_run_seconds_total", 0.0)
    with fake_asr.openai() as client:
        events = client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", tone(200.0)), prompt="sleep=0.2", stream=True
        )
        next(iter(events))
        wait_until(lambda: fake_asr.engines()[0]["lanes_busy"] == 1, 15, "a lane is at work")
        events.close()
    wait_until(lambda: fake_asr.count_jobs() == (0, 0), 30, "the rest is dropped")
    assert scrape(fake_asr)["voice_stack_cancelled_run_seconds_total"] >= before + 0.2
