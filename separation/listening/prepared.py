"""The audio of a study as it lies on the disk, and what is known of every piece of it. Made by `materials`; read by all others.

STUDY/study.yaml        what a researcher wrote
STUDY/prepared.json     what was made of it: written last, so that it only ever names audio that is there
STUDY/audio/ID.pcm      interleaved 16-bit little-endian samples; ID is drawn at random and says nothing
STUDY/made/KEY.npy      what models gave, kept so that a second build need not run them again
STUDY/plan.json         who gets what (`plans`)
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from separation.errors import DataError
from separation.signals import Samples

FORMAT = "earshot-prepared/1"
STUDY_FILE, PREPARED_FILE, PLAN_FILE = "study.yaml", "prepared.json", "plan.json"
AUDIO_FOLDER, MADE_FOLDER = "audio", "made"


@dataclass(frozen=True)
class Stimulus:
    """What a listener may hear of one item.

    Args:
        item: id.
        condition: id; never leaves the server.
        audio: id of the file, drawn at random.
        gain_db: that was applied to match loudness; the study's common gain comes on top.
        lufs: integrated loudness (BS.1770) as it is served; None for silence and less than 0.4 s.
        lag: samples at the study's rate by which it came late (negative: early), and which were removed.
        bandwidth_hz: above it lies less than a hundred-thousandth of its energy; 0 for silence.
        sha256: of the file.
        flags: sentences for the researcher.
    """

    item: str
    condition: str
    audio: str
    gain_db: float
    lufs: float | None
    lag: int
    bandwidth_hz: float
    sha256: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemAudio:
    """What all stimuli of an item have in common; `length` in samples per channel."""

    sample_rate: int
    channels: int
    length: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.length / self.sample_rate


@dataclass(frozen=True)
class Prepared:
    """The audio of a study.

    Args:
        study: its name.
        hash: `study_hash` of what it was made from.
        stimuli: every condition of every item that a question asks about, and the open references.
        items: by id; all have one rate and one number of channels.
        versions: what it was made by and from: ``earshot`` (this program), ``inputs`` (a hash of everything), and for each
            system what pins it: a model's revision or weights, or the files' hash.
        gain_db: the one gain that keeps every stimulus of the study below full scale; 0 if none was needed.
        anchors: by id, one sentence with its numbers, for the report.
        folder: where the audio is; not in the file.
    """

    study: str
    hash: str
    stimuli: tuple[Stimulus, ...]
    items: Mapping[str, ItemAudio]
    versions: Mapping[str, str]
    gain_db: float = 0.0
    anchors: Mapping[str, str] = field(default_factory=dict)
    folder: Path = field(default=Path(), compare=False)

    def find(self, item: str, condition: str) -> Stimulus:
        """The stimulus of an item's condition.

        Raises:
            DataError: there is none.
        """
        for stimulus in self.stimuli:
            if (stimulus.item, stimulus.condition) == (item, condition):
                return stimulus
        raise DataError(
            f"Find the audio of {condition} in the item {item}",
            f"the study {self.study} was prepared without it",
            "Build the study again",
        )

    def path(self, stimulus: Stimulus) -> Path:
        """Its file: int16 little-endian, interleaved."""
        return self.folder / AUDIO_FOLDER / f"{stimulus.audio}.pcm"

    def samples(self, stimulus: Stimulus) -> Samples:
        """What is heard, float32 ``[C, T]``."""
        data = np.fromfile(self.path(stimulus), dtype="<i2").reshape(-1, self.items[stimulus.item].channels)
        return np.ascontiguousarray(data.T, dtype=np.float32) / np.float32(32768)

    def to_json(self) -> dict[str, Any]:
        """What `prepared.json` holds."""
        return {
            "format": FORMAT,
            "study": self.study,
            "hash": self.hash,
            "gain_db": self.gain_db,
            "versions": dict(self.versions),
            "anchors": dict(self.anchors),
            "items": {name: asdict(item) for name, item in self.items.items()},
            "stimuli": [asdict(stimulus) for stimulus in self.stimuli],
        }


def read_prepared(folder: Path) -> Prepared:
    """What `materials.prepare` left in a study's folder.

    Raises:
        DataError: there is nothing, it is broken, or audio that it names is missing.
    """
    path = folder / PREPARED_FILE
    asked = f"Read what was prepared of the study {folder.name}"
    if not path.is_file():
        raise DataError(asked, f"there is no {PREPARED_FILE}", f"Build it: earshot study build {folder.name}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("format") != FORMAT:
            raise ValueError(f"it is not {FORMAT}")
        items = {name: ItemAudio(**item) for name, item in record.pop("items").items()}
        stimuli = tuple(Stimulus(**{**one, "flags": tuple(one["flags"])}) for one in record.pop("stimuli"))
        prepared = Prepared(**record, items=items, stimuli=stimuli, folder=folder)
        missing = [stimulus for stimulus in stimuli if not prepared.path(stimulus).is_file()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(asked, f"{PREPARED_FILE} is broken ({error!r})", "Build the study again") from error
    if missing:
        found = f"the audio of {len(missing)} of {len(stimuli)} stimuli is missing, first {missing[0].audio}.pcm"
        raise DataError(asked, found, "Build the study again")
    return prepared


def find_studies(folders: Iterable[Path]) -> dict[str, Path]:
    """Studies by name: the folders in `folders` that hold a `study.yaml`; of two of one name the first counts."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob(f"*/{STUDY_FILE}")):
            found.setdefault(path.parent.name, path.parent)
    return found
