"""The voices that come with XTTS-v2, listed without loading the model."""

import logging
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from voice_stack.core.model_store import ModelStore
from voice_stack.tts.capabilities import CAPABILITIES
from voice_stack.tts.cpml import ENGINE, NAME
from voice_stack.tts.engine.base import EngineVoice
from voice_stack.tts.models import XTTS
from voice_stack.tts.settings import TtsSettings
from voice_stack.tts.voices import Voice

logger = logging.getLogger(__name__)

SPEAKERS_FILE = "speakers_xtts.pth"
SPEAKERS = (
    "Claribel Dervla", "Daisy Studious", "Gracie Wise", "Tammie Ema", "Alison Dietlinde", "Ana Florence",
    "Annmarie Nele", "Asya Anara", "Brenda Stern", "Gitta Nikolina", "Henriette Usha", "Sofia Hellen", "Tammy Grit",
    "Tanja Adelina", "Vjollca Johnnie", "Andrew Chipper", "Badr Odhiambo", "Dionisio Schuyler", "Royston Min",
    "Viktor Eka", "Abrahan Mack", "Adde Michal", "Baldur Sanjin", "Craig Gutsy", "Damien Black", "Gilberto Mathias",
    "Ilkin Urbano", "Kazuhiko Atallah", "Ludvig Milivoj", "Suad Qasim", "Torcull Diarmuid", "Viktor Menelaos",
    "Zacharie Aimilios", "Nova Hogarth", "Maja Ruoho", "Uta Obando", "Lidiya Szekeres", "Chandra MacFarland",
    "Szofi Granger", "Camilla Holmström", "Lilya Stainthorpe", "Zofija Kendrick", "Narelle Moon", "Barbora MacLean",
    "Alexandra Hisakawa", "Alma María", "Rosemary Okafor", "Ige Behringer", "Filip Traverse", "Damjan Chapman",
    "Wulf Carlevaro", "Aaron Dreschner", "Kumar Dahl", "Eugenio Mataracı", "Ferran Simen", "Xavier Hayasaka",
    "Luis Moray", "Marcos Rudaski",
)  # fmt: skip
"""Those of XTTS-v2 as it was published, for as long as its files are not on this machine."""

XTTS_OPENAI_NAMES = {
    "alloy": "Ana Florence",
    "ash": "Damien Black",
    "ballad": "Aaron Dreschner",
    "cedar": "Craig Gutsy",
    "coral": "Tammie Ema",
    "echo": "Viktor Eka",
    "fable": "Royston Min",
    "marin": "Sofia Hellen",
    "nova": "Nova Hogarth",
    "onyx": "Baldur Sanjin",
    "sage": "Alison Dietlinde",
    "shimmer": "Claribel Dervla",
    "verse": "Luis Moray",
}
"""Women for the names that are women's at OpenAI, men for the others."""


def xtts_voices(settings: TtsSettings, store: ModelStore) -> Iterator[Voice]:
    """The speakers of the checkpoint, if XTTS is the default engine or its weights are on this machine."""
    model = settings.model if settings.engine == ENGINE else XTTS.name
    if settings.engine != ENGINE and not store.is_local(model):
        return
    refused = None if settings.accept_cpml else f"its licence, the {NAME}, is not accepted: TTS_ACCEPT_CPML=true"
    languages = CAPABILITIES[ENGINE].languages
    for speaker in _speakers(store.path(model) / SPEAKERS_FILE):
        yield Voice(
            id=speaker,
            engine=ENGINE,
            model=model,
            languages=("en", *sorted(languages - {"en"})),
            engine_voice=EngineVoice(name=speaker),
            description="Speaker of XTTS-v2",
            licence="CPML",
            unavailable=refused,
        )


def _speakers(file: Path) -> tuple[str, ...]:
    if not file.is_file():
        return SPEAKERS if not file.parent.is_dir() else ()
    return read_speaker_names(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def read_speaker_names(file: Path, _mtime_ns: int = 0) -> tuple[str, ...]:
    """The names in a file of speakers, which PyTorch wrote, without PyTorch and without its numbers.

    Args:
        file: `speakers_xtts.pth`: names with tensors.

    Returns:
        The names in their order; none, and a line in the log, if the file is not of that kind.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as content:
                speakers = _NamesOnly(content).load()
    except (OSError, zipfile.BadZipFile, StopIteration, pickle.UnpicklingError, EOFError) as error:
        logger.warning("the speakers in %s cannot be read: %s", file, error)
        return ()
    return tuple(map(str, speakers)) if isinstance(speakers, dict) else ()


class _NamesOnly(pickle.Unpickler):
    """Reads a dictionary of tensors as one of nothing; whatever else a pickle may ask for is refused."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" or (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _nothing
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, _place: object) -> None:
        return None


def _nothing(*_arguments: object) -> None:
    """Stands for a tensor."""
