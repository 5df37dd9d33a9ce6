"""Every layout in miniature: a fraction of a second of noise in each file, mixtures that are exact sums."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from tests.datasets.tiny_corpora import make_librispeech, make_mir1k, make_tsp

Int16 = NDArray[np.int16]
LENGTH = 1600
MUSDB18_STEMS = ("drums", "bass", "other", "vocals")
MUSDB18_SONGS = {
    "train": ("Actions - Devil's Words", "Actions - One Minute Smile", "Somebody - Song"),
    "test": ("Somebody Else - Tune",),
}
WSJ0_NAMES = {
    "tr": ("01to030v_0.7623_409o0317_-0.7623", "409a0101_1.2_01tc020a_-1.2"),
    "cv": ("01to0310_0_409o031a_0",),
    "tt": ("050a0501_1.7783_442o030z_-1.7783",),
}
LIBRI_NAMES = {
    "train-100": ("103-1240-0003_1235-135887-0017",),
    "train-360": ("100-121669-0004_3180-138043-0053",),
    "dev": ("1272-128104-0000_2035-147961-0014",),
    "test": ("4077-13754-0001_5142-33396-0065",),
}


def noise(name: str, *, length: int = LENGTH, channels: int = 1) -> Int16:
    """int16 ``[T, C]``, the same for the same name and different for every other."""
    rng = np.random.default_rng(list(name.encode()))
    return rng.integers(-3000, 3000, (length, channels), np.int16)


def write(path: Path, samples: NDArray[Any], sample_rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, sample_rate)
    return path


def write_sum(path: Path, stems: Iterable[Int16], sample_rate: int = 8000) -> Path:
    return write(path, np.sum(list(stems), axis=0, dtype=np.int16), sample_rate)


def write_streams(path: Path, streams: Iterable[NDArray[np.float32]], sample_rate: int = 44100) -> Path:
    """A real ``stem.mp4``: one stereo AAC stream for each float32 ``[2, T]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    signals = list(streams)
    with av.open(str(path), "w", format="mp4") as container:
        coders = [container.add_stream("aac", rate=sample_rate, layout="stereo", bit_rate=256_000) for _ in signals]
        for start in range(0, signals[0].shape[1], 1024):
            for coder, signal in zip(coders, signals, strict=True):
                block = np.ascontiguousarray(signal[:, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = sample_rate, start
                container.mux(coder.encode(frame))
        for coder in coders:
            container.mux(coder.encode(None))
    return path


def tones(base_hz: float, seconds: float = 0.3, sample_rate: int = 44100) -> dict[str, NDArray[np.float32]]:
    """A tone a stem of MUSDB18, an octave apart, and their sum: float32 ``[2, T]``."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    stems = {
        name: np.stack([0.1 * np.sin(2 * np.pi * hz * time), 0.05 * np.sin(2 * np.pi * hz * time)]).astype(np.float32)
        for name, hz in zip(MUSDB18_STEMS, (base_hz, 2 * base_hz, 4 * base_hz, 8 * base_hz), strict=True)
    }
    return {"mixture": np.sum(list(stems.values()), axis=0), **stems}


def make_musdb18(folder: Path) -> Path:
    for side, songs in MUSDB18_SONGS.items():
        for song in songs:
            write_streams(folder / side / f"{song}.stem.mp4", tones(150 + len(song)).values())
    return folder


def make_musdb18_hq(folder: Path) -> Path:
    for side, songs in MUSDB18_SONGS.items():
        for song in songs:
            stems = {name: noise(song + name, channels=2) for name in MUSDB18_STEMS}
            for name, samples in stems.items():
                write(folder / side / song / f"{name}.wav", samples)
            write_sum(folder / side / song / "mixture.wav", stems.values())
    return folder


def make_moisesdb(folder: Path) -> Path:
    songs = {"0001-aa": ("Ann", "One"), "0002-bb": ("Ann", "Two"), "0003-cc": ("Bob", "Three")}
    for uuid, (artist, title) in songs.items():
        stems = []
        for stem, files in {"vocals": ("lead", "backing"), "drums": ("kit",), "bass": ("di",)}.items():
            listed = [{"id": f"{stem}-{f}", "extension": "wav", "trackType": f, "has_bleed": f == "kit"} for f in files]
            stems.append({"stemName": stem, "id": stem, "tracks": listed})
            for file in listed:
                name = f"{file['id']}.wav"
                write(folder / "moisesdb_v0.1" / uuid / stem / name, noise(uuid + name, channels=2))
        facts = {"song": title, "artist": artist, "genre": "rock", "stems": stems}
        (folder / "moisesdb_v0.1" / uuid / "data.json").write_text(json.dumps(facts))
    return folder


def make_mir1k_original(folder: Path) -> Path:
    for name in ("abjones_1_01", "amy_4_02", "Kenshin_3_01", "titon_2_07"):
        write(folder / "MIR-1K" / "Wavfile" / f"{name}.wav", noise(name, channels=2), 16_000)
    (folder / "MIR-1K" / "PitchLabel").mkdir()
    return folder / "MIR-1K"


def make_mir1k_undivided(folder: Path) -> Path:
    for name in ("abjones_1", "amy_4", "titon_2"):
        write(folder / "UndividedWavfile" / f"{name}.wav", noise(name, channels=2), 16_000)
    return folder / "UndividedWavfile"


def make_mixtures(
    root: Path, names: Mapping[str, Iterable[str]], mixtures: Mapping[str, tuple[str, ...]], speakers: int = 2
) -> Path:
    """Below `root`: a folder a side, in it ``s1``, …, ``noise`` if a mixture has it, and the mixtures."""
    heard = {f"s{i + 1}" for i in range(speakers)} | {name for parts in mixtures.values() for name in parts}
    for side, files in names.items():
        for file in files:
            stems = {name: noise(f"{side}{file}{name}") for name in heard}
            for name, samples in stems.items():
                write(root / side / name / f"{file}.wav", samples)
            for mixture, parts in mixtures.items():
                write_sum(root / side / mixture / f"{file}.wav", [stems[name] for name in parts])
    return root


def make_wsj0_mix(folder: Path) -> Path:
    make_mixtures(folder / "2speakers" / "wav8k" / "min", WSJ0_NAMES, {"mix": ("s1", "s2")})
    return folder


def make_wham(folder: Path) -> Path:
    mixtures = {"mix_both": ("s1", "s2", "noise"), "mix_clean": ("s1", "s2"), "mix_single": ("s1", "noise")}
    make_mixtures(folder / "wav16k" / "max", WSJ0_NAMES, mixtures)
    return folder


def make_wham_clean(folder: Path) -> Path:
    return make_mixtures(folder, WSJ0_NAMES, {"mix_clean": ("s1", "s2")})


def make_wham_single(folder: Path) -> Path:
    return make_mixtures(folder, WSJ0_NAMES, {"mix_single": ("s1", "noise")})


def make_librimix(folder: Path) -> Path:
    mixtures = {"mix_both": ("s1", "s2", "noise"), "mix_clean": ("s1", "s2"), "mix_single": ("s1", "noise")}
    make_mixtures(folder / "Libri2Mix" / "wav8k" / "min", LIBRI_NAMES, mixtures)
    (folder / "Libri2Mix" / "wav8k" / "min" / "metadata").mkdir()
    return folder


def make_librimix_clean(folder: Path) -> Path:
    names = {
        side: tuple(f"{file}_777-1-0001" for file in files) for side, files in LIBRI_NAMES.items() if side == "test"
    }
    return make_mixtures(folder / "wav16k" / "min", names, {"mix_clean": ("s1", "s2", "s3")}, 3).parents[1]


def make_librimix_single(folder: Path) -> Path:
    return make_mixtures(folder, LIBRI_NAMES, {"mix_single": ("s1", "noise")})


def make_fuss(folder: Path) -> Path:
    for part, foregrounds in {"train": 2, "validation": 1, "eval": 0}.items():
        place = folder / "ssdata" / part
        names = ["background0_sound", *(f"foreground{i}_sound" for i in range(foregrounds))]
        stems = {name: noise(part + name) for name in names}
        for name, samples in stems.items():
            write(place / "example00000_sources" / f"{name}.wav", samples, 16_000)
        write_sum(place / "example00000.wav", stems.values(), 16_000)
        events = [{"time": 0.0, "value": {"source_file": f"fsd_data/{part}/sound/{part}{n}.wav"}} for n in names]
        (place / "example00000.jams").write_text(json.dumps({"annotations": [{"data": events}]}))
    return folder


def make_choral(folder: Path) -> Path:
    for piece in ("ER", "ND"):
        for voice in ("soprano", "alto", "tenor", "bass"):
            for singer in range(1, 5):
                write(folder / f"CSD_{piece}_{voice}_{singer}.wav", noise(f"{piece}{voice}{singer}"))
    return folder


def make_frets_on_fire(folder: Path) -> Path:
    for song, names in {"pack/one": ("guitar", "song"), "pack/two": ("guitar", "song", "rhythm")}.items():
        for name in (*names, "preview"):
            write(folder / song / f"{name}.ogg", noise(song + name, length=8000, channels=2), 44100)
        (folder / song / "song.ini").write_text(f"[song]\nname = {song[-3:]}\nartist = The 100 %\n")
    return folder


def make_folder(folder: Path) -> Path:
    for side, tracks in {"train": ("a", "b"), "test": ("c",)}.items():
        for track in tracks:
            stems = {name: noise(track + name, channels=2) for name in ("vocals", "accompaniment")}
            for name, samples in stems.items():
                write(folder / side / track / f"{name}.wav", samples)
            write_sum(folder / side / track / "mixture.wav", stems.values())
    return folder


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "musdb18": make_musdb18,
    "musdb18_hq": make_musdb18_hq,
    "moisesdb": make_moisesdb,
    "mir1k": lambda folder: make_mir1k(folder, ["abjones_1", "bug_2", "geniusturtle_1"]),
    "mir1k_original": make_mir1k_original,
    "mir1k_undivided": make_mir1k_undivided,
    "wsj0_mix": make_wsj0_mix,
    "wham": make_wham,
    "wham_clean": make_wham_clean,
    "wham_single": make_wham_single,
    "librimix": make_librimix,
    "librimix_clean": make_librimix_clean,
    "librimix_single": make_librimix_single,
    "fuss": make_fuss,
    "choral": make_choral,
    "frets_on_fire": make_frets_on_fire,
    "librispeech": make_librispeech,
    "speakers": make_tsp,
    "folder": make_folder,
}
"""A folder of every layout, whole, by the layout's name."""
