"""The fields of requests about voices and consents, as they stand in the API docs."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from voice_stack.tts.voices.recordings import LanguageTag, Name, Text


class VoiceForm(BaseModel):
    """Fields of `POST /audio/voices` besides the file `audio_sample`; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore")

    name: Name = Field(description="Shown to people; never a path.")
    consent: str = Field("", max_length=100, description="Id of a consent (`cons_...`).")
    type: Literal["audio_sample"] = Field("audio_sample", description="Voices are made of recordings.")
    language: LanguageTag = Field(
        "", description="Extension: what the speaker speaks, as `en-US`; else as in the consent."
    )
    description: Text = Field("", description="Extension: how the voice sounds.")
    licence: Text = Field("", description="Extension: what others may do with it.")
    source: Text = Field("", description="Extension: where the recording comes from.")


class VoiceChanges(BaseModel):
    """Fields of `POST /audio/voices/{id}`; what is absent stays as it is."""

    model_config = ConfigDict(extra="ignore")

    name: Name | None = None
    language: LanguageTag | None = None
    description: Text | None = None
    licence: Text | None = None


class ConsentForm(BaseModel):
    """Fields of `POST /audio/voice_consents` besides the file `recording`."""

    model_config = ConfigDict(extra="ignore")

    name: Name = Field(description="A label for this consent.")
    language: LanguageTag = Field(min_length=2, description="BCP 47 tag of the language spoken, as `en-US`.")


class ConsentChanges(BaseModel):
    """Fields of `POST /audio/voice_consents/{id}`."""

    model_config = ConfigDict(extra="ignore")

    name: Name = Field(description="The new label.")
