"""What is wrong with a data set, before hours are spent on it: file by file, in bounded memory.

A quick check lists and opens every file and reads its header. A deep one decodes everything once, a block of all stems of a
track at a time: true lengths, damage, silence, whether the mixture is the sum of the stems, and the same samples twice.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from separation.audio import BLOCK, AudioInfo, Reader
from separation.audio.scan import SILENCE
from separation.datasets.layouts import Layout, detect, get
from separation.datasets.stems import open_path, parts, probe_part
from separation.datasets.tracks import MIXTURE, Problem, Track, below, shared_material
from separation.errors import AudioError, DataError, SeparationError
from separation.signals import Samples

NULL_DB = -40.0
"""The mixture minus the sum of the stems, relative to the mixture, may be this much: 16-bit rounding stays below -60 dB."""
LOSSY_NULL_DB = -6.0
"""The same where stem or mixture are coded with loss, each by itself: loud metal in 256 kb/s AAC measured -20 to -10 dB."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Check:
    """What is in a folder, and what is wrong with it.

    Args:
        folder: as it was given.
        layout: name of the layout.
        title: the data set.
        deep: everything was decoded.
        tracks: tracks whose files are all there.
        sides: ``{side: tracks}``; empty if the set has no split.
        hours: of the tracks, each counted once.
        stems: ``{stem: tracks that have it}``.
        sample_rates: ``{Hz: stems}``.
        channels: ``{channels: stems}``.
        null_db: the worst and the median level of mixture minus sum, relative to the mixture; None if it was not measured.
        problems: one sentence for each file or track.
        notes: what is no fault of the folder: known errors of the data set, what its split is known to share.
    """

    folder: str
    layout: str
    title: str
    deep: bool
    tracks: int
    sides: dict[str, int]
    hours: float
    stems: dict[str, int]
    sample_rates: dict[int, int]
    channels: dict[int, int]
    null_db: dict[str, float] | None
    problems: list[Problem]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values; a problem is ``{kind, where, what}``."""
        return {**vars(self), "problems": [problem._asdict() for problem in self.problems]}


@dataclass
class _Tally:
    """What adds up over the tracks."""

    folder: Path
    side_of: Mapping[str, str]
    length_tolerance: float
    seconds: float = 0.0
    stems: Counter[str] = field(default_factory=Counter)
    rates: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    nulls: list[float] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    heard: dict[bytes, dict[str, str]] = field(default_factory=dict)
    """For each hash of samples the first ``{side: stem}``; 32 bytes and a name a stem, whatever the hours."""

    def add(self, kind: str, where: str, what: str) -> None:
        self.problems.append(Problem(kind, where, what))


def check(
    folder: Path,
    layout: str | None = None,
    *,
    deep: bool = False,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> Check:
    """Look for everything that is wrong with a data set.

    Args:
        folder: where it lies.
        layout: name of its layout; None to recognise it.
        deep: decode everything.
        scratch: folder for decoded copies; see `audio.open_reader`.
        progress: called with the tracks that are done and all tracks.

    Raises:
        DataError: no folder, an unknown layout, or none that is recognised. All else is in `Check.problems`.
    """
    chosen = get(layout) if layout else detect(folder)
    found = chosen.find(folder)
    sides = chosen.sides(found.tracks) if chosen.split else {}
    tally = _Tally(
        folder, {track.name: side for side, part in sides.items() for track in part}, chosen.length_tolerance
    )
    tally.problems += found.problems
    for done, track in enumerate(found.tracks):
        if progress is not None:
            progress(done, len(found.tracks))
        readable = _check_headers(track, tally)
        if deep:
            _check_samples(track, readable, tally, scratch)
        else:
            _check_lengths(track, readable, tally)
    notes = _check_sides(sides, chosen, tally)
    notes += [
        f"{t.name}: {chosen.errata[s]}" for t in found.tracks if (s := t.labels.get("song")) in chosen.errata and s
    ]
    left_out = len(found.tracks) - len(tally.side_of)
    if sides and left_out:
        notes.append(f"{left_out} of {len(found.tracks)} tracks are on no side of the split")
    return Check(
        folder=str(folder),
        layout=chosen.name,
        title=chosen.title,
        deep=deep,
        tracks=len(found.tracks),
        sides={side: len(part) for side, part in sides.items()},
        hours=tally.seconds / 3600,
        stems=dict(tally.stems),
        sample_rates=dict(sorted(tally.rates.items())),
        channels=dict(sorted(tally.channels.items())),
        null_db={"worst": max(tally.nulls), "median": float(np.median(tally.nulls))} if tally.nulls else None,
        problems=tally.problems,
        notes=notes,
    )


def _check_sides(sides: Mapping[str, Sequence[Track]], layout: Layout, tally: _Tally) -> list[str]:
    """Shared material is a problem, unless it is known of the published split; then a note."""
    known: dict[str, list[str]] = {}
    for shared in shared_material(sides):
        reason = next((k for k in layout.known if k.covers(shared)), None)
        if reason is None:
            tally.add("shared", "", str(shared))
        else:
            known.setdefault(f"{' and '.join(reason.sides)} share {{}}: {reason.why}", []).append(shared.item)
    return [note.format(_several(items)) for note, items in known.items()]


def _several(items: Sequence[str], most: int = 5) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def _check_headers(track: Track, tally: _Tally) -> dict[str, AudioInfo]:
    """Every file can be opened, and the stems of a track go together; the stems for which that is so."""
    infos = {stem: info for stem, path in track.stems.items() if (info := _probe(path, tally))}
    for stem, info in infos.items():
        tally.stems[stem] += 1
        tally.rates[info.sample_rate] += 1
        tally.channels[info.channels] += 1
    tally.seconds += max((info.duration for info in infos.values()), default=0.0)
    _alike(track, "rate", {stem: f"{info.sample_rate:,} Hz" for stem, info in infos.items()}, tally)
    wide = {stem: f"{info.channels} channels" for stem, info in infos.items() if info.channels > 1}
    _alike(track, "channels", wide, tally)
    return infos


def _probe(path: Path, tally: _Tally) -> AudioInfo | None:
    """The longest part of a stem; what cannot be read, and what a header gives away, is noted."""
    infos = []
    found = parts(path)
    for part in found:
        where = below(tally.folder, part.file if len(found) > 1 else path)
        try:
            info = probe_part(part)
        except (AudioError, DataError) as error:
            tally.add("unreadable", where, f"cannot be read: {error.found}")
            continue
        for note in info.notes:
            tally.add("damaged", where, f"is damaged: {note.rstrip('.')}")
        infos.append(info)
    return max(infos, key=lambda info: info.duration, default=None)


def _alike(track: Track, kind: str, values: Mapping[str, str], tally: _Tally) -> None:
    if len(set(values.values())) > 1:
        tally.add(kind, track.name, f"mixes {', '.join(f'{value} ({stem})' for stem, value in values.items())}")


def _check_lengths(track: Track, infos: Mapping[str, AudioInfo], tally: _Tally) -> None:
    """A stem that ends before the others; lengths that a coded file only claims may be off by a hundredth more."""
    longest = max(infos, key=lambda stem: infos[stem].duration, default="")
    for stem, info in infos.items():
        less = infos[longest].duration - info.duration
        claimed = not (info.exact and infos[longest].exact)
        if less > tally.length_tolerance + (0.01 * infos[longest].duration if claimed else 0.0):
            where = below(tally.folder, track.stems[stem])
            what = f"lasts {info.duration:.2f} s, {less:.2f} s less than {longest} ({tally.length_tolerance:g} s are allowed)"
            tally.add("length", where, what)


def _check_samples(track: Track, readable: Iterable[str], tally: _Tally, scratch: Path | None) -> None:
    """Decode every stem of a track once, side by side."""
    with ExitStack() as opened:
        readers: dict[str, Reader] = {}
        for stem in readable:
            where = below(tally.folder, track.stems[stem])
            try:
                readers[stem] = opened.enter_context(open_path(track.stems[stem], scratch=scratch))
            except (AudioError, DataError) as error:
                tally.add("unreadable", where, f"cannot be read: {error.found}")
                continue
            for note in readers[stem].info.notes:
                problem = Problem("damaged", where, f"is damaged: {note.rstrip('.')}")
                tally.problems += [problem] if problem not in tally.problems else []  # the header may have told it
        _check_lengths(track, {stem: reader.info for stem, reader in readers.items()}, tally)
        ears = {stem: _Ear(reader) for stem, reader in readers.items()}
        powers = _Powers() if _can_null(track, readers) else None
        try:
            for start in range(0, max((reader.length for reader in readers.values()), default=0), BLOCK):
                blocks = {stem: ear.hear(start) for stem, ear in ears.items()}
                if powers is not None:
                    powers.add(blocks.pop(MIXTURE), blocks.values())
        except SeparationError as error:
            tally.add("damaged", track.name, f"cannot be read to its end: {error.asked}: {error.found}")
            return
    _check_ears(track, ears, tally)
    if powers is not None and all(ear.finite for ear in ears.values()):
        _check_null(track, readers, powers, tally)


class _Ear:
    """What is remembered of one stem while it passes by."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._hash = hashlib.sha256(f"{reader.sample_rate} {reader.channels}".encode())
        self.peak, self.finite = 0.0, True

    def hear(self, start: int) -> Samples:
        """The block at `start`; no samples after the end."""
        length = max(0, min(BLOCK, self._reader.length - start))
        block = self._reader.read(min(start, self._reader.length), length)
        self.finite = self.finite and bool(np.isfinite(block).all())
        self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
        self._hash.update(block.tobytes())
        return block

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


