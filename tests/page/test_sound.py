"""The microphone at the rate of the server, and pieces of speech that are heard as one sound."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from running_server import RunningServer

Open = Callable[..., Page]
LOW_HZ, HIGH_HZ, FILE_HZ = 1000, 11000, 48000
RECORD = """async (rateHz) => {
  const { openMicrophone } = await import("/page/sound.js");
  const heard = [];
  const microphone = await openMicrophone((pcm) => heard.push(...pcm), rateHz, { clean: false });
  while (heard.length < 1.5 * rateHz) await new Promise((resolve) => setTimeout(resolve, 20));
  microphone.stop();
  const tracks = microphone.stream.getTracks().map((track) => track.readyState);
  const end = heard.length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return [heard, tracks, heard.length - end];
}"""
PLAY = """async ([samples, pieceBytes, stopAfterMs]) => {
  const { Player } = await import("/page/sound.js");
  const player = new Player(24000);
  const context = player.output.context;
  await context.audioWorklet.addModule("/page/worklet.js");
  const recorder = new AudioWorkletNode(context, "recorder", { processorOptions: { rateHz: 24000 } });
  const heard = [];
  recorder.port.onmessage = ({ data }) => heard.push(...data);
  player.output.connect(recorder).connect(context.destination);
  await player.unlock();
  const bytes = new Uint8Array(Int16Array.from(samples).buffer);
  const ended = new Promise((resolve) => { player.onEnd = resolve; });
  for (let at = 0; at < bytes.length; at += pieceBytes) player.play(bytes.slice(at, at + pieceBytes));
  const playedMs = () => stopAfterMs && player.playedMs < stopAfterMs;
  while (playedMs()) await new Promise((resolve) => setTimeout(resolve, 10));
  const told = stopAfterMs ? player.stop() : (await ended, player.playedMs);
  await new Promise((resolve) => setTimeout(resolve, 300));
  return [heard, told, player.isPlaying];
}"""


def _tone(frequency_hz: float, rate_hz: int, length_s: float) -> NDArray[np.float64]:
    return 0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(round(length_s * rate_hz)) / rate_hz)


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tones") / "tones.wav"
    tones = _tone(LOW_HZ, FILE_HZ, 20) + _tone(HIGH_HZ, FILE_HZ, 20)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(FILE_HZ)
        file.writeframes((tones * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("rate_hz", [16000, 24000])
def test_the_microphone_is_heard_at_the_rate_asked_for(visit: Open, fake_asr: RunningServer, rate_hz: int) -> None:
    page = visit(f"{fake_asr.url}/try")
    heard, tracks, later = page.evaluate(RECORD, rate_hz)
    assert (tracks, later) == (["ended"], 0)
    steady = np.array(heard[rate_hz // 2 :][:rate_hz]) / 32768
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady)))) / len(steady) * 4  # of a sine: its height
    assert spectrum[LOW_HZ - 3 : LOW_HZ + 4].max() == pytest.approx(0.3, rel=0.1)
    if rate_hz == 24000:
        assert spectrum[HIGH_HZ - 3 : HIGH_HZ + 4].max() > 0.1
    else:  # it lies above half the rate: it must not come back as another tone
        assert np.delete(spectrum, slice(LOW_HZ - 50, LOW_HZ + 50)).max() < 0.01


def test_pieces_of_any_length_are_one_sound(visit: Open, fake_asr: RunningServer) -> None:
    page = visit(f"{fake_asr.url}/try")
    sent = (_tone(440, 24000, 1.2) * 32767).astype(int)
    heard, played_ms, is_playing = page.evaluate(PLAY, [sent.tolist(), 1001, 0])
    sound = np.array(heard)
    begin = int(np.argmax(np.abs(sound) > 0)) - 1  # the first sample of a sine is 0
    assert np.abs(sound[begin : begin + len(sent)] - sent).max() <= 2
    assert (played_ms, is_playing) == (1200, False)


def test_a_stop_is_silence_and_tells_what_was_heard(visit: Open, fake_asr: RunningServer) -> None:
    page = visit(f"{fake_asr.url}/try")
    sent = (_tone(440, 24000, 20) * 32767).astype(int)
    heard, played_ms, is_playing = page.evaluate(PLAY, [sent.tolist(), 48000, 300])
    heard_ms = len(heard) / 24  # nothing comes to the recorder from then on
    assert 300 <= played_ms < 10_000
    assert heard_ms == pytest.approx(played_ms, abs=1500)
    assert not is_playing
