"""How far one job is in its engine process, and which language it is in."""

from voice_stack.asr.listening.window_result import among_candidates
from voice_stack.asr.request import TranscriptionRequest

SURE_LANGUAGE = 0.5
"""Mean probability from which the language of a file is settled."""
LANGUAGE_WINDOWS = 3
"""Windows that are asked for the language at most."""


class Progress:
    """What is known of one job so far."""

    def __init__(self, request: TranscriptionRequest) -> None:
        self.request = request
        self.language = request.language
        self.probability = 1.0 if request.language else 0.0
        self.is_settled = request.language is not None
        self.votes: list[dict[str, float]] = []
        self.heard_samples = 0
        self.total_s = 0.0
        self.speech_s = 0.0

    def vote(self, probabilities: dict[str, float]) -> None:
        """Add the opinion of one window; the mean over the windows decides."""
        self.votes.append(among_candidates(probabilities, self.request.candidate_languages))
        codes = {code for vote in self.votes for code in vote}
        means = {code: sum(vote.get(code, 0.0) for vote in self.votes) / len(self.votes) for code in codes}
        self.language, self.probability = max(means.items(), key=lambda item: item[1])
        self.is_settled = self.probability >= SURE_LANGUAGE or len(self.votes) >= LANGUAGE_WINDOWS