def _check_ears(track: Track, ears: Mapping[str, _Ear], tally: _Tally) -> None:
    """Silence, NaN, and the same samples twice: as two stems of the track, or on two sides of the split."""
    side, here = tally.side_of.get(track.name), dict[bytes, str]()
    for stem, ear in ears.items():
        where = below(tally.folder, track.stems[stem])
        if not ear.finite:
            tally.add("damaged", where, "holds NaN or infinity")
            continue
        if ear.peak < SILENCE:
            tally.add("silent", where, "is silent")
            continue
        if stem != MIXTURE and (twin := here.setdefault(ear.digest, where)) != where:
            tally.add("duplicate", where, f"holds the same samples as {twin}")
        if side is not None:
            earlier = tally.heard.setdefault(ear.digest, {})
            for other, twin in earlier.items():
                if other != side:
                    tally.add("duplicate", where, f"({side}) holds the same samples as {twin} ({other})")
            earlier.setdefault(side, where)


def _can_null(track: Track, readers: Mapping[str, Reader]) -> bool:
    together = len(readers) == len(track.stems) > 1 and MIXTURE in readers
    wide = {reader.channels for reader in readers.values() if reader.channels > 1}
    return together and len({reader.sample_rate for reader in readers.values()}) == 1 and len(wide) <= 1


