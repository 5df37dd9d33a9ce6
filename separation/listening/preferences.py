"""Preference pairs: for each item two systems, the preferred one and the other, with audio, votes and where they come from.

Votes are counted by listener: whoever says more of one system on an item, by choosing it or by the better grade, votes for it.
The folder is read by `datasets` (audio folder with metadata): split ``train`` has a preferred one in every row, split ``ties``
has pairs on which as many say the one as the other. Anchors, references and mixtures are no systems and in no pair. Only
listeners who allow training count; the recording's own licence is another matter.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from separation.audio import Writer
from separation.errors import StudyError
from separation.listening.answers import Answer
from separation.listening.prepared import Prepared
from separation.listening.study import MIXTURE, Question, Study
from separation.ratings.export import UNKNOWN, Exported

GRADED = {"mushra": 1.0, "bs1116": 1.0, "acr": 1.0, "dcr": 1.0, "p835": 1.0, "scale": 1.0, "ranking": -1.0}
"""Kinds in which every condition gets a number, and which way it is better."""
COMPARED = ("ab", "ccr")
"""Kinds whose number compares two."""
CONSENT = "training"
"""Name of the tick box, on any form of a study, by which listeners allow training with their answers."""


@dataclass(frozen=True)
class Preference:
    """Two systems on one item, as listeners see them.

    Args:
        chosen, rejected: systems; of a tie the first by name.
        margin: mean over listeners of what `chosen` is better by, in the unit of the question's scale.
        chosen_votes, rejected_votes, tied_votes: listeners.
        both_bad: listeners who called both bad; they are in no other number.
    """

    question: str
    kind: str
    attribute: str
    item: str
    chosen: str
    rejected: str
    margin: float
    chosen_votes: int
    rejected_votes: int
    tied_votes: int
    both_bad: int

    @property
    def votes(self) -> int:
        return self.chosen_votes + self.rejected_votes + self.tied_votes

    @property
    def tie(self) -> bool:
        """Nobody is ahead: by listeners, or by how much they say."""
        return self.chosen_votes <= self.rejected_votes or self.margin <= 0

    @property
    def agreement(self) -> float:
        """Share of the listeners who say what most say."""
        return max(self.chosen_votes, self.rejected_votes) / self.votes if self.votes else 0.0


def consented(said: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Listeners who ticked `CONSENT`.

    Args:
        said: what listeners said in forms, listener -> field -> value (`results.Person.said`).

    >>> sorted(consented({"a": {"training": True}, "b": {"training": False}, "c": {}}))
    ['a']
    """
    return frozenset(listener for listener, form in said.items() if form.get(CONSENT) is True)


