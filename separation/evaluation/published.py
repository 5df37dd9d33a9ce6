"""The figures on the cards of the bundled models: which audio, which mixture, which number, which clusters.

Every figure runs the model through the engine, as a user would, on material of the test side only, and is a mean with a
95 % interval over clusters (songs, singers, speakers), never over clips. MIR-1K goes through `benchmark`; the other two
make mixtures that are no data set on disk. Oracles and the floor can be measured in the same way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from separation.audio import ArrayReader, open_reader, resample
from separation.datasets import Track, mir1k, packages, speech
from separation.engine import Options, Progress, reference_side, separate
from separation.errors import DataError
from separation.evaluation.protocols import PROTOCOLS
from separation.evaluation.runner import benchmark, failures
from separation.hub import load
from separation.metrics import assign, si_sdr
from separation.models import Separator
from separation.models.oracles import build_oracle, oracle_name
from separation.signals import Signal, Stems
from separation.statistics import cluster_bootstrap

Audio = NDArray[np.float32]
Separating = Callable[[Mapping[str, Audio], int], Stems]

OUTSIDE_RATE = 44100
OUTSIDE_SECONDS = 12.0
SILENT_SECONDS = 2.5  # nobody sings at the start of every mixture of `vocals_outside`
EDGE_SECONDS = 0.25  # left out around the first sung note, where the reference has not quite begun
LEVELS_DB = (-5.0, 0.0, 5.0)
SPEAKER_RATE = 8000
NSDR = "bss_eval_v3.NSDR"
TEST_SPEAKERS = ("librispeech:2609", "librispeech:367")


class Row(NamedTuple):
    """One line of a results table."""

    task: str
    metric: str
    unit: str
    mean: float
    low: float
    high: float
    clips: int
    clusters: str
    data: str


def vocals_mir1k(
    models: Sequence[str],
    data: Path,
    folder: Path,
    *,
    processes: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, list[Row]]:
    """GNSDR on MIR-1K's test singers: BSS-eval v3 SDR of the voice, gain over the mixture's own, weighted by clip length.

    Mixtures are plain sums (0 dB protocol). Clusters are songs.

    Args:
        models: names of bundled models, folders, or oracles.
        data: has `mir1k`.
        folder: of `benchmark`, which goes on there.

    Raises:
        DataError: a clip could not be measured.
    """
    tracks = mir1k.split(mir1k.read(data / "mir1k"))["test"]
    table = benchmark(models, tracks, PROTOCOLS["mir1k"], folder, processes=processes, progress=progress)
    failed = failures(folder)
    if failed:
        raise DataError("Measure MIR-1K", "; ".join(map(str, failed)), "Restore these clips")
    songs = {track.name: track.labels["song"] for track in tracks}
    left_out = [song for song in sorted(mir1k.LEFT_OUT) if song.split("_")[0] in mir1k.TEST_SINGERS]
    about = f"MIR-1K, {' and '.join(mir1k.TEST_SINGERS)} without {', '.join(left_out)}, 0 dB"
    rows: dict[str, list[Row]] = {}
    for model, part in table[table["source"] == "vocals"].groupby("model", sort=False):
        rows[str(model)] = []
        for title, metric, weighted in (("GNSDR (BSS-eval v3)", NSDR, True), ("SI-SDRi", "si_sdr_gain", False)):
            values = part[part["metric"] == metric]
            lengths = values["duration"].to_list() if weighted else None
            clusters = [songs[track] for track in values["track"]]
            row = _row(
                "singing over karaoke music", title, values["value"].to_list(), clusters, about, "songs", lengths
            )
            rows[str(model)].append(row)
    return rows


def vocals_outside(model: str | Separator, data: Path, *, progress: Callable[[str], None] | None = None) -> list[Row]:
    """Voices and music of other kinds than in training, at 44.1 kHz: SI-SDRi of the voice, and its level where it is silent.

    Solos of a choir (Choral Singing Dataset) and speech (Hedgewars' characters) over songs of Frets on Fire and the test
    pieces of Wesnoth and Hedgewars, at -5, 0 and 5 dB (over where the voice is active). Each mixture starts with
    `SILENT_SECONDS` without voice. Clusters are singers and speakers.
    """
    separated = _separating(model)
    music = packages.read_music(data / "debian")["test"]
    kinds: dict[str, Mapping[str, Sequence[Track]]] = {
        "choir solos": {
            p.stem: [Track(p.stem, {"speech": p})] for p in sorted((data / "csd_nino_dios").glob("*.flac"))
        },
        "44.1 kHz speech": packages.read_voices(data / "debian"),
    }
    rows = []
    for kind, voices in kinds.items():
        gains, leaks, people = [], [], []
        for name, voice, backing in _outside_mixtures(voices, music):
            stems = separated({"vocals": voice, "accompaniment": backing}, OUTSIDE_RATE)
            heard = stems["vocals"].samples[0]
            gains.append(_si_sdr(voice, heard) - _si_sdr(voice, voice + backing))
            quiet = slice(0, int((SILENT_SECONDS - EDGE_SECONDS) * OUTSIDE_RATE))
            leaks.append(float(_level_db((voice + backing)[quiet]) - _level_db(heard[quiet])))
            people.append(name)
            _say(progress, f"{kind}, {name}: {gains[-1]:.2f} dB, {leaks[-1]:.1f} dB quieter in silence")
        about = "over Frets on Fire, Wesnoth and Hedgewars music, -5/0/5 dB, 44.1 kHz mono"
        rows.append(_row(kind, "SI-SDRi", gains, people, about, "voices"))
        rows.append(_row(kind, "attenuation where nobody sings", leaks, people, about, "voices"))
    return rows


def speaker_pairs(model: str | Separator, data: Path, *, progress: Callable[[str], None] | None = None) -> list[Row]:
    """SI-SDRi on one woman and one man never heard in training, 0 dB, 8 kHz, best of the two orders.

    TSP's FB with MD (60 pairs of sentences) and, across corpora, two LibriSpeech test-other speakers (10 pairs). Clusters are
    sentences: there is one pair of speakers a corpus, so the interval says nothing about other speakers.
    """
    separated = _separating(model)
    tsp = speech.read_speakers(data / "tsp", "tsp")
    libri = speech.read_librispeech(data / "librispeech")["validation"]
    pairs = {
        "TSP, FB with MD": list(zip(tsp["FB"], tsp["MD"], strict=True)),
        "LibriSpeech test-other, 367 with 2609": list(
            zip(*([t for t in libri if t.labels["speaker"] == name] for name in TEST_SPEAKERS), strict=True)
        ),
    }
    rows = []
    for about, couples in pairs.items():
        gains = []
        for couple in couples:
            voices = [_at_level(_mono(track.stems["speech"], SPEAKER_RATE)) for track in couple]
            length = min(voice.size for voice in voices)
            references = {f"speaker {i}": voice[:length] for i, voice in enumerate(voices, 1)}
            mixture = np.sum(list(references.values()), axis=0)
            stems = {name: stem.samples for name, stem in separated(references, SPEAKER_RATE).items()}
            order = assign({name: voice[None] for name, voice in references.items()}, stems)
            after = [_si_sdr(voice, stems[order[name]][0]) for name, voice in references.items()]
            before = [_si_sdr(voice, mixture) for voice in references.values()]
            gains.append(float(np.mean(after) - np.mean(before)))
            _say(progress, f"{couple[0].name} + {couple[1].name}: {gains[-1]:.2f} dB")
        names = [couple[0].name for couple in couples]
        rows.append(
            _row("one woman and one man, unseen", "SI-SDRi", gains, names, about + ", 0 dB, 8 kHz", "sentences")
        )
    return rows


def _outside_mixtures(
    voices: Mapping[str, Sequence[Track]], music: Sequence[Track]
) -> Iterator[tuple[str, Audio, Audio]]:
    """``(name, voice, music)`` at equal level offsets, the same ones every time."""
    length, silent = int(OUTSIDE_SECONDS * OUTSIDE_RATE), int(SILENT_SECONDS * OUTSIDE_RATE)
    rng = np.random.default_rng(0)
    for name, tracks in voices.items():
        voice = np.zeros(length, np.float32)
        voice[silent:] = _sequence(tracks, length - silent, rng)
        for level_db in LEVELS_DB:
            track = music[int(rng.integers(len(music)))]
            whole = sum(_mono(path, OUTSIDE_RATE) for path in track.stems.values())
            assert isinstance(whole, np.ndarray)
            start = int(rng.integers(max(whole.size - length, 0) + 1))
            piece = np.pad(whole[start : start + length], (0, max(length - whole.size, 0)))
            yield name, _at_level(voice) * np.float32(10 ** (level_db / 20)), _at_level(piece)


def _sequence(tracks: Sequence[Track], length: int, rng: np.random.Generator) -> Audio:
    """Recordings of one voice, one after the other, until `length` is full; a long one starts where it sounds."""
    out, filled = np.zeros(length, np.float32), 0
    for i in rng.permutation(len(tracks)):
        piece = _mono(tracks[int(i)].stems["speech"], OUTSIDE_RATE)
        active = np.flatnonzero(np.abs(piece) > 0.05 * np.abs(piece).max(initial=0))
        piece = piece[active[0] :] if active.size else piece
        take = min(piece.size, length - filled)
        out[filled : filled + take] = piece[:take]
        filled += take + OUTSIDE_RATE // 4
        if filled >= length:
            break
    return out


def _separating(model: str | Separator) -> Separating:
    """What gives the stems of the sum of ``{source: [T]}``. Oracles are told these sources, and deliver what they make."""
    oracle = oracle_name(model) if isinstance(model, str) else None
    separator = load(model) if isinstance(model, str) and oracle is None else model

    def stems(references: Mapping[str, Audio], sample_rate: int) -> Stems:
        mixture = Signal(np.sum(list(references.values()), axis=0)[None], sample_rate)
        if oracle is None:
            assert not isinstance(separator, str)
            return separate(separator, mixture, Options(device="cpu"))
        told = build_oracle(oracle, sources=list(references), sample_rate=sample_rate)
        truth = {name: ArrayReader(Signal(samples[None], sample_rate)) for name, samples in references.items()}
        options = Options(device="cpu", consistency=False)
        return separate(told, mixture, options, side=reference_side(truth, told.spec))

    return stems


def _si_sdr(reference: Audio, estimate: Audio) -> float:
    """Of ``[T]`` twice."""
    return si_sdr(torch.from_numpy(reference)[None, None], torch.from_numpy(estimate)[None, None]).item()


def _mono(path: Path, sample_rate: int) -> Audio:
    with open_reader(path) as reader:
        samples = reader.read(0, reader.length).mean(0)
        return resample(samples, reader.sample_rate, sample_rate) if reader.sample_rate != sample_rate else samples


def _at_level(x: Audio) -> Audio:
    """A root mean square of 0.1 over the windows (25 ms at most) that are not silent."""
    window = max(1, min(1024, x.size))
    power = np.square(x[: x.size // window * window].reshape(-1, window)).mean(1)
    return x * np.float32(0.1 / max(np.sqrt(power[power > 1e-3 * power.max()].mean()), 1e-9))


def _level_db(x: Audio) -> float:
    return float(10 * np.log10(np.square(x, dtype=np.float64).mean() + 1e-12))


def _row(
    task: str,
    metric: str,
    values: list[float],
    clusters: list[str],
    data: str,
    of: str,
    weights: Sequence[float] | None = None,
) -> Row:
    interval = cluster_bootstrap(values, clusters, weights=weights)
    return Row(task, metric, "dB", *interval, len(values), f"{len(set(clusters))} {of}", data)


def _say(progress: Callable[[str], None] | None, message: str) -> None:
    if progress is not None:
        progress(message)
