"""Where chunks lie: on the grid, one after the other, over the whole recording."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.audio import ArrayReader, grid, resample
from separation.engine.chunks import MATCHED, SHORTEST, ChunkReader, plan, read_beyond
from separation.engine.options import Options
from separation.errors import JobError, NonFiniteAudio
from separation.models.protocol import Spec
from separation.signals import Samples, Signal


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 44101]),
    st.sampled_from([8000, 16000, 44100]),
    st.integers(1, 3_000_000),
    st.floats(1.0, 20.0),
    st.floats(0.0, 0.49),
    st.floats(0.0, 1.0),
    st.integers(1, 4096),
)
def test_chunks_cover_the_recording(
    rate: int, model_rate: int, length: int, segment: float, part: float, fade: float, multiple: int
) -> None:
    spec = Spec(model_rate, 1, ("all",), segment, segment * part, multiple)
    layout = plan(spec, rate, length, Options(fade=fade))
    step, _ = grid(rate, model_rate)
    assert layout.stride > 0 and layout.stride % step == layout.context % step == layout.margin % step == 0
    assert 0 <= layout.fade <= layout.stride
    assert layout.context >= spec.context * rate
    assert layout.model_length % multiple == 0
    assert layout.count * layout.stride + layout.fade >= length, "the end is not covered"
    assert (layout.count - 1) * layout.stride < length, "the last chunk holds no sample of the recording"
    assert layout.kept.stop + layout.context <= layout.span, "the kept part has no context behind it"
    assert layout.count >= layout.minimal >= 1 or layout.count == 1


def test_the_chunks_of_a_known_recording() -> None:
    spec = Spec(8000, 1, ("all",), segment=4.0, context=0.5)
    layout = plan(spec, 8000, 8 * 8000, Options(fade=0.1))
    # Three seconds kept, 2.9 apart: three chunks, spread evenly over eight seconds.
    assert (layout.count, layout.minimal, layout.context, layout.fade) == (3, 3, 4000, 800)
    assert layout.stride == -(-(64000 - 800) // 3)
    assert layout.model_length == 2 * 4000 + layout.stride + 800 < 4 * 8000


def test_a_short_recording_is_not_padded_to_a_whole_segment() -> None:
    spec = Spec(8000, 1, ("all",), segment=20.0, context=0.5)
    assert plan(spec, 8000, 16000, Options()).model_length == 16000 + 2 * 4000
    assert plan(spec, 8000, 1, Options()).model_length == 8001
    assert plan(Spec(8000, 1, ("all",), segment=5.0, context=0.0), 8000, 1, Options()).model_length == SHORTEST * 8000


@pytest.mark.parametrize("fade", [0.0, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("segment", [0.5, 1.0, 4.0])
def test_neighbours_of_a_swapping_model_share_a_second(fade: float, segment: float) -> None:
    spec = Spec(8000, 1, ("one", "two"), segment, 0.05, permutation_invariant=True)
    layout = plan(spec, 8000, 60 * 8000, Options(fade=fade))
    assert layout.count > 1
    assert layout.model_length - layout.stride >= MATCHED * 8000


def test_a_segment_that_is_all_context_is_refused() -> None:
    with pytest.raises(JobError, match=r"chunks of 1 s.*0\.5 s of context.*above 1 s"):
        plan(Spec(8000, 1, ("all",), 4.0, 0.5), 8000, 8000, Options(segment=1.0))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(-100, 59), st.integers(1, 200))
def test_reflection(length: int, start: int, count: int) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)[None]
    found = read_beyond(ArrayReader(Signal(samples, 8000)), start, count)
    for position, value in zip(range(start, start + count), found[0], strict=True):
        mirrored = -position if position < 0 else position
        mirrored = 2 * (length - 1) - mirrored if mirrored >= length else mirrored
        inside = 0 <= mirrored < length and -length < position < 2 * length - 1
        assert value == (mirrored + 1 if inside else 0)


def test_beyond_the_ends_is_silence_or_the_recording_backwards() -> None:
    samples = np.random.default_rng(0).uniform(0.1, 1, (1, 8000)).astype(np.float32)
    for silent in (True, False):
        spec = Spec(8000, 1, ("one", "two"), 4.0, 0.25, silent_ends=silent)
        layout = plan(spec, 8000, 8000, Options())
        heard = ChunkReader(ArrayReader(Signal(samples, 8000)), layout).read(0)[1][0]
        before, after = heard[: layout.context], heard[layout.context + 8000 :]
        np.testing.assert_array_equal(heard[layout.context :][:8000], samples[0])
        assert after.size >= layout.context
        if silent:
            assert not before.any() and not after.any()
        else:
            np.testing.assert_array_equal(before, samples[0, layout.context : 0 : -1])


@pytest.mark.parametrize("rates", [(44100, 16000), (16000, 44100), (44100, 44100), (48000, 44100), (8000, 11025)])
def test_a_chunk_is_the_same_stretch_of_the_whole_recording_resampled(rates: tuple[int, int]) -> None:
    rate, model_rate = rates
    samples = np.random.default_rng(0).standard_normal((2, 6 * rate)).astype(np.float32)
    whole = resample(samples, rate, model_rate)
    layout = plan(Spec(model_rate, 2, ("all",), 1.0, 0.1), rate, samples.shape[1], Options())
    assert layout.count > 4
    reader = ChunkReader(ArrayReader(Signal(samples, rate)), layout)
    for index in (2, 1, *range(1, layout.count - 1)):  # also back again, as when memory was short, and one twice
        wide, heard = reader.read(index)
        start = layout.start(index)
        assert np.array_equal(wide, samples[:, start : start + layout.span])
        first = layout.to_model(start)
        assert first * rate == start * model_rate, "the chunk starts between two samples of the model's rate"
        assert np.abs(heard - whole[:, first : first + layout.model_length]).max() < 1e-5


def test_what_neighbours_share_is_read_once() -> None:
    class Counting(ArrayReader):
        count = 0

        def read(self, start: int, length: int) -> Samples:
            self.count += length
            return super().read(start, length)

    reader = Counting(Signal(np.ones((1, 441_000), np.float32), 44100))
    layout = plan(Spec(16000, 1, ("all",), 2.0, 0.5), 44100, reader.length, Options())
    chunks = ChunkReader(reader, layout)
    for index in range(layout.count):
        chunks.read(index)
    reflected = 2 * (layout.context + layout.margin) + layout.span
    assert layout.count > 8 and reader.length <= reader.count <= reader.length + reflected


def test_nan_in_a_recording_is_found_with_its_time() -> None:
    samples = np.zeros((2, 16000), np.float32)
    samples[1, 12345] = np.nan
    layout = plan(Spec(8000, 2, ("all",), 4.0, 0.0), 8000, 16000, Options())
    with pytest.raises(NonFiniteAudio, match=r"1\.543 s"):
        ChunkReader(ArrayReader(Signal(samples, 8000)), layout).read(0)
