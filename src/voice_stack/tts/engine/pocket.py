"""pocket-tts by Kyutai: one language a model, small enough for a CPU, any voice from a few seconds of it."""

import json
import logging
import tempfile
import threading
from collections.abc import Generator, Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from pocket_tts import TTSModel
from pocket_tts.utils.config import CONFIGS_DIR, load_config
from safetensors import SafetensorError
from safetensors.torch import load_file

from voice_stack.core.errors import EngineError, InvalidRequestError, ModelLoadError, UnsupportedValueError
from voice_stack.core.system.cpus import available_cpus
from voice_stack.core.system.device import choose_device
from voice_stack.tts.engine.base import EngineVoice, Spoken, TtsEngine, VoiceOptions
from voice_stack.tts.engine.speaker_latents import Latents, LatentStore, fingerprint, read_beginning
from voice_stack.tts.engine.voice_options import choose_options
from voice_stack.tts.torch_models import POCKET_CLONING, POCKET_VOICES, find_cloning_model, find_pocket_language
from voice_stack.utils.audio.pcm import Samples

HEARD_S = 30.0
"""So much of a voice's recordings is heard, each of them for an equal share."""
IN_MEMORY = 8
"""Voices that stay there: one of 30 s is 18 MB, or 74 MB of a model with 24 layers."""
USUAL_THREADS = 2
"""The model is small: two are a quarter quicker than one, with weights of its usual size; more were not tried."""
_WEIGHTS = "model.safetensors"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model")


class PocketEngine(TtsEngine):
    """One pocket-tts model: a folder with `model.safetensors`, its tokenizer, and voices in `embeddings`.

    A folder that is not called as a model of the catalogue has a `config.yaml` too. The library keeps what it is saying
    in the model and makes it in threads of its own, so one clause is made at a time, to the end of its iterator.
    """

    def __init__(self, model_dir: Path, *, device: str, threads: int, cache_dir: Path | None = None) -> None:
        super().__init__(model_dir, device=device, threads=threads, cache_dir=cache_dir)
        # The library sets this to 1 when it is imported, for all that runs in this process.
        torch.set_num_threads(threads or min(available_cpus(), USUAL_THREADS))
        logging.getLogger("pocket_tts").setLevel(logging.WARNING)
        logging.getLogger("pocket_tts.models.text_chunking").setLevel(logging.ERROR)  # its warnings quote the text
        try:
            self._model = _load(model_dir)
            # A GPU gains nothing: it is used where the operator names it.
            self._model.to(str(choose_device(device, 0)))
        except (RuntimeError, ValueError, KeyError, TypeError, AssertionError, OSError, SafetensorError) as error:
            raise ModelLoadError(f"The model in {model_dir} does not load: {error}.") from error
        self.sample_rate = int(self._model.sample_rate)
        self._presets = _find_presets(model_dir)
        self._load_preset = lru_cache(IN_MEMORY)(lambda name: self._to_state(load_file(self._presets[name])))
        self._clones: LatentStore | None = None
        self._lock = threading.Lock()

    def synthesize(self, text: str, options: VoiceOptions) -> Iterator[Spoken]:
        """See `TtsEngine.synthesize`.

        Raises:
            UnsupportedValueError: The model has no such voice or option, or clones none.
            InvalidRequestError: The text or a recording cannot be used.
            EngineError: The model failed.
        """
        own = {"temperature": self._model.config.default_temperature, "seed": 0}
        drawing = choose_options(options.voice.options, own, "pocket-tts")
        with self._lock:
            try:
                state = self._find_state(options.voice)
                self._model.temp = drawing["temperature"]
                torch.manual_seed(drawing["seed"])
                pieces = self._generate(state, text)
                if options.is_awaited:
                    yield from (Spoken(piece, goes_on=True) for piece in pieces)
                    yield Spoken(np.zeros(0, np.float32))
                else:
                    yield Spoken(np.concatenate([*pieces]))
            except ValueError as error:
                raise InvalidRequestError(f"pocket-tts cannot read {text[:80]!r}: {error}", param="input") from error
            except (RuntimeError, SafetensorError) as error:
                raise EngineError(f"pocket-tts failed on a clause of {len(text)} characters: {error}") from error

    def _generate(self, state: dict[str, dict[str, torch.Tensor]], text: str) -> Generator[Samples, None, None]:
        stop = threading.Event()
        pieces = self._model.generate_audio_stream(state, text, stop=stop)
        try:
            for piece in pieces:
                yield np.clip(piece.float().cpu().numpy(), -1.0, 1.0)
        finally:
            stop.set()
            for _ in pieces:  # its threads end before another clause begins
                pass

    def _find_state(self, voice: EngineVoice) -> dict[str, dict[str, torch.Tensor]]:
        if voice.recordings:
            return self._to_state(self._clone(voice.recordings))
        if not self._presets:
            raise UnsupportedValueError(
                "this model has no voices of its own: choose one with a recording", param="voice"
            )
        name = voice.name or next(iter(self._presets))
        if name not in self._presets:
            raise UnsupportedValueError(f"voice {name!r} is not one of {', '.join(self._presets)}", param="voice")
        state: dict[str, dict[str, torch.Tensor]] = self._load_preset(name)
        return state

    def _clone(self, recordings: tuple[Path, ...]) -> Latents:
        name = self.model_dir.name
        if find_cloning_model(name) != name or not self._model.flow_lm.speaker_proj_weight.any():
            raise UnsupportedValueError(
                f"model {name!r} clones no voices: those do whose names end with {POCKET_CLONING}", param="voice"
            )
        if self._clones is None:
            folder = None if self.cache_dir is None else self.cache_dir / "speakers"
            key = fingerprint(self._model.state_dict().items(), version("pocket-tts"))
            self._clones = LatentStore(folder, key, self._hear, in_memory=IN_MEMORY)
        return self._clones.get(recordings)

    def _hear(self, recordings: tuple[Path, ...]) -> Latents:
        share_s = HEARD_S / len(recordings)
        heard = np.concatenate([read_beginning(recording, self.sample_rate, share_s) for recording in recordings])
        state = self._model.get_state_for_audio_prompt(torch.from_numpy(heard)[None])
        return {f"{module}/{name}": tensor for module, part in state.items() for name, tensor in part.items()}

    def _to_state(self, latents: Latents) -> dict[str, dict[str, torch.Tensor]]:
        state: dict[str, dict[str, torch.Tensor]] = {}
        for key, tensor in latents.items():
            module, _, name = key.partition("/")
            if name == "current_end":  # how the first voices were written: its length is how far they go
                name, tensor = "offset", torch.full((1,), tensor.shape[0], dtype=torch.long)
            state.setdefault(module, {})[name] = tensor.to(self._model.device)
        return state