def preferences(study: Study, answers: Iterable[Answer], consented: Collection[str]) -> list[Preference]:
    """All pairs of systems that somebody who consents compared, by question, attribute, item and names."""
    systems = {system.id for system in study.systems}
    said: dict[tuple[str, str, str, str], dict[tuple[str, str], dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    bad: dict[tuple[str, str, str, str, str], set[str]] = defaultdict(set)
    for one in _differences(answers, systems, consented):
        answer, first, second, difference = one
        place = answer.question, answer.kind, answer.attribute, answer.item
        if difference is None:
            bad[answer.question, answer.attribute, answer.item, first, second].add(answer.listener)
        else:
            said[place][first, second][answer.listener].append(difference)
    found = []
    for (question, kind, attribute, item), pairs in sorted(said.items()):
        for (first, second), listeners in sorted(pairs.items()):
            means = [sum(given) / len(given) for given in listeners.values()]
            ahead, behind = sum(mean > 0 for mean in means), sum(mean < 0 for mean in means)
            margin, both_bad = sum(means) / len(means), len(bad[question, attribute, item, first, second])
            names = (first, second)
            if ahead < behind or (ahead == behind and margin < 0):
                names, ahead, behind, margin = (second, first), behind, ahead, -margin
            tied = len(means) - ahead - behind
            found.append(Preference(question, kind, attribute, item, *names, margin, ahead, behind, tied, both_bad))
    return found


def write(
    study: Study,
    answers: Iterable[Answer],
    prepared: Prepared,
    folder: Path,
    *,
    consented: Collection[str],
    provenance: Mapping[str, str] = {},
) -> Exported:
    """Write the pairs and their audio into `folder`.

    Args:
        consented: listeners who allow training; nobody else's votes are in it.
        provenance: columns that every row gets, e.g. ``licence`` and ``provenance`` of the recordings.

    Raises:
        StudyError: no consenting listener compared two systems.
        DataError: audio is missing.
    """
    pairs = preferences(study, answers, consented)
    if not pairs:
        raise StudyError(
            f"Export preference pairs of {study.name}",
            f"none of the {len(consented)} listeners who allow training compared two systems",
            "Ask for consent to training, and ask a question that compares systems",
        )
    mixtures = {stimulus.item for stimulus in prepared.stimuli if stimulus.condition == MIXTURE}
    mixed = all(pair.item in mixtures for pair in pairs)
    rows = {split: [pair for pair in pairs if pair.tie == (split == "ties")] for split in ("train", "ties")}
    for split, chosen in rows.items():
        if not chosen:
            continue
        (folder / split / "audio").mkdir(parents=True)
        with (folder / split / "metadata.jsonl").open("w", encoding="utf-8") as file:
            for pair in chosen:
                row = _row(study, prepared, pair, mixed) | {
                    "licence": UNKNOWN, "provenance": UNKNOWN, **provenance,
                }  # fmt: skip
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                for condition in (pair.chosen, pair.rejected, *((MIXTURE,) if mixed else ())):
                    _write_audio(prepared, pair.item, condition, folder / split / _file(pair.item, condition))
    counts = {split: len(chosen) for split, chosen in rows.items()}
    (folder / "README.md").write_text(_card(study, prepared, counts), encoding="utf-8")
    return Exported(counts)


def _differences(
    answers: Iterable[Answer], systems: Collection[str], consented: Collection[str]
) -> Iterable[tuple[Answer, str, str, float | None]]:
    """(answer, first, second, how much better the first is; None: both bad), the names sorted."""
    grades: dict[tuple[str, str, str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        if (
            answer.listener not in consented
            or answer.purpose not in ("test", "repeat")
            or answer.condition not in systems
        ):
            continue
        if answer.kind in COMPARED and answer.other in systems:
            first, second = sorted((answer.condition, answer.other))
            sign = 1 if answer.condition == first else -1
            yield answer, first, second, None if answer.value is None else sign * answer.value
        elif answer.kind in GRADED and answer.value is not None:
            grades[answer.listener, answer.question, answer.attribute, answer.item].append(answer)
    for given in grades.values():
        means: dict[str, list[float]] = defaultdict(list)
        for answer in given:
            assert answer.value is not None
            means[answer.condition].append(GRADED[answer.kind] * answer.value)
        for first, second in combinations(sorted(means), 2):
            a, b = (sum(means[name]) / len(means[name]) for name in (first, second))
            yield given[0], first, second, a - b


def _row(study: Study, prepared: Prepared, pair: Preference, mixed: bool) -> dict[str, Any]:
    item = next(one for one in study.items if one.id == pair.item)
    question = next(one for one in study.questions if one.id == pair.question)
    sounds = {
        role: prepared.find(pair.item, name) for role, name in (("chosen", pair.chosen), ("rejected", pair.rejected))
    }
    prompt = {
        "task": "separation", "source": item.source, "study": study.name, "item": item.id, "group": item.group,
        "attribute": pair.attribute, "references": _open(question),
    }  # fmt: skip
    return {
        **{f"{role}_file_name": _file(pair.item, sound.condition) for role, sound in sounds.items()},
        **({"mixture_file_name": _file(pair.item, MIXTURE)} if mixed else {}),
        "prompt": json.dumps(prompt, ensure_ascii=False, sort_keys=True),
        "question": pair.question,
        "kind": pair.kind,
        "attribute": pair.attribute,
        "margin": pair.margin,
        "votes": pair.votes,
        "chosen_votes": pair.chosen_votes,
        "rejected_votes": pair.rejected_votes,
        "tied_votes": pair.tied_votes,
        "both_bad_votes": pair.both_bad,
        "agreement": pair.agreement,
        **{f"{role}_model": _model(study, prepared, sound.condition) for role, sound in sounds.items()},
        **{f"{role}_gain_db": sound.gain_db for role, sound in sounds.items()},
        **{f"{role}_sha256": sound.sha256 for role, sound in sounds.items()},
        "study_hash": prepared.hash,
        "consent_training": True,
    }


def _open(question: Question) -> list[str]:
    return list(question.references)


def _model(study: Study, prepared: Prepared, system: str) -> str:
    """``MODEL@VERSION``, or the system's own name where it is files."""
    name = next(one.model or one.id for one in study.systems if one.id == system)
    version = prepared.versions.get(system, "")
    return f"{name}@{version}" if version else name


def _file(item: str, condition: str) -> str:
    return f"audio/{item}.{condition}.wav"


def _write_audio(prepared: Prepared, item: str, condition: str, path: Path) -> None:
    """What listeners heard, as a 16-bit WAV of the same samples; once a split."""
    if path.exists():
        return
    stimulus, facts = prepared.find(item, condition), prepared.items[item]
    with Writer(path, facts.sample_rate, facts.channels, bit_depth="16", length=facts.length) as writer:
        writer.write(prepared.samples(stimulus))


def _card(study: Study, prepared: Prepared, counts: Mapping[str, int]) -> str:
    present: Sequence[str] = [split for split, count in counts.items() if count]
    splits = "".join(f"  - split: {split}\n    path: {split}/**\n" for split in present)
    return f"""---
pretty_name: Preferences of {study.name}
tags: [source-separation, audio, preference]
license: other
configs:
- config_name: default
  data_files:
{splits}---

# Preferences of {study.name}

Pairs of separated sounds and which one listeners preferred: {counts["train"]} with a preferred one (`train`),
{counts["ties"]} without (`ties`). From a listening test made with Earshot, study {prepared.hash[:12]}.

```python
from datasets import load_dataset      # pip install "datasets[audio]"

pairs = load_dataset("FOLDER")["{present[0]}"]      # chosen, rejected (audio), prompt (JSON), margin, votes, agreement, …
```

- A listener has one vote a pair and question. `margin` is the mean over listeners, in the unit of the question's scale
  (`kind`); `agreement` is the share of listeners who say what most say.
- In `ties` the order of the two means nothing.
- Audio is what listeners heard, matched in loudness by `*_gain_db`.
- Every vote is of a listener who allowed training. **That is not the licence of the recordings**: `licence` is
  `{UNKNOWN}` where its owner did not say; publish only what you may.
- Listeners may withdraw later: export again before you use it, and delete what is gone.
"""
