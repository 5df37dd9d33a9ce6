"""NMF against scikit-learn's and librosa's: time and objective in one run, from the same start, in turns.

    python -m benchmarks.components [--pairs N] [--seconds S]

Speech of one of the bundled examples, 513 bins, 40 components, 100 updates of both factors, float32 on both sides. Ratios are
ours over theirs: below 1 is faster, or nearer to the data. librosa's line is `librosa.decompose.decompose` as it comes:
scikit-learn's coordinate descent on the Euclidean distance, from a start and with a number of steps of its own choice.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.bench import ROOT, line, ratio
from separation.audio import open_reader, resample
from separation.models import build
from separation.models.components import ComponentModel
from separation.models.nmf import OBJECTIVES, Factorisation, matrix

SPEECH = ROOT / "assets" / "examples" / "two-speakers" / "speaker-1.flac"
COMPONENTS = 40
STEPS = 100
FRAMES = 8  # of a patch of convolutive NMF

Floats = NDArray[np.float32]
Factors = tuple[Floats, Floats]  # the dictionary [F, K] and the activations [K, T]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="alternating pairs per ratio")
    parser.add_argument("--seconds", type=float, default=10.0, help="of speech")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    magnitudes = speech(SPEECH, options.seconds)
    print(f"{magnitudes.shape[1]} frames of speech, {COMPONENTS} components, {STEPS} updates of both factors")
    print(f"{'what':58s} figure")
    components(magnitudes, options.pairs)


def components(magnitudes: Tensor, pairs: int) -> None:
    """All lines of this benchmark."""
    rng = np.random.default_rng(0)
    bins, frames = magnitudes.shape
    start = rng.random((bins, COMPONENTS), dtype=np.float32), rng.random((COMPONENTS, frames), dtype=np.float32)
    for name in OBJECTIVES:
        versus(
            f"NMF ({name}) / scikit-learn's, same start",
            name,
            magnitudes,
            lambda name=name: ours(magnitudes, start, name),  # type: ignore[misc]
            lambda name=name: scikit_learn(magnitudes, start, name),  # type: ignore[misc]
            pairs,
        )
    versus(
        "NMF (euclidean) / librosa.decompose as it comes",
        "euclidean",
        magnitudes,
        lambda: ours(magnitudes, start, "euclidean"),
        lambda: librosa(magnitudes),
        pairs,
    )
    patches = torch.from_numpy(rng.random((COMPONENTS, bins, FRAMES), dtype=np.float32))
    value, seconds = ratio(
        lambda: factorised(magnitudes, matrix(patches), start[1], "kl", FRAMES),
        lambda: ours(magnitudes, start, "kl"),
        pairs,
    )
    line(f"convolutive NMF (kl, {FRAMES} frames) / NMF", f"{value:.1f} of the time ({seconds:.1f} s)")


def versus(
    what: str,
    objective: str,
    magnitudes: Tensor,
    mine: Callable[[], Factors],
    theirs: Callable[[], Factors],
    pairs: int,
) -> None:
    """One line: the ratio of times, and that of the objectives that are reached."""
    value, seconds = ratio(mine, theirs, pairs)
    reached = [distance(magnitudes, factors, objective) for factors in (mine(), theirs())]
    line(what, f"{value:.2f} of the time ({seconds:.1f} s), {reached[0] / reached[1]:.4f} of the objective")


def speech(path: Path, seconds: float) -> Tensor:
    """Magnitudes ``[F, T]`` as models made of components hear them."""
    model = build("nmf", {})
    assert isinstance(model, ComponentModel)
    with open_reader(path) as reader:
        samples = reader.read(0, min(reader.length, int(seconds * reader.sample_rate)))
        clip = resample(samples.mean(0), reader.sample_rate, model.spec.sample_rate)
    return model.gather([torch.from_numpy(clip)])


def ours(magnitudes: Tensor, start: Factors, objective: str) -> Factors:
    work = factorised(magnitudes, torch.from_numpy(start[0]), start[1], objective, 1)
    return work.dictionary[0].numpy(), work.activations[0].numpy()


def factorised(
    magnitudes: Tensor, dictionary: Tensor, activations: Floats, objective: str, frames: int
) -> Factorisation:
    work = Factorisation(
        magnitudes[None], dictionary[None], torch.from_numpy(activations)[None], objective=objective, frames=frames,
        free=slice(COMPONENTS),
    )  # fmt: skip
    for _ in range(STEPS):
        work.step()
    return work


def scikit_learn(magnitudes: Tensor, start: Factors, objective: str) -> Factors:
    """Of the transpose, because scikit-learn updates its first factor first, and we the activations."""
    from sklearn.decomposition import non_negative_factorization

    observed = np.ascontiguousarray(magnitudes.T.numpy()) + np.float32(1e-7)  # it refuses zeros for Itakura and Saito
    activations, dictionary, _ = non_negative_factorization(
        observed, W=np.ascontiguousarray(start[1].T), H=np.ascontiguousarray(start[0].T), n_components=COMPONENTS,
        init="custom", solver="mu", max_iter=STEPS, tol=0,
        beta_loss={"kl": "kullback-leibler", "euclidean": "frobenius", "itakura_saito": "itakura-saito"}[objective],
    )  # fmt: skip
    return dictionary.T, activations.T


def librosa(magnitudes: Tensor) -> Factors:
    from librosa.decompose import decompose
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops after 200 steps, and says so
        dictionary, activations = decompose(magnitudes.numpy(), n_components=COMPONENTS)
    return dictionary, activations


def distance(magnitudes: Tensor, factors: Factors, objective: str) -> float:
    """The objective of any factors, as we count it; the model is not updated."""
    dictionary, activations = (torch.from_numpy(np.ascontiguousarray(factor))[None] for factor in factors)
    return float(Factorisation(magnitudes[None], dictionary, activations, objective=objective).loss())


if __name__ == "__main__":
    main()
