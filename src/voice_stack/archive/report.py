"""What a run of an archive has done, and what there is now: as JSON, and in words."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from voice_stack.archive.manifest import Done, Manifest, State
from voice_stack.archive.work import Tally

MOST_LISTED = 10_000
MOST_TOLD = 20
_STATES: tuple[State, ...] = ("done", "refused", "failed", "waiting")


@dataclass(slots=True)
class RunFacts:
    """What a run has done.

    Attributes:
        source: What the archive is made of.
        report: Name of the file with it, beside the texts.
        began_at: Seconds since 1970.
        problems: What could not be looked at.
        ended: How many recordings ended in which state in it.
        audio_s: Length of what it made texts of, in seconds.
        wall_s: How long it took, in seconds.
        stopped: Why it ended before it was through; empty if it was.
    """

    source: str
    report: str
    began_at: float
    problems: Sequence[str]
    ended: Mapping[State, int] = field(default_factory=dict)
    audio_s: float = 0.0
    wall_s: float = 0.0
    stopped: str = ""

    def note(self, tally: Tally) -> None:
        """What was done, at its end."""
        self.ended, self.audio_s, self.wall_s = tally.ended, tally.audio_s, time.time() - self.began_at


def make_report(manifest: Manifest, facts: RunFacts) -> bytes:
    """The report as JSON; of many failures or notes it lists ten thousand."""
    summary = manifest.summary()
    failures = islice(manifest.ended("refused", "failed"), MOST_LISTED)
    noted = islice((done for done in manifest.ended("done") if done.notes), MOST_LISTED)
    report: dict[str, object] = {
        "source": facts.source,
        "began_at": datetime.fromtimestamp(facts.began_at, UTC).isoformat(timespec="seconds"),
        "wall_s": round(facts.wall_s, 1),
        "stopped": facts.stopped or None,
        "found": summary.found,
        **_by_state(summary.counts, _STATES),
        "gone": summary.gone,
        "audio_s": round(summary.audio_s, 1),
        "languages": manifest.languages(),
        "this_run": {
            **_by_state(facts.ended, _STATES[:3]),
            "audio_s": round(facts.audio_s, 1),
            "times_real_time": round(facts.audio_s / facts.wall_s, 1) if facts.wall_s else None,
        },
        "problems": list(facts.problems),
        "failures": [{"key": done.key, "state": done.state, "reason": done.reason} for done in failures],
        "notes": [{"key": done.key, "notes": done.notes} for done in noted],
    }
    return json.dumps(report, ensure_ascii=False, indent=2).encode() + b"\n"


def tell_report(manifest: Manifest, facts: RunFacts) -> Iterator[str]:
    """The same in a few lines."""
    summary = manifest.summary()
    counts = ", ".join(f"{summary.counts.get(state, 0)} {state}" for state in _STATES if summary.counts.get(state))
    yield f"{summary.found} recordings: {counts or 'none'}; {summary.audio_s / 3600:.2f} h of sound are text"
    if facts.ended:
        speed = f", {facts.audio_s / facts.wall_s:.1f} times as fast as it lasts" if facts.audio_s else ""
        yield f"this run: {sum(facts.ended.values())} in {facts.wall_s:.1f} s{speed}"
    if summary.gone:
        yield f"{summary.gone} of earlier runs are not there any more; their texts stay"
    yield from (f"not looked at: {problem}" for problem in facts.problems[:MOST_TOLD])
    if summary.counts.keys() & {"refused", "failed"}:
        yield f"{facts.report} beside the texts says why"


def make_metrics(tally: Tally, archive: str) -> bytes:
    """How far a run is, in the text format of Prometheus.

    Args:
        tally: Of the run.
        archive: What it is called in the label of that name.
    """
    left = tally.total - tally.ended.total()
    counts = {**_by_state(tally.ended, _STATES[:3]), "waiting": left}
    lines = ["# TYPE voice_stack_archive_recordings gauge"]
    lines += [
        f'voice_stack_archive_recordings{{archive="{archive}",state="{state}"}} {count}'
        for state, count in counts.items()
    ]
    numbers = {"audio_seconds": tally.audio_s, "done_ratio": tally.percent / 100, "left_seconds": tally.eta_s}
    for name, value in numbers.items():
        if value is not None:
            lines += [f"# TYPE voice_stack_archive_{name} gauge"]
            lines += [f'voice_stack_archive_{name}{{archive="{archive}"}} {value:.3f}']
    return "\n".join(lines).encode() + b"\n"


def tell_failure(done: Done) -> str:
    """Why a recording has no texts."""
    return f"{done.key}: {done.state}: {done.reason}"


def _by_state(counts: Mapping[State, int], states: Sequence[State]) -> dict[str, int]:
    return {state: counts.get(state, 0) for state in states}
