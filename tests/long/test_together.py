"""Requests that are decoded together get what they get alone."""

import asyncio
from collections.abc import Callable

from running_server import RunningServer

SENTENCES = (
    "The kettle is boiling in the kitchen.",
    "Our neighbour plays the violin every evening.",
    "The blue bicycle belongs to my sister.",
    "Fresh snow covered the road to the village.",
    "The captain wrote a letter to his daughter.",
    "There are twelve chairs around the table.",
)


def test_batches_change_no_words(asr_server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    sounds = [spoken(sentence) for sentence in SENTENCES]

    async def transcribe_all() -> tuple[list[str], list[str]]:
        async with asr_server.async_openai() as client:

            async def transcribe(sound: bytes) -> str:
                file = ("a.wav", sound)
                return (await client.audio.transcriptions.create(model="whisper-1", file=file, language="en")).text

            alone = [await transcribe(sound) for sound in sounds]
            return alone, list(await asyncio.gather(*map(transcribe, sounds * 3)))

    alone, together = asyncio.run(transcribe_all())
    assert together == alone * 3


def test_language_is_found_for_each_of_many(asr_server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    async def listen() -> list[str]:
        async with asr_server.async_openai() as client:
            answers = await asyncio.gather(
                *(
                    client.audio.transcriptions.create(
                        model="whisper-1", file=("a.wav", spoken(sentence)), response_format="verbose_json"
                    )
                    for sentence in SENTENCES
                )
            )
        return [answer.language for answer in answers]

    assert asyncio.run(listen()) == ["english"] * len(SENTENCES)


def test_beam_size_may_be_given_with_a_request(asr_server: RunningServer, spoken: Callable[[str], bytes]) -> None:
    files = {"file": ("a.wav", spoken(SENTENCES[0]))}
    with asr_server.http() as client:
        url = "/v1/audio/transcriptions"
        greedy = client.post(url, data={"model": "whisper-1", "beam_size": "1"}, files=files)
        refused = client.post(url, data={"model": "whisper-1", "beam_size": "0"}, files=files)
    assert "kettle" in greedy.json()["text"]
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "beam_size"