@dataclass
class _Powers:
    """Sums over all samples of mixture² · sum² · mixture × sum · (mixture - sum)²."""

    mixture: float = 0.0
    total: float = 0.0
    both: float = 0.0
    error: float = 0.0

    def add(self, mixture: Any, stems: Iterable[Any]) -> None:
        blocks = [mixture, *stems]
        shape = max(block.shape[0] for block in blocks), max(block.shape[1] for block in blocks)
        wide = [np.zeros(shape), np.zeros(shape)]
        for i, block in enumerate(blocks):
            wide[min(i, 1)][:, : block.shape[1]] += block
        m, s = wide
        self.mixture += float(np.vdot(m, m))
        self.total += float(np.vdot(s, s))
        self.both += float(np.vdot(m, s))
        self.error += float(np.vdot(m - s, m - s))


def _check_null(track: Track, readers: Mapping[str, Reader], powers: _Powers, tally: _Tally) -> None:
    """The mixture must be the sum of the stems; where one gain would make it so, the gain is named."""
    if powers.mixture <= 0:
        return
    null = _db(powers.error / powers.mixture)
    tally.nulls.append(null)
    lossy = any(reader.info.lossy for reader in readers.values())
    allowed = LOSSY_NULL_DB if lossy else NULL_DB
    if null <= allowed:
        return
    what = f"is not the sum of its stems: the difference is {null:.1f} dB of it ({allowed:g} dB are allowed)"
    if powers.total > 0 and powers.both > 0:
        best = _db(max(1 - powers.both**2 / (powers.mixture * powers.total), 0.0))
        if best <= allowed:
            what += f"; with the stems {2 * _db(powers.both / powers.total):+.2f} dB it would be {best:.1f} dB"
    tally.add("mixture", below(tally.folder, track.stems[MIXTURE]), what)


def _db(power: float) -> float:
    return float(10 * np.log10(max(power, 1e-20)))
