"""The same voice on the same track, whatever order the model gives."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.audio import ArrayReader
from separation.engine import Options, run
from separation.engine.chunks import plan
from separation.engine.stitch import Stitcher, arranged, assign
from separation.models.protocol import Spec
from separation.signals import Signal
from tests.fakes import Swapping, Track

RATE = 8000


def voice(low_hz: float, high_hz: float, duration: float, seed: int) -> np.ndarray:
    """Noise in a band with the rhythm of syllables: 4 a second, with gaps."""
    random = np.random.default_rng(seed)
    length = round(duration * RATE)
    spectrum = np.fft.rfft(random.standard_normal(length))
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    spectrum[(frequency < low_hz) | (frequency > high_hz)] = 0
    syllables = np.clip(np.sin(2 * np.pi * 4 * np.arange(length) / RATE + random.uniform(0, 6)) + 0.5, 0, 1)
    sound = np.fft.irfft(spectrum, length) * syllables
    return 0.1 * sound / sound.std()


def pause(duration: float) -> np.ndarray:
    return np.zeros(round(duration * RATE))


def separated(low: np.ndarray, high: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Run the swapping separator on the sum; the tracks in the order in which they begin: low voice first."""
    sinks = {"one": Track(), "two": Track()}
    signal = Signal((low + high)[None], RATE)
    report = run(Swapping(seed=seed), ArrayReader(signal), sinks, options=Options(device="cpu"))
    one, two = (sink.samples[0] for sink in sinks.values())
    start = slice(0, RATE)
    if np.square(one[start] - low[start]).sum() > np.square(two[start] - low[start]).sum():
        one, two = two, one
    return one, two, report.uncertain_boundaries


def snr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    return float(10 * np.log10(np.square(reference).sum() / np.square(reference - estimate).sum()))


@pytest.mark.parametrize("seed", range(4))
def test_voices_stay_on_their_tracks_over_a_pause_of_five_seconds(seed: int) -> None:
    low = np.concatenate([voice(100, 900, 6, 0), pause(5), voice(100, 900, 6, 1)])
    high = np.concatenate([voice(1200, 3500, 6, 2), pause(5), voice(1200, 3500, 6, 3)])
    one, two, uncertain = separated(low, high, seed)
    assert snr_db(low, one) > 20 and snr_db(high, two) > 20
    assert uncertain == ()


@pytest.mark.parametrize("seed", range(4))
def test_one_voice_alone_finds_its_track_again_after_a_pause(seed: int) -> None:
    low = np.concatenate([voice(100, 900, 4, 0), pause(5), pause(4), voice(100, 900, 4, 1)])
    high = np.concatenate([voice(1200, 3500, 4, 2), pause(5), voice(1200, 3500, 4, 3), pause(4)])
    one, two, _ = separated(low, high, seed)
    assert snr_db(low, one) > 20 and snr_db(high, two) > 20


def swapped_chunks(sources: list[np.ndarray], order: list[tuple[int, ...]], segment: float) -> tuple[Stitcher, list]:
    """True sources cut into the chunks of a plan, each chunk in its own order."""
    spec = Spec(RATE, 1, tuple("abcdef"[: len(sources)]), segment, 0.1, permutation_invariant=True)
    layout = plan(spec, RATE, len(sources[0]), Options())
    padded = np.pad(np.stack(sources), [(0, 0), (layout.context, layout.model_length)]).astype(np.float32)
    chunks = []
    for index in range(layout.count):
        first = layout.start(index) + layout.context
        cut = padded[list(order[index % len(order)]), first : first + layout.model_length]
        chunks.append(cut[:, None])
    return Stitcher(len(sources), layout), chunks


def whole(stitcher: Stitcher, chunk: np.ndarray) -> tuple[tuple[int, ...], bool]:
    """Order and certainty of a chunk in one piece."""
    (piece,) = stitcher.pieces(chunk)
    assert (piece.start, piece.stop) == (0, chunk.shape[-1])
    return piece.order, piece.sure


