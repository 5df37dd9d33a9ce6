"""BSS-eval block by block: the values of the whole at once, however it is cut."""

from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from separation.errors import ShapeError
from separation.metrics import bss_eval_v4
from separation.metrics.bss_eval.streamed import StreamedBssEval


@settings(max_examples=30)
@given(
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(20, 400),
    st.lists(st.integers(1, 400), max_size=3),
    st.integers(1, 20),
)
def test_blocks_make_no_difference_to_bss_eval(
    sources: int, channels: int, length: int, cuts: list[int], taps: int
) -> None:
    assume(2 * sources * channels * taps <= length)  # else the filters fit anything, and in more than one way
    generator = torch.Generator().manual_seed(length)
    reference = torch.randn(sources, channels, length, generator=generator)
    estimate = (
        reference + 0.3 * reference.roll(1, 0).roll(2, -1) + 0.1 * torch.randn(reference.shape, generator=generator)
    )
    window = max(1, length // 3)
    streamed, edges = StreamedBssEval(taps), sorted({0, length, *(cut for cut in cuts if cut < length)})
    for start, stop in pairwise(edges):
        streamed.fit(reference[..., start:stop], estimate[..., start:stop])
    whole = length // window * window
    mine = streamed.scores(reference[..., :whole], estimate[..., :whole], window)
    expected = bss_eval_v4(reference, estimate, window=window, taps=taps)
    for got, right in zip(mine[:4], expected[:4], strict=True):
        assert got is not None and right is not None
        audible = right < 80  # beyond that lies the rounding of sums
        torch.testing.assert_close(got[audible], right[audible], atol=1e-3, rtol=0)


def test_silence_is_no_score_as_in_the_whole() -> None:
    reference = torch.randn(2, 1, 3000, generator=torch.Generator().manual_seed(1))
    reference[1, :, 1000:2000] = 0
    estimate = reference + 0.1
    streamed = StreamedBssEval(taps=8)
    streamed.fit(reference, estimate)
    mine, whole = streamed.scores(reference, estimate, 1000), bss_eval_v4(reference, estimate, window=1000, taps=8)
    assert mine.sdr.isnan().tolist() == [[False, True, False]] * 2
    for got, right in zip(mine[:4], whole[:4], strict=True):
        assert got is not None
        torch.testing.assert_close(got, right, equal_nan=True)
    silent = torch.zeros(2, 1, 3000)
    nothing = StreamedBssEval(taps=8)
    nothing.fit(silent, silent)
    assert nothing.scores(silent, silent, 1000).sdr.isnan().all()


def test_what_does_not_fit_is_refused() -> None:
    streamed, block = StreamedBssEval(taps=8), torch.ones(2, 1, 100)
    with pytest.raises(ShapeError, match="Fit all blocks first"):
        streamed.scores(block, block, 50)
    with pytest.raises(ShapeError, match="block by block"):
        streamed.fit(block, block[:1])
    streamed.fit(block, block)
    with pytest.raises(ShapeError, match="whole windows"):
        streamed.scores(block, block, 30)
