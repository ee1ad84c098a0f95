"""Both servers as Home Assistant finds them: what they are, a text that is spoken, and what is told of a bad one."""

import asyncio
import queue
import socket

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeVoice
from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

from home_assistant.assist import ask_info, connected, read_until, speak
from home_assistant.conftest import StartServer, WyomingServer
from running_server import free_port, wait_until

TEXT = "The lamp in the kitchen is on."


async def test_the_tts_server_has_its_voices_by_the_names_of_http(tts_server_wyoming: WyomingServer) -> None:
    (program,) = (await ask_info(tts_server_wyoming.port)).tts
    with tts_server_wyoming.http.http() as client:
        voices = client.get("/v1/audio/voices").json()["voices"]
    known = [voice["id"] for voice in voices if voice["kind"] != "alias" and voice["available"]]
    assert [voice.name for voice in program.voices] == known
    joe = next(voice for voice in program.voices if voice.name == "en_US-joe-medium")
    assert program.installed
    assert (joe.installed, joe.languages, joe.speakers) == (True, ["en-US"], None)


async def test_the_asr_server_has_its_models_and_their_languages(asr_server_wyoming: WyomingServer) -> None:
    (program,) = (await ask_info(asr_server_wyoming.port)).asr
    model = program.models[0]
    assert (program.installed, program.supports_transcript_streaming, program.requires_external_vad) == (True,) * 3
    assert (model.name, model.installed) == ("base", True)
    assert {"en", "de", "fr", "zh"} <= set(model.languages)


async def test_a_text_is_the_same_sound_as_over_http(tts_server_wyoming: WyomingServer) -> None:
    spoken = await speak(tts_server_wyoming.port, TEXT)
    assert spoken.types == ["audio-start", "audio-chunk", "audio-stop"]
    assert all((e.data["rate"], e.data["width"], e.data["channels"]) == (24_000, 2, 1) for e in spoken.events[:-1])
    with tts_server_wyoming.http.openai() as client:
        body = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm").content
    assert spoken.pcm == body
    assert spoken.events[-1].data["timestamp"] == len(body) // 48


@pytest.mark.parametrize(
    "voice",
    [
        SynthesizeVoice(name="en_US-joe-medium"),
        SynthesizeVoice(name="EN_us-JOE-medium", speaker="0"),
        SynthesizeVoice(language="en"),
        SynthesizeVoice(language="en-GB"),
    ],
)
async def test_a_voice_is_chosen(tts_server_wyoming: WyomingServer, voice: SynthesizeVoice) -> None:
    spoken = await speak(tts_server_wyoming.port, "Yes.", voice)
    assert spoken.types[-1] == "audio-stop", spoken.error


@pytest.mark.parametrize(
    ("data", "code", "named"),
    [
        ({"text": ""}, "nothing_to_speak", "nothing to speak"),
        ({"text": "Hello.", "voice": {"name": "nobody"}}, "unsupported_value", "en_US-joe-medium"),
        ({"text": "Hello.", "voice": {"name": "en_US-joe-medium", "speaker": "x"}}, "unsupported_value", "one speaker"),
        ({"text": "Hello.", "voice": {"language": "tlh"}}, "unsupported_value", "tlh"),
        ({"text": "Hello.", "text_format": "rtf"}, "unsupported_value", "ssml"),
        ({"text": 7}, "invalid_request_error", "text=7"),
        ({"text": "Hello.", "voice": "joe"}, "invalid_request_error", "voice"),
        ({"text": "a" * 200_001}, "string_above_max_length", "200000"),
    ],
)
async def test_a_bad_request_is_told_and_nobody_waits(
    tts_server_wyoming: WyomingServer, data: dict[str, object], code: str, named: str
) -> None:
    async with connected(tts_server_wyoming.port) as client:
        await client.write_event(Event("synthesize", data))
        answer = await read_until(client)
    assert answer.types == ["error"]
    assert answer.error.code == code
    assert named in answer.error.text


@pytest.mark.parametrize(
    ("events", "named"),
    [
        ([Transcribe(language="xx").event(), AudioStart(16_000, 2, 1).event()], "Unknown language"),
        ([Transcribe(name="no-such-model").event(), AudioStart(16_000, 2, 1).event()], "no-such-model"),
        ([Transcribe().event(), AudioStart(16_000, 4, 1).event()], "width=4"),
        ([AudioStart(44_100, 2, 2).event()], "channels=2"),
        ([AudioStart(1, 2, 1).event()], "rate=1"),
        ([Event("transcribe", {"language": 5})], "language=5"),
        ([Event("transcribe", {"transcript_names": "Bob"})], "transcript_names"),
    ],
)
async def test_sound_that_is_not_taken_is_told(
    asr_server_wyoming: WyomingServer, events: list[Event], named: str
) -> None:
    async with connected(asr_server_wyoming.port) as client:
        for event in events:
            await client.write_event(event)
        assert named in (await read_until(client)).error.text