def test_a_model_that_changes_its_order_in_a_pause_inside_a_chunk_is_put_right() -> None:
    low = np.concatenate([voice(100, 900, 3, 0), pause(3), voice(100, 900, 3, 1)])
    high = np.concatenate([voice(1200, 3500, 3, 2), pause(3), voice(1200, 3500, 3, 3)])
    middle = round(4.5 * RATE)
    one, two = (np.concatenate([a[:middle], b[middle:]]) for a, b in ((low, high), (high, low)))
    stitcher, (chunk,) = swapped_chunks([one, two], [(0, 1)], 12.0)
    pieces = stitcher.pieces(chunk)
    assert [(piece.order, piece.sure) for piece in pieces] == [((0, 1), True), ((1, 0), True)]
    assert 3 * RATE < pieces[0].stop < 6 * RATE, "cut in the pause"
    found = arranged(chunk, pieces)[:, 0]
    _, (expected,) = swapped_chunks([low, high], [(0, 1)], 12.0)
    assert np.array_equal(found, expected[:, 0])
    frames = chunk.shape[-1] // 64
    masks = np.arange(2.0)[:, None].repeat(frames, axis=1)
    second = arranged(masks, pieces)[0]
    assert second.sum() == frames - round(frames * pieces[0].stop / chunk.shape[-1]), (
        "masks follow, whatever their frames"
    )


def test_voices_that_cannot_be_told_apart_keep_their_order_and_are_marked() -> None:
    alike = [np.concatenate([voice(200, 3000, 4, s), pause(6), voice(200, 3000, 4, s + 9)]) for s in (1, 2)]
    stitcher, chunks = swapped_chunks(alike, [(0, 1)], 2.0)
    answers = [whole(stitcher, chunk) for chunk in chunks]
    assert [order for order, _ in answers] == [(0, 1)] * len(chunks)
    doubtful = [index for index, (_, sure) in enumerate(answers) if not sure]
    assert len(doubtful) == 1, "only where the voices come back"


def test_a_doubtful_boundary_is_reported_in_seconds() -> None:
    alike = [np.concatenate([voice(200, 3000, 4, s), pause(6), voice(200, 3000, 4, s + 9)]) for s in (1, 2)]

    class Halves(Swapping):
        """Two halves of one voice: nothing tells them apart."""

        def split(self, mixture):
            return mixture.unsqueeze(1).repeat(1, 2, 1, 1) / 2

    report = run(Halves(), ArrayReader(Signal(alike[0][None], RATE)), {}, options=Options(device="cpu"))
    assert report.chunks > 5
    assert all(0 < second < 14 for second in report.uncertain_boundaries)
    # Wherever it sounds on both sides; in the pause there is nothing to confuse.
    assert len(report.uncertain_boundaries) >= 4
    assert not [second for second in report.uncertain_boundaries if 5 < second < 7]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.permutations(range(3)), min_size=3, max_size=12), st.integers(0, 99))
def test_three_voices_in_any_order(orders: list, seed: int) -> None:
    sources = [voice(a, b, 12, seed + i) for i, (a, b) in enumerate([(100, 600), (700, 1500), (1800, 3500)])]
    stitcher, chunks = swapped_chunks(sources, [tuple(order) for order in orders], 2.0)
    first = None
    for index, chunk in enumerate(chunks):
        order, sure = whole(stitcher, chunk)
        truth = tuple(orders[index % len(orders)][j] for j in order)
        first = truth if first is None else first
        assert sure and truth == first


def test_a_silent_source_among_three_does_not_make_the_others_doubtful() -> None:
    sources = [voice(100, 600, 8, 0), np.zeros(8 * RATE), np.zeros(8 * RATE)]
    stitcher, chunks = swapped_chunks(sources, [(0, 1, 2), (2, 0, 1)], 2.0)
    for index, chunk in enumerate(chunks):
        order, sure = whole(stitcher, chunk)
        assert sure
        assert order[0] == (0 if index % 2 == 0 else 1), "the voice is on the first track"


def test_silence_all_the_way_is_nothing_to_be_unsure_of() -> None:
    stitcher, chunks = swapped_chunks([np.zeros(5 * RATE)] * 2, [(0, 1)], 2.0)
    assert [whole(stitcher, chunk) for chunk in chunks] == [((0, 1), True)] * len(chunks)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(2, 4), st.integers(0, 10_000))
def test_assignment_and_its_margin_against_all_permutations(size: int, seed: int) -> None:
    score = np.random.default_rng(seed).standard_normal((size, size))
    totals = {p: sum(score[i, j] for i, j in enumerate(p)) for p in permutations(range(size))}
    best = max(totals, key=totals.__getitem__)
    second = max(total for p, total in totals.items() if p != best)
    order, margin = assign(score, np.ones(size, bool))
    assert order == best
    assert margin == pytest.approx(totals[best] - second, abs=1e-9)
