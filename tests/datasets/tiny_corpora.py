"""The corpora that recipes read, in their real layouts, with a fraction of a second of noise in each file."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile as sf

from separation.datasets import mir1k, packages


def wav(path: Path, *, seconds: float = 0.3, sample_rate: int = 8000, channels: int = 1, level: float = 0.1) -> Path:
    """A file of noise, the same for the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(path.name.encode()))
    samples = level * rng.standard_normal((round(seconds * sample_rate), channels))
    sf.write(path, samples, sample_rate)
    return path


def make_mir1k(folder: Path, songs: Iterable[str] = ()) -> Path:
    """Two clips a song; by default three songs a singer, those that share backings among them."""
    singers = (*mir1k.TRAIN_SINGERS, *mir1k.VALIDATION_SINGERS, *mir1k.TEST_SINGERS)
    shared = [song for group in mir1k.SHARED_BACKINGS for song in group]
    for song in songs or sorted({*shared, *(f"{singer}_{i}" for singer in singers for i in (1, 9))}):
        for part in ("01", "02"):
            for half in ("voice", "music"):
                wav(folder / song.split("_")[0] / f"{song}_{part}.{half}.wav", sample_rate=16_000)
    return folder


def make_librispeech(folder: Path) -> Path:
    """Training part with two speakers, validation part with four, two of them kept for the test; medians for some."""
    for part, speakers in (("train", (19, 26)), ("validation", (2609, 367, 84, 116))):
        for speaker in speakers:
            for utterance in ("0000", "0001"):
                wav(folder / part / f"{speaker}-198-{utterance}.wav")
    table = "utterance,median_f0_hz\n19-198-0000,210.5\n26-198-0000,101\n84-198-0000,190\n116-198-0000,110\n"
    (folder / "utterances.csv").write_text(table)
    return folder


def make_tsp(folder: Path) -> Path:
    for speaker in ("FA", "FB", "MC", "MD"):
        for sentence in ("01", "02"):
            wav(folder / speaker / f"{speaker}{sentence}.wav")
    return folder


def make_packages(root: Path) -> Path:
    """Music of every package, and prompts; four pieces where the packages are shared between the sides."""
    for folder in packages.TRAIN_ONLY.values():
        wav(root / folder / "one.wav", channels=2)
    for folder in packages.SHARED.values():
        for name in ("a", "b", "c", "d"):
            wav(root / folder / f"{name}.ogg", channels=2)
    for folder in packages.TWO_STEM.values():
        wav(root / folder / "song1" / "guitar.ogg")
        wav(root / folder / "song1" / "song.ogg")
    for folder in packages.PROMPTS.values():
        wav(root / folder / "welcome.wav")
        wav(root / folder / "digits" / "1.wav")
    return root


def make_choir(folder: Path, singing: Iterable[str] = ("soprano", "alto", "tenor", "bass")) -> Path:
    """Sixteen singers; who is not singing rests, for to find the pitch of noise takes a while."""
    for voice in ("soprano", "alto", "tenor", "bass"):
        for singer in range(1, 5):
            name = folder / f"CSD_ND_{voice}_{singer}.wav"
            wav(name, sample_rate=16_000, level=0.1 if voice in singing else 0.0)
    return folder


def make_all(folder: Path) -> Path:
    """The data folder of `earshot train`."""
    make_mir1k(folder / "mir1k")
    make_librispeech(folder / "librispeech")
    make_tsp(folder / "tsp")
    make_packages(folder / "debian")
    make_choir(folder / "csd_nino_dios", singing=["alto"])
    return folder