def _load(model_dir: Path) -> TTSModel:
    """The model of a folder, by the library's own code; nothing is fetched."""
    own, language = model_dir / "config.yaml", find_pocket_language(model_dir.name)
    if not own.is_file() and not language:
        raise FileNotFoundError(f"{own.name} is missing")
    config = load_config(own if own.is_file() else CONFIGS_DIR / f"{language}.yaml").model_dump(mode="json")
    tokenizer = next((model_dir / name for name in _TOKENIZERS if (model_dir / name).is_file()), None)
    if tokenizer is None or not (model_dir / _WEIGHTS).is_file():
        missing = _WEIGHTS if tokenizer else _TOKENIZERS[0]
        raise FileNotFoundError(f"{missing} is missing")
    config |= {"weights_path": str(model_dir / _WEIGHTS), "weights_path_without_voice_cloning": None}
    config["mimi"]["weights_path"] = config["flow_lm"]["weights_path"] = None
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = str(tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"  # what it may not fetch is said in a file; JSON is YAML as well
        file.write_text(json.dumps(config))
        return TTSModel.load_model(config=file)


def _find_presets(model_dir: Path) -> dict[str, Path]:
    """The voices that came with a model, by name; the usual one of its language first."""
    usual = POCKET_VOICES.get(find_pocket_language(model_dir.name).partition("_")[0])
    there = {file.stem: file for file in sorted(model_dir.glob("embeddings/*.safetensors"))}
    return {name: there[name] for name in sorted(there, key=lambda name: name != usual)}
