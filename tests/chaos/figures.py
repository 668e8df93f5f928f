"""How long things took, by the run's own evidence, against what is promised."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from rpc_client.errors import Reason
from tests.chaos.deeds import STEADY_S
from tests.chaos.evidence import Answered, Asked, Evidence
from tests.chaos.folder import Folder, lines

DEADLY = ("chaos.kill", "chaos.kill_read")
NOTICE_S = 25.0
REDELIVERED_S = 1.0
HEALED_S = 5.0
IMPATIENT_S = 1.0
"""Whoever gives a call no more time than this means to give up: that he does is no failure."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One of them; without a value where the run had no occasion, and without end where something never came."""

    what: str
    value: float | None
    most: float
    of: int
    unit: str = "s"

    @property
    def holds(self) -> bool:
        return self.value is None or self.value <= self.most

    @property
    def text(self) -> str:
        value = "no occasion" if self.value is None else f"{self.value:.3g} {self.unit}".strip()
        return f"{self.what}: {value} (at most {self.most:g}; {self.of} seen){'' if self.holds else '  TOO MUCH'}"


def figures(folder: Path, evidence: Evidence) -> list[Figure]:
    """All that are judged."""
    redelivered = _redelivery(evidence)
    noticed, healed = _noticed(evidence), _healed(evidence)
    poison = [evidence.deaths[id_] for id_, asked in evidence.asked.items() if asked.method in DEADLY]
    beside, unlucky = _innocent(folder, evidence)
    return [
        Figure("answered after its worker's lone SIGKILL, p99", _p99(redelivered), REDELIVERED_S, len(redelivered)),
        _worst("first good call after the broker accepts", _first_good(evidence, "broker-kill", "broker-restart"), 3.0),
        _worst(
            "first good call after PostgreSQL accepts", _first_good(evidence, "postgres-kill", "postgres-restart"), 2.0
        ),
        _worst("silent peer noticed by the broker", noticed, 18.0),
        _worst("black hole healed after the network", healed, HEALED_S),
        Figure("deaths by one call", max(poison, default=None), 3, len(poison), ""),
        Figure("innocent calls taken for poison for another's deaths", beside, 0, beside, ""),
        Figure("innocent calls that the run itself killed three times", unlucky, inf, unlucky, ""),
    ]


def _redelivery(evidence: Evidence) -> list[float]:
    """From a lone SIGKILL to the caller's answer, for what was in that worker's hand: another answered it, or nobody.

    Not if another worker ends within the time it may take: a call that kills, or a crash point, keeps to no plan. Nor
    what was asked for before all workers worked, and waited for that; nor what was asked for twice at once.
    """
    first: dict[str, Answered] = {}
    for answered in evidence.answered:
        first.setdefault(answered.id, answered)
    kills = [deed["mono"] for deed in evidence.done("lone-kill")]
    judged = [kill for kill in kills if not _others_end(evidence, kill)]
    taken = []
    for id_, asked in evidence.asked.items():
        at = bisect_left(kills, asked.mono)
        if at == len(kills) or kills[at] not in judged or asked.mono < kills[at] - STEADY_S:
            continue
        heard = None if asked.method in DEADLY or asked.twin else _heard(asked, evidence)
        if heard is None or heard <= kills[at]:
            continue
        if first[id_].redelivered if id_ in first else heard == inf:
            taken.append(heard - kills[at])
    return taken


def _others_end(evidence: Evidence, killed: float) -> bool:
    """Whether one more worker ends while what a killed one had is on its way to others."""
    return sum(killed <= end < killed + REDELIVERED_S for _, end in evidence.lives) > 1


def _heard(asked: Asked, evidence: Evidence) -> float | None:
    """When its caller was answered, if ever; nothing if he did not wait for it, or something was done to himself."""
    first = next((line for line in asked.heard if line["what"] in {"ok", "error", "unknown"}), None)
    until = asked.mono + asked.timeout_s if first is None else float(first["mono"])
    himself = any(
        asked.mono < deed["mono"] < until and deed["target"].partition(" ")[0] == f"client-{asked.client}"
        for deed in evidence.done("client-kill", "cut")
    )
    if himself or asked.sent or asked.timeout_s <= IMPATIENT_S:
        return None
    return until if first is not None and first["what"] != "unknown" else inf


def _first_good(evidence: Evidence, *faults: str) -> list[float]:
    """From a server's first answer to the first result that a caller heard."""
    found = []
    for deed in evidence.done(*faults):
        at = bisect_left(evidence.good, deed["until"])
        found.append(evidence.good[at] - deed["until"] if at < len(evidence.good) else inf)
    return found


def _noticed(evidence: Evidence) -> list[float]:
    """From a peer's last word until the broker gave it up; one that is only frozen may come back before that.

    Nor is one silent that ended: the kernel says so for it.
    """
    silences, found = evidence.silences(), []
    for deed in evidence.done("freeze", "worker-cut"):
        after = [silence - deed["mono"] for silence in silences if 0 < silence - deed["mono"] < NOTICE_S]
        was_to_be = deed["fault"] == "worker-cut" and evidence.ended(deed["pid"]) > deed["until"]
        found += after[:1] or ([inf] if was_to_be else [])
    return found


def _healed(evidence: Evidence) -> list[float]:
    """From the end of a black hole to the first call that its worker did well again.

    Not if it died before, with time left to do so: what its successor takes is a start, not a healing.
    """
    found = []
    for deed in evidence.done("black-hole"):
        well = (a.mono for a in evidence.answered if a.worker == deed["target"] and a.outcome == "ok")
        took = next((mono - deed["until"] for mono in well if mono > deed["until"]), inf)
        lived = evidence.ended(deed["pid"]) - deed["until"]
        if took < lived or lived > HEALED_S:
            found.append(took)
    return found


def _innocent(folder: Path, evidence: Evidence) -> tuple[int, int]:
    """Calls that never killed anybody, taken for poison: for what a call beside them did, and for what we did.

    Of a call at whose every noted run the nemesis or a crash point killed its worker, nobody could know better.
    """
    letters: Iterable[dict[str, object]] = lines(Folder(folder).dump / "dead_letters.jsonl")
    buried = {
        str(letter.get("id"))
        for letter in letters
        if letter.get("reason") == Reason.POISON and letter.get("method") not in DEADLY
    }
    condemned = buried | {id_ for id_, asked in evidence.asked.items() if asked.method not in DEADLY and _told(asked)}
    unlucky = sum(not evidence.killed_beside(request_id) for request_id in condemned)
    return len(condemned) - unlucky, unlucky


def _told(asked: Asked) -> bool:
    """Whether its caller heard that it is poison: of a read there is no letter."""
    return any(line.get("reason") == Reason.POISON for line in asked.heard)


def _worst(what: str, values: Sequence[float], most: float) -> Figure:
    return Figure(what, max(values, default=None), most, len(values))


def _p99(values: Sequence[float]) -> float | None:
    return sorted(values)[min(int(len(values) * 0.99), len(values) - 1)] if values else None
