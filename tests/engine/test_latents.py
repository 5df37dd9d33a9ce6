"""Latents: basis functions asked for, masks pooled chunk by chunk, and the file that a stage keeps."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import MaskedSTFT, Splitter, Swapping, Track
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from separation.audio import ArrayReader
from separation.engine import ChunkView, Options, run
from separation.engine.latents import CELLS, LatentGrid, LatentPool, basis, read_grid, row_firsts, save_grid
from separation.errors import JobError, ModelError
from separation.metrics import MaskEntropy
from separation.models import build, build_oracle
from separation.signals import Signal
from separation.transforms import STFT
from tests.contract import SMALL

RATE = 8000
OPTIONS = Options()
LEARNED = [
    (architecture, case)
    for architecture in ("conv_tasnet", "two_step", "learned_transform", "htmd_net")
    for case in SMALL[architecture]
]


def noise(seconds: float, seed: int = 0, channels: int = 1) -> Signal:
    samples = np.random.default_rng(seed).normal(0, 0.1, (channels, round(seconds * RATE))).astype(np.float32)
    return Signal(samples, RATE)


def pooled(separator: Any, signal: Signal, options: Options = OPTIONS, *more: Any) -> LatentGrid | None:
    pool = LatentPool(separator, signal.length)
    sinks = {name: Track() for name in separator.spec.sources}
    run(separator, ArrayReader(signal), sinks, options=options, observers=(pool, *more))
    return pool.grid()


def small(architecture: str, case: str) -> Any:
    torch.manual_seed(0)
    return build(architecture, SMALL[architecture][case]).eval()


@pytest.mark.parametrize(("architecture", "case"), LEARNED)
def test_learned_basis_functions_are_the_weights(architecture: str, case: str) -> None:
    model = small(architecture, case)
    inside = getattr(model, "transform", model)
    found = basis(model)
    assert not found.bins and found.hop_length == inside.hop_length
    np.testing.assert_array_equal(found.encoder, inside.encoder.weight.detach().numpy()[:, 0])
    weights = inside.decoder.weight.detach().numpy()[:, 0]
    np.testing.assert_allclose(found.decoder, weights.reshape(-1, *found.encoder.shape), atol=1e-6)
    assert sorted(found.order) == list(range(len(weights) // len(found.decoder)))
    assert (np.diff(found.centroid_hz[found.order]) >= 0).all()


@pytest.mark.parametrize("separator", [small("unet", "two"), build_oracle("irm2", sources=["a"], sample_rate=8000)])
def test_bins_keep_their_order_and_frequencies(separator: Any) -> None:
    found, quick = basis(separator), basis(separator, waveforms=False)
    count = len(found.order)
    assert found.bins and (found.order == np.arange(count)).all()
    np.testing.assert_allclose(found.centroid_hz, np.linspace(0, 4000, count), atol=0.02)
    np.testing.assert_allclose(quick.centroid_hz, found.centroid_hz, atol=0.02)
    assert (found.hop_length, found.first) == (separator.stft.hop_length, 0.0)
    middle = np.argmax(np.abs(np.fft.rfft(found.encoder[count // 2], separator.stft.n_fft)))
    assert middle == count // 2


def test_centroids_follow_the_frequency_of_the_waveforms() -> None:
    model = small("conv_tasnet", "bare")
    hz = np.random.default_rng(0).permutation(np.linspace(500, 3500, 24))
    time = np.arange(32) / RATE
    with torch.no_grad():
        waves = np.hanning(32) * np.sin(2 * np.pi * hz[:, None] * time)
        model.encoder.weight.copy_(torch.from_numpy(waves.astype(np.float32)).unsqueeze(1))
    found = basis(model)
    np.testing.assert_allclose(found.centroid_hz, hz, rtol=0.02)
    assert (found.order == np.argsort(hz)).all()


def test_a_basis_function_that_never_answers_is_silent_not_an_error() -> None:
    model = small("two_step", "tdcn")
    with torch.no_grad():
        model.transform.encoder.weight[3] = 0
        model.transform.encoder.bias[3] = -1
    found = basis(model)
    assert not found.encoder[3].any() and found.centroid_hz[3] == 0 and found.order[0] == 3


def test_what_has_no_frames_is_refused() -> None:
    class Whole(MaskedSTFT):
        """Every number depends on the whole signal."""

        def encode(self, x: torch.Tensor) -> torch.Tensor:
            return x.cumsum(-1).flip(-1).cumsum(-1).unsqueeze(2)

    with pytest.raises(ModelError, match="frame by frame"):
        basis(Whole())


@settings(deadline=None, max_examples=12)
@given(st.floats(0.3, 3), st.floats(0, 0.2), st.integers(100, 40_000), st.integers(1, 2))
def test_chunks_pool_to_what_one_pass_gives(segment: float, fade: float, length: int, channels: int) -> None:
    fixed = Fixed()
    signal = Signal(noise(5.0, channels=channels).samples[:, :length], RATE)
    whole = pooled(fixed, signal, Options(segment=8.0))
    parts = pooled(fixed, signal, Options(segment=segment, fade=fade))
    assert whole is not None and parts is not None
    assert whole.masks.shape == parts.masks.shape == (2, 129, max(1, length // 64))
    np.testing.assert_allclose(parts.masks.astype(int), whole.masks, atol=1)
    np.testing.assert_allclose(parts.plain.astype(int), whole.plain, atol=1)
    np.testing.assert_allclose(parts.activations.astype(int), whole.activations, atol=1)
    np.testing.assert_allclose(parts.entropy, whole.entropy, atol=1e-4)
    np.testing.assert_allclose(parts.histogram, whole.histogram, atol=1e-3)


class Fixed(MaskedSTFT):
    """Masks that depend on the bin and on the latent there, not on the context; frames lie where one pass has them."""

    def __init__(self) -> None:
        super().__init__(align=64)

    def masks(self, z: torch.Tensor, side: Any = {}, state: Any = None) -> torch.Tensor:
        first = torch.linspace(0, 1, z.shape[-2]).view(-1, 1) * z.abs().mean(1) / (z.abs().mean(1) + 1)
        return torch.stack([first, 1 - first], 1).unsqueeze(2)


def test_cells_are_weighted_means() -> None:
    """Two frames a cell, by hand."""
    model, count = MaskedSTFT(), 129
    found = replace(basis(model), hop_length=1, first=0.0)
    pool = LatentPool(model, 4, found=found, columns=2)
    latent, masks = torch.zeros(1, count, 4), torch.rand(2, 1, count, 4)
    latent[0, 5] = torch.tensor([3.0, 1.0, 0.0, 0.0])
    pool.chunk(ChunkView(0, slice(0, 4), torch.zeros(1, 4), torch.zeros(2, 1, 4), latent, masks))
    grid = pool.grid()
    assert grid is not None
    row = grid.mask("one")[5]
    assert row[0] == pytest.approx(0.9 * masks[0, 0, 5, 0].item() + 0.1 * masks[0, 0, 5, 1].item(), abs=1 / 255)
    assert row[1] == pytest.approx(masks[0, 0, 5, 2:].mean().item(), abs=1 / 255), "silence: the plain mean"


def test_entropy_is_the_metric_and_histograms_sum_to_one() -> None:
    model, measured = MaskedSTFT(), MaskEntropy()
    grid = pooled(model, noise(2.0), Options(segment=4.0), measured)
    assert grid is not None and measured.value is not None
    assert np.nanmin(grid.entropy) >= 0 and np.nanmax(grid.entropy) <= 1
    assert np.nanmean(grid.entropy) == pytest.approx(measured.value, abs=0.02)
    np.testing.assert_allclose(grid.histogram.sum(-1), 1, atol=1e-5)
    assert grid.histogram_top == grid.mask_top == 1


def test_masks_beyond_one_widen_the_histogram() -> None:
    class Strong(MaskedSTFT):
        def masks(self, z: torch.Tensor, side: Any = {}, state: Any = None) -> torch.Tensor:
            return super().masks(z) * 50

    grid = pooled(Strong(), noise(1.5))
    assert grid is not None
    assert 32 <= grid.histogram_top <= 64 and 25 < grid.mask_top < 50.01
    np.testing.assert_allclose(grid.histogram.sum(-1), 1, atol=1e-5)
    together = grid.mask("one") + grid.mask("two")
    np.testing.assert_allclose(together, 50, atol=0.5)
    share = grid.mask("one", "share")
    np.testing.assert_allclose(share, grid.mask("one") / 50, atol=0.01)
    np.testing.assert_allclose(share + grid.mask("two", "share"), 1, atol=1e-6)


def test_many_basis_functions_share_rows_and_long_recordings_columns() -> None:
    model = MaskedSTFT()
    found = basis(model)
    centroids = np.arange(1000, dtype=np.float32)
    more = replace(found, bins=False, order=np.arange(1000), centroid_hz=centroids, hop_length=64)
    pool = LatentPool(model, 3600 * RATE, found=more)
    assert (pool._rows, pool._columns) == (256, CELLS // (256 * 3))
    firsts = [*pool._row_firsts, 1000]
    grid = LatentGrid(
        ("one",), RATE, RATE, False, more.centroid_hz, more.order, *np.zeros((2, 1, 256, 4), np.uint8), 1.0,
        np.zeros((256, 4), np.uint8), 0.0, np.zeros(4, np.float32), np.zeros((1, 64), np.float32), 1.0,
    )  # fmt: skip
    assert [grid.members(row)[0] for row in range(256)] == firsts[:-1]
    assert sum((grid.members(row) for row in range(256)), ()) == tuple(range(1000))
    assert (np.diff(grid.row_hz()) > 0).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 300), st.integers(0, 3000), st.floats(100, 48_000))
def test_rows_of_bins_follow_the_ear_and_none_is_empty(rows: int, more: int, highest: float) -> None:
    firsts = row_firsts(rows + more, rows, highest)
    assert firsts[0] == 0 and firsts[-1] < rows + more and (np.diff(firsts) > 0).all()
    sizes = np.diff(firsts, append=rows + more)
    assert sizes[: rows // 2].sum() <= sizes[rows // 2 :].sum() + 1, "finer where it is low"


def test_grids_of_many_bins_know_their_rows(tmp_path: Path) -> None:
    torch.manual_seed(0)
    fine = MaskedSTFT()
    fine.stft = STFT(1024, 256)
    fine.net = nn.Conv1d(513, 2 * 513, 1)
    grid = pooled(fine, noise(1.0))
    assert grid is not None and grid.rows == 256 and grid.firsts is not None
    assert grid.members(0) == (0,) and len(grid.members(255)) > 3
    assert sum((grid.members(row) for row in range(256)), ()) == tuple(range(513))
    np.testing.assert_allclose(grid.mask("one") + grid.mask("two"), 1, atol=0.01)
    energy = (10 ** (grid.activations_db() / 10)).mean(1)
    assert abs(10 * np.log10(energy[50:120].mean() / energy[200:255].mean())) < 1, (
        "white noise: rows of many bins are as strong"
    )
    save_grid(tmp_path / "latents.npz", grid)
    np.testing.assert_array_equal(read_grid(tmp_path / "latents.npz").edges, grid.edges)


def test_rumble_is_not_what_to_hear_first() -> None:
    grid = pooled(MaskedSTFT(), noise(1.0))
    assert grid is not None
    loud = np.zeros_like(grid.activations)
    loud[[0, 1, 20]] = np.array([[255], [240], [200]])
    np.testing.assert_allclose(grid.row_hz()[:3], [0, 31.25, 62.5], atol=0.05)
    rumbling = replace(grid, activations=loud, masks=np.full_like(grid.masks, 128))
    assert rumbling.loudest("one") == 20
    assert replace(rumbling, centroid_hz=grid.centroid_hz / 100).loudest("one") == 0, "where there is nothing else"


def test_windows_of_bins_are_those_of_the_transform() -> None:
    found = basis(MaskedSTFT(), waveforms=False)
    hann = np.hanning(257)[1:256]
    np.testing.assert_allclose(found.windows[0] / found.windows[0].max(), hann, atol=1e-5)
    assert found.windows.shape == (2, 255) and (found.windows[1] > 0).all()
    assert basis(small("conv_tasnet", "bare")).windows.shape == (2, 0)


def test_stereo_masks_of_the_mid_signal_and_short_clips() -> None:
    grid = pooled(MaskedSTFT(), noise(0.03, channels=2))
    assert grid is not None and grid.columns == 3
    np.testing.assert_allclose(grid.mask("one") + grid.mask("two"), 1, atol=0.01)


def test_sources_come_in_the_order_of_the_tracks() -> None:
    class Flipping(MaskedSTFT):
        """Low and high, in another order every call."""

        calls = 0

        def masks(self, z: torch.Tensor, side: Any = {}, state: Any = None) -> torch.Tensor:
            low = (torch.arange(z.shape[-2]) < 40).float().view(1, -1, 1).expand(len(z), -1, z.shape[-1])
            self.calls += 1
            pair = [low, 1 - low] if self.calls % 2 else [1 - low, low]
            return torch.stack(pair, 1).unsqueeze(2)

    grid = pooled(Flipping(permutation_invariant=True, segment=2.5), noise(8.0))
    assert grid is not None
    np.testing.assert_allclose(grid.mask("one")[:40], 1, atol=0.01)
    np.testing.assert_allclose(grid.mask("two")[:40], 0, atol=0.01)
    assert grid.loudest("one") < 40 <= grid.loudest("two")


@pytest.mark.parametrize("signal", [noise(1.0), noise(1.0, channels=3)])
def test_models_without_masks_have_no_grid(signal: Signal) -> None:
    pool = LatentPool(MaskedSTFT(), signal.length)
    for separator in (Splitter(0.5, 0.5), Swapping()):
        sinks = {name: Track() for name in separator.spec.sources}
        run(separator, ArrayReader(signal), sinks, observers=(pool,))
    assert pool.grid() is None


def test_silence_has_no_entropy() -> None:
    grid = pooled(MaskedSTFT(), Signal(np.zeros((1, RATE), np.float32), RATE))
    assert grid is not None and np.isnan(grid.entropy).all() and not grid.histogram.any()
    np.testing.assert_allclose(grid.mask("one") + grid.mask("two"), 1, atol=0.01)


@pytest.mark.parametrize("case", [("unet", "four"), ("two_step", "tdcn")])
def test_a_file_holds_everything(tmp_path: Path, case: tuple[str, str]) -> None:
    model: Any = small(*case)
    grid = pooled(model, noise(2.0))
    assert grid is not None and (grid.encoder is None) == grid.bins
    save_grid(tmp_path / "latents.npz", grid)
    again = read_grid(tmp_path / "latents.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["latents.npz"]
    for name, value in vars(grid).items():
        other = getattr(again, name)
        if isinstance(value, np.ndarray):
            assert other.dtype == value.dtype
            np.testing.assert_allclose(other, value, rtol=1e-3, atol=1e-3 if name in ("encoder", "decoder") else 0)
        else:
            assert other == value, name
    json.dumps(again.members(0))


def test_the_worst_masks_stay_below_a_megabyte(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sources, rows = 4, 256
    columns = min(2000, CELLS // (rows * (sources + 1)))
    grid = LatentGrid(
        sources=("a", "b", "c", "d"), sample_rate=RATE, length=300 * RATE, bins=False,
        centroid_hz=random.random(512).astype(np.float32), order=random.permutation(512),
        masks=random.integers(0, 256, (sources, rows, columns), np.uint8),
        plain=random.integers(0, 256, (sources, rows, -(-columns // 8)), np.uint8), mask_top=1.0,
        activations=random.integers(0, 256, (rows, columns), np.uint8), activation_top_db=0.0,
        entropy=random.random(columns).astype(np.float32), histogram=random.random((sources, 64)).astype(np.float32),
        histogram_top=1.0, encoder=random.random((512, 70)).astype(np.float32),
        decoder=random.random((1, 512, 70)).astype(np.float32),
    )  # fmt: skip
    save_grid(tmp_path / "latents.npz", grid)
    assert (tmp_path / "latents.npz").stat().st_size < 1_000_000


def test_missing_and_damaged_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="not kept"):
        read_grid(tmp_path / "latents.npz")
    for damage in (b"", b"PK\x03\x04 not really", b"\x93NUMPY"):
        (tmp_path / "latents.npz").write_bytes(damage)
        with pytest.raises(JobError, match="damaged"):
            read_grid(tmp_path / "latents.npz")
    np.savez(tmp_path / "latents.npz", about=np.array("{}"))
    with pytest.raises(JobError, match="damaged"):
        read_grid(tmp_path / "latents.npz")


def test_watching_changes_nothing() -> None:
    model, signal = MaskedSTFT(), noise(3.0)
    seen, alone = ({name: Track() for name in model.spec.sources} for _ in range(2))
    run(model, ArrayReader(signal), seen, observers=(LatentPool(model, signal.length),))
    run(model, ArrayReader(signal), alone)
    for name, track in seen.items():
        np.testing.assert_array_equal(track.samples, alone[name].samples)
    assert isinstance(model, nn.Module) and all(p.grad is None for p in model.parameters())