async def test_the_server_is_described_while_it_works(fake_wyoming: WyomingServer) -> None:
    async with connected(fake_wyoming.port) as client:
        await client.write_event(Synthesize("One sleep=1 two.").event())
        await client.write_event(Describe().event())
        await client.write_event(Ping("are you there").event())
        other = await ask_info(fake_wyoming.port)
        answer = await read_until(client, "audio-stop")
    assert other.tts[0].voices
    assert answer.types == ["info", "pong", "audio-start", "audio-chunk", "audio-stop"]
    assert answer.events[1].data == {"text": "are you there"}


async def test_unknown_events_are_passed_over(fake_wyoming: WyomingServer) -> None:
    async with connected(fake_wyoming.port) as client:
        for event in (Event("dance", {"steps": 3}, b"x" * 5000), AudioStop().event(), Event("synthesize-sing")):
            await client.write_event(event)
        for text in ("One.", "Two words."):
            await client.write_event(Synthesize(text).event())
        first, second = [await read_until(client, "audio-stop") for _ in range(2)]
    assert first.types == second.types == ["audio-start", "audio-chunk", "audio-stop"]
    assert 0 < len(first.pcm) < len(second.pcm)


async def test_an_engine_that_fails_is_told(fake_wyoming: WyomingServer) -> None:
    answer = await speak(fake_wyoming.port, "This will fail now.")
    assert answer.types[-1] == "error"
    assert "told to fail" in answer.error.text


async def test_who_leaves_is_not_worked_for(fake_wyoming: WyomingServer) -> None:
    async with connected(fake_wyoming.port) as client:
        await client.write_event(Synthesize("A clause of some length, sleep=0.2, " * 50).event())
        await read_until(client, "audio-chunk")
    await asyncio.to_thread(wait_until, lambda: sum(fake_wyoming.http.count_jobs()) == 0, 5, "the job is gone")


async def test_requests_stand_in_log_and_metrics(fake_wyoming: WyomingServer) -> None:
    await speak(fake_wyoming.port, "Counted.")
    await speak(fake_wyoming.port, "Counted.", SynthesizeVoice(name="nobody"))
    with fake_wyoming.http.http() as client:
        metrics = client.get("/metrics").text
    count = 'voice_stack_http_requests_total{method="WYOMING",route="wyoming/synthesize",status='
    assert f'{count}"2xx"}}' in metrics
    assert f'{count}"4xx"}}' in metrics
    lines = [line for line in fake_wyoming.http.log.read_text().splitlines() if "method=WYOMING" in line]
    assert any("path=synthesize status=200" in line and "chars=8" in line and "request_id=" in line for line in lines)
    assert any("path=synthesize status=400" in line for line in lines)


async def test_an_error_has_a_code_that_programs_know(fake_wyoming: WyomingServer) -> None:
    answer = await speak(fake_wyoming.port, "Hello.", SynthesizeVoice(name="nobody"))
    assert answer.error == Error(answer.error.text, "unsupported_value")


@pytest.fixture
def address() -> str:
    """Where other machines reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


def test_a_server_is_found_in_the_network_until_it_stops(start_server: StartServer, address: str) -> None:
    seen, port, kind = queue.SimpleQueue[tuple[ServiceStateChange, str]](), free_port(), "_wyoming._tcp.local."
    settings = {"TTS_ENGINE": "fake", "TTS_MODEL": "fake", "TTS_HOST": address, "TTS_WYOMING_PORT": str(port)}

    def note(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if str(port) in name:
            seen.put((state_change, name))

    def listens() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex((address, port)) == 0

    with (
        Zeroconf(interfaces=[address]) as network,
        start_server("tts", is_ready=listens, **settings, PROJECT_NAME=f"No. {port}") as server,
    ):
        ServiceBrowser(network, kind, handlers=[note])
        change, name = seen.get(timeout=20)
        service = network.get_service_info(kind, name)
        assert service is not None
        assert (change, service.parsed_addresses(), service.port) == (ServiceStateChange.Added, [address], port)
        server.process.terminate()
        assert seen.get(timeout=20) == (ServiceStateChange.Removed, name)
