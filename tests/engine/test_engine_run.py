"""The run itself: what is asked, told and refused, and that memory stays small."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import torch

from separation.audio import ArrayReader, AudioInfo, BaseReader
from separation.engine import RESIDUAL, ChunkView, Options, Progress, run, separate
from separation.errors import Cancelled, EmptyAudio, JobError, ModelError, NonFiniteAudio
from separation.models.protocol import LatentSeparator, Separator
from separation.signals import Signal
from tests import fakes
from tests.fakes import Track

CPU = Options(device="cpu")


class Looker:
    def __init__(self) -> None:
        self.views: list[ChunkView] = []

    def chunk(self, view: ChunkView) -> None:
        self.views.append(view)


@pytest.fixture
def recording() -> Signal:
    return Signal(0.1 * np.random.default_rng(0).standard_normal((2, 50_000)), 8000)


def test_the_fakes_are_separators() -> None:
    made = [fakes.Identity(), fakes.Splitter(1.0), fakes.EdgeDamaging(0.1), fakes.Failing(), fakes.NotFinite()]
    made += [fakes.OutOfMemory(), fakes.Swapping(), fakes.Remembering(), fakes.Guided()]
    assert all(isinstance(fake, Separator) and not isinstance(fake, LatentSeparator) for fake in made)
    assert isinstance(fakes.MaskedSTFT(), LatentSeparator)


def test_only_the_tracks_that_were_asked_for_are_written(recording: Signal) -> None:
    sink = Track()
    report = run(fakes.Splitter(3.0, 0.5), ArrayReader(recording), {"source0": sink}, options=CPU)
    assert report.tracks == ("source0",)
    assert sink.samples.shape == recording.samples.shape
    assert report.peak == pytest.approx(3 * np.abs(recording.samples).max())
    assert report.gain * report.peak < 1 and report.gain == pytest.approx(1 / report.peak, rel=1e-4)
    assert np.array_equal(sink.samples, recording.samples * np.float32(3)), "the gain is reported and not applied"


def test_a_track_that_is_not_there_is_refused(recording: Signal) -> None:
    with pytest.raises(ModelError, match=r"Write drums: .*no such track\. Choose from source0, residual"):
        run(fakes.Splitter(1.0), ArrayReader(recording), {"drums": Track()}, options=CPU)


def test_progress_goes_from_the_first_chunk_to_the_last(recording: Signal) -> None:
    told: list[Progress] = []
    report = run(fakes.Identity(), ArrayReader(recording), {}, options=CPU, progress=told.append)
    assert [p.done for p in told] == list(range(1, report.chunks + 1))
    assert {p.total for p in told} == {report.chunks}
    assert told[-1].fraction == 1 and told[-1].remaining == 0
    assert all(p.remaining > 0 for p in told[:-1])
    assert all(a.elapsed <= b.elapsed for a, b in pairwise(told))


def test_cancelling_stops_before_the_next_model_call(recording: Signal) -> None:
    separator, sink = fakes.Identity(), Track()
    with pytest.raises(Cancelled):
        run(separator, ArrayReader(recording), {"all": sink}, options=CPU, cancelled=lambda: separator.calls >= 3)
    assert separator.calls == 3
    assert np.array_equal(sink.samples, recording.samples[:, : sink.samples.shape[1]]), "what was done is whole"


def test_an_error_of_the_model_is_not_hidden(recording: Signal) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        separate(fakes.Failing(good=2), recording, CPU)


def test_nan_from_a_model_names_the_model_and_the_time(recording: Signal) -> None:
    separator = fakes.NotFinite(call=2, at=0.25, segment=1.0, context=0.1)
    looker = Looker()
    run(fakes.Identity(segment=1.0, context=0.1), ArrayReader(recording), {}, options=CPU, observers=[looker])
    expected = looker.views[2].start / 8000 + 0.25
    with pytest.raises(ModelError, match=rf"NotFinite: it gave NaN or infinity at {expected:.2f} s"):
        separate(separator, recording, CPU)


def test_a_wrong_shape_is_named(recording: Signal) -> None:
    class Short(fakes.Identity):
        def split(self, mixture: torch.Tensor) -> torch.Tensor:
            return mixture.unsqueeze(1)[..., :-1]

    with pytest.raises(ModelError, match=r"Short: it gave \(1, 1, 2, \d+\) instead of \(1, 1, 2, \d+\)"):
        separate(Short(), recording, CPU)


def test_recordings_without_sound_or_with_nan_are_refused() -> None:
    with pytest.raises(EmptyAudio):
        separate(fakes.Identity(), Signal(np.zeros((1, 0)), 8000), CPU)
    broken = np.zeros((1, 20_000), np.float32)
    broken[0, 16_000] = np.inf
    with pytest.raises(NonFiniteAudio, match=r"2\.000 s"):
        separate(fakes.Identity(), Signal(broken, 8000), CPU)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"batch": 0}, "a batch of 0"),
        ({"fade": -1.0}, r"a fade of -1\.0 s"),
        ({"segment": 0.0}, r"a segment of 0\.0 s"),
        ({"fade": float("nan")}, "a fade of nan s"),
        ({"precision": "bf16"}, "a precision of 'bf16'"),
        ({"band": "top"}, "a band of 'top'"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict, found: str) -> None:
    with pytest.raises(JobError, match=found):
        Options(**wrong)


def test_levels_come_back_as_they_were_when_a_model_is_normalised() -> None:
    class Loudness(fakes.Identity):
        def split(self, mixture: torch.Tensor) -> torch.Tensor:
            self.heard = float(mixture.std())
            return mixture.unsqueeze(1)

    quiet = Signal(1e-3 * np.random.default_rng(0).standard_normal((1, 50_000)), 8000)
    separator = Loudness(normalise=True)
    found = separate(separator, quiet, CPU)["all"].samples
    assert separator.heard == pytest.approx(1, abs=0.05)
    assert np.abs(found - quiet.samples).max() < 1e-9
    silence = Signal(np.zeros((1, 9000)), 8000)
    assert not separate(separator, silence, CPU)["all"].samples.any()


def test_side_information_reaches_the_model_for_its_stretch(recording: Signal) -> None:
    def ramp(start: int, length: int) -> dict[str, torch.Tensor]:
        return {"gain": torch.arange(start, start + length) / 50_000}

    sink = Track()
    options = Options(device="cpu", batch=3)
    run(fakes.Guided(), ArrayReader(recording), {"all": sink}, options=options, side=ramp)
    assert np.allclose(sink.samples, recording.samples * (np.arange(50_000) / 50_000), atol=1e-6)
    with pytest.raises(ModelError, match="Guided: it needs gain"):
        separate(fakes.Guided(), recording, CPU)


def test_the_state_is_passed_from_chunk_to_chunk() -> None:
    constant = Signal(np.full((1, 40_000), 0.01), 8000)
    found = separate(fakes.Remembering(), constant, Options(device="cpu", fade=0.0))["all"].samples[0]
    steps = np.round(found / 0.01).astype(int)
    assert steps[0] == 1 and steps[-1] > 4
    assert set(np.diff(steps)) == {0, 1}


@pytest.mark.parametrize("channels", [1, 2])
def test_looking_changes_nothing_and_sees_every_sample_once(recording: Signal, channels: int) -> None:
    signal = Signal(recording.samples[:channels], 8000)
    model, looker = fakes.MaskedSTFT(channels=1), Looker()
    unseen = separate(model, signal, CPU)
    sinks = {"one": Track(), "two": Track(), RESIDUAL: Track()}
    report = run(model, ArrayReader(signal), sinks, options=Options(device="cpu", batch=3), observers=[looker])
    for name, stem in unseen.items():
        assert np.allclose(sinks[name].samples, stem.samples, atol=1e-6)
    assert len(looker.views) == report.chunks
    end = 0
    for view in looker.views:
        first, last = view.start + view.kept.start, view.start + view.kept.stop
        assert first <= end < last
        stop = min(last, signal.length)
        heard = view.mixture[:, view.kept][:, : stop - first].numpy()
        assert np.array_equal(heard, signal.samples[:, first:stop])
        assert view.estimates.shape == (2, channels, view.mixture.shape[1])
        assert view.latent is not None and view.latent.shape[:2] == (channels, 129)
        assert view.masks is not None and view.masks.shape == (2, 1, 129, view.latent.shape[2])
        with torch.no_grad():
            assert torch.allclose(view.latent, model.encode(view.mixture[None])[0], atol=1e-6)
            mid = model.encode(view.mixture.mean(0)[None, None])
            assert torch.allclose(view.masks, model.masks(mid)[0], atol=1e-5)
        end = last
    assert end >= signal.length


def test_masks_are_seen_in_the_order_of_the_tracks() -> None:
    class SwappingMasks(fakes.MaskedSTFT):
        """Low bins and high bins, in a random order."""

        def masks(self, z, side={}, state=None):
            low = (torch.arange(z.shape[2]) < 32).float()[:, None].expand(z.shape[2:])
            both = torch.stack([low, 1 - low])
            return (both.flip(0) if torch.rand((), generator=dice) < 0.5 else both)[None, :, None]

    dice = torch.Generator().manual_seed(0)
    signal = Signal(0.1 * np.random.default_rng(0).standard_normal((1, 80_000)), 8000)
    looker = Looker()
    model = SwappingMasks(permutation_invariant=True, segment=2.0)
    run(model, ArrayReader(signal), {}, options=CPU, observers=[looker])
    assert len(looker.views) > 5
    lows = {int(view.masks[:, 0, 0, 0].argmax()) for view in looker.views}
    assert len(lows) == 1
    for view in looker.views:
        assert np.isclose(view.estimates.sum(0), view.mixture, atol=1e-5).all()


class Endless(BaseReader):
    """A recording that is made up as it is read."""

    def __init__(self, sample_rate: int, channels: int, hours: float) -> None:
        length = round(hours * 3600 * sample_rate)
        info = AudioInfo("endless", "memory", "pcm_f32", sample_rate, channels, length, "32f", lossy=False)
        super().__init__(info)
        self.most = 0

    def read(self, start: int, length: int) -> np.ndarray:
        self._check_range(start, length)
        self.most = max(self.most, length)
        ramp = np.arange(start, start + length, dtype=np.float32) % 1000 / 1000
        return np.stack([ramp] * self.channels)


class Weigher:
    """Counts samples, checks them against the reader's, and keeps none."""

    def __init__(self) -> None:
        self.length = 0

    def write(self, block: np.ndarray) -> None:
        expected = np.arange(self.length, self.length + block.shape[1], dtype=np.float32) % 1000 / 1000
        assert np.array_equal(block[0], expected)
        self.length += block.shape[1]


def test_ten_hours_take_no_more_memory_than_ten_minutes() -> None:
    peaks = []
    for hours in (1 / 6, 10):
        reader = Endless(250, 2, hours)
        separator = fakes.Identity(sample_rate=250, segment=30.0, context=1.0, normalise=False)
        separator.shapes = Forgetful()
        sink = Weigher()
        tracemalloc.start()
        report = run(separator, reader, {"all": sink}, options=CPU)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert sink.length == reader.length == report.length
        assert reader.most <= 31 * 250
    assert peaks[1] < 1.2 * peaks[0] + 50_000


class Forgetful(list):
    def append(self, item: object) -> None:
        """Keep nothing: the list of shapes would be what grows."""
