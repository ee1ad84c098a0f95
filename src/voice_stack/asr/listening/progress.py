"""How far one job is in its engine process, and which language it is in."""

from voice_stack.asr.listening.window_result import among_candidates
from voice_stack.asr.request import TranscriptionRequest
from voice_stack.utils.audio.vad_fallback import log_vad_failure

SURE_LANGUAGE = 0.5
"""Mean probability from which the language of a file is settled."""
VAD_FALLBACK, LANGUAGE_FALLBACK = "vad", "language"
"""What the answer's `x-fallback` says: everything was taken for speech; the language was assumed."""
LANGUAGE_WINDOWS = 3
"""Windows that are asked for the language at most."""


class Progress:
    """What is known of one job so far; `request_id` is for the logs."""

    def __init__(self, request: TranscriptionRequest, request_id: str = "") -> None:
        self.request, self.request_id = request, request_id
        self.language = request.language
        self.probability = 1.0 if request.language else 0.0
        self.is_settled = request.language is not None
        self.votes: list[dict[str, float]] = []
        self.heard_samples = 0
        self.total_s = 0.0
        self.speech_s = 0.0
        self.fallbacks: tuple[str, ...] = ()

    def miss_vad(self, reason: str) -> None:
        """Note that voice activity detection fails."""
        log_vad_failure(reason)
        self.fall_back(VAD_FALLBACK)

    def fall_back(self, what: str) -> None:
        """Note that something was done in the second-best way."""
        if what not in self.fallbacks:
            self.fallbacks += (what,)

    def assume(self, language: str) -> None:
        """Go on without asking for the language any more: that of the windows so far, else one that was asked for."""
        if not self.votes:
            self.language, self.probability = next(iter(self.request.candidate_languages), language), 0.0
        self.is_settled = True
        self.fall_back(LANGUAGE_FALLBACK)

    def vote(self, probabilities: dict[str, float]) -> None:
        """Add the opinion of one window; the mean over the windows decides."""
        self.votes.append(among_candidates(probabilities, self.request.candidate_languages))
        codes = {code for vote in self.votes for code in vote}
        means = {code: sum(vote.get(code, 0.0) for vote in self.votes) / len(self.votes) for code in codes}
        self.language, self.probability = max(means.items(), key=lambda item: item[1])
        self.is_settled = self.probability >= SURE_LANGUAGE or len(self.votes) >= LANGUAGE_WINDOWS
