"""Oracles: each formula against one written anew, what they must and cannot do, and that chunks change nothing."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import istft, stft
from torch import Tensor

from separation.audio import ArrayReader
from separation.engine import Options, reference_side, separate
from separation.errors import ShapeError, UnknownModel
from separation.models import ORACLES, LatentSeparator, Separator, build_oracle, oracle_name
from separation.models.oracles import (
    LOADING,
    NEIGHBOURS,
    QUIET,
    WienerOracle,
    covariances,
    neighbours,
    wiener,
    window_length,
)
from separation.signals import Signal
from tests.contract import check_separator

RATE = 8000
NAMES = ("voice", "drums", "bass")
MASKS = ("ibm1", "ibm2", "irm1", "irm2")


def sound(seconds: float, channels: int = 2, *, sources: int = 3, seed: int = 0) -> Tensor:
    """True sources ``[S, C, T]``: a gliding tone, clicks, a low tone, noise, each loud at other times, each in its place."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    kinds = [
        np.sin(2 * np.pi * (700 + 200 * np.sin(2 * np.pi * 2 * time)) * time) * (np.sin(2 * np.pi * 0.7 * time) > -0.3),
        random.normal(size=len(time)) * np.exp(-((time % 0.25) / 0.03)),
        np.sin(2 * np.pi * 110 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * time)),
        random.normal(size=len(time)) * 0.3,
    ]
    place = np.linspace(0.2, 0.9, sources)
    images = []
    for kind, where in zip(kinds, place, strict=False):
        left, right = np.cos(where * np.pi / 2) * kind, np.sin(where * np.pi / 2) * kind
        far = 0.1 * random.normal(size=(2, len(time))) * np.abs(kind)
        images.append((np.stack([left, right]) + far)[:channels] * 0.2)
    return torch.from_numpy(np.stack(images).astype(np.float32))


def estimates(name: str, truth: Tensor, mixture: Tensor | None = None, *, sample_rate: int = RATE) -> Tensor:
    """One pass: ``[S, C, T]``."""
    oracle = build_oracle(name, sources=NAMES[: len(truth)], sample_rate=sample_rate)
    heard = truth.sum(0) if mixture is None else mixture
    with torch.no_grad():
        found, state = oracle.separate(heard[None], {"references": truth[None]})
    assert state is None
    return found[0]


def snr(truth: Tensor, found: Tensor) -> float:
    """dB, over all sources."""
    return float(10 * torch.log10(truth.double().square().sum() / (truth.double() - found.double()).square().sum()))


@pytest.mark.parametrize("name", ORACLES)
def test_oracles_keep_the_contract(name: str) -> None:
    check_separator(lambda: build_oracle(name, sources=NAMES, sample_rate=RATE))
    check_separator(lambda: build_oracle(name, sources=["all"], sample_rate=44100))


@pytest.mark.parametrize("name", ORACLES)
def test_the_spec_asks_for_references_and_any_channels(name: str) -> None:
    oracle = build_oracle(name, sources=NAMES, sample_rate=44100)
    spec = oracle.spec
    assert (spec.sample_rate, spec.channels, spec.sources, spec.needs) == (44100, None, NAMES, ("references",))
    assert spec.context >= 2048 / 44100, "a frame must fit beside what is kept"
    assert spec.align == 1024
    assert not spec.permutation_invariant and not spec.normalise and not spec.stateful
    assert isinstance(oracle, LatentSeparator) == (name in MASKS)
    assert json.dumps(oracle.arguments)  # type: ignore[attr-defined]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("name", "kind", "exponent"), [("ibm1", "b", 1), ("ibm2", "b", 2), ("irm1", "r", 1), ("irm2", "r", 2)]
)
def test_masks_are_those_of_the_campaign(name: str, kind: str, exponent: int, channels: int) -> None:
    truth = sound(3.0, channels)
    window = window_length(RATE)

    def spectra(x: NDArray[np.float64]) -> NDArray[np.complex128]:
        return np.asarray(stft(x, nperseg=window)[2])

    mixture, sources = spectra(truth.double().sum(0).numpy()), spectra(truth.double().numpy())
    eps = np.finfo(np.float64).eps
    if kind == "b":
        mask = np.abs(sources) ** exponent / (eps + np.abs(mixture) ** exponent) >= 0.5
    else:
        mask = np.abs(sources) ** exponent / (eps + (np.abs(sources) ** exponent).sum(0))
    expected = istft(mask * mixture, nperseg=window)[1][..., : truth.shape[-1]]
    found = estimates(name, truth).double().numpy()
    # A bin at the very threshold may fall on either side in float32.
    assert np.square(found - expected).sum() < (1e-4 if kind == "b" else 1e-11) * np.square(expected).sum()


def test_the_complex_mask_is_bounded_and_the_nearest() -> None:
    truth = sound(2.0)
    found = estimates("cirm", truth)
    oracle = build_oracle("cirm", sources=NAMES, sample_rate=RATE)
    mixture = oracle.stft(truth.sum(0))  # type: ignore[attr-defined]
    sources = oracle.stft(truth)  # type: ignore[attr-defined]
    mask = sources / mixture
    mask = mask / mask.abs().clamp_min(1.0)
    assert mask.abs().max() <= 1 + 1e-6
    expected = oracle.stft.inverse(mask * mixture, truth.shape[-1])  # type: ignore[attr-defined]
    assert snr(expected, found) > 90
    angles = torch.rand(500, generator=torch.Generator().manual_seed(1)) * 2 * torch.pi
    others = torch.polar(torch.linspace(0, 1, 500), angles)[:, None]
    best = (sources[0, 0, 30, 10:20] - mask[0, 0, 30, 10:20] * mixture[0, 30, 10:20]).abs()
    assert ((sources[0, 0, 30, 10:20] - others * mixture[0, 30, 10:20]).abs() >= best - 1e-5).all()


def test_a_complex_mask_without_need_of_its_bound_gives_the_sources_back() -> None:
    truth = sound(2.0, sources=1)
    assert snr(truth, estimates("cirm", truth, truth.sum(0) * 1.5)) > 100


def test_the_wiener_filter_is_its_formula() -> None:
    truth = sound(1.0, sources=2)
    oracle = build_oracle("mwf", sources=NAMES[:2], sample_rate=RATE)
    latent = oracle.stft(truth).to(torch.complex128)  # type: ignore[attr-defined]
    found = wiener(latent.sum(0)[None], latent[None])[0]
    frames = latent.shape[-1]
    for band, frame in ((0, 0), (7, 20), (44, 31), (100, 10), (200, frames - 1)):
        near = range(max(0, frame - NEIGHBOURS // 2), min(frames, frame + NEIGHBOURS // 2))
        models = []
        for y in latent[:, :, band].numpy():
            power = np.mean(np.abs(y[:, frame]) ** 2)
            outer = sum(np.outer(y[:, k], y[:, k].conj()) for k in near)
            models.append(power * outer / sum(np.mean(np.abs(y[:, k]) ** 2) for k in near))
        total = sum(models)
        loaded = total + (LOADING * np.trace(total).real / 2 + QUIET) * np.eye(2)
        heard = latent.sum(0)[:, band, frame].numpy()
        expected = np.stack([model @ np.linalg.solve(loaded, heard) for model in models])
        assert np.allclose(found[:, :, band, frame].numpy(), expected, rtol=1e-9, atol=1e-12 * np.abs(heard).max())
    in_time = oracle.stft.inverse(found.to(torch.complex64), truth.shape[-1])  # type: ignore[attr-defined]
    assert snr(in_time, estimates("mwf", truth)) > 100


def test_neighbours_are_summed_without_any_noise() -> None:
    x = torch.rand(3, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[:, 200:400] = 0
    found = neighbours(x)
    half = NEIGHBOURS // 2
    for frame in (0, 10, 150, 263, 264, 300, 330, 499):
        expected = x[:, max(0, frame - half) : frame + half].sum(-1)
        assert torch.allclose(found[:, frame], expected, rtol=1e-12)
    assert found[:, 200 + half : 400 - half].eq(0).all(), "silence stays silent, to the bit"


def test_covariances_have_the_power_as_their_trace() -> None:
    z = torch.randn(2, 3, 4, 40, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    model = covariances(z)
    trace = model.diagonal(dim1=-4, dim2=-3).sum(-1).real
    assert model.shape == (2, 3, 3, 4, 40)
    assert torch.allclose(trace, z.abs().square().sum(-3))
    assert torch.allclose(model, model.transpose(-4, -3).conj())


@pytest.mark.parametrize("name", ["irm1", "irm2", "mwf"])
def test_shares_add_up_to_the_mixture(name: str) -> None:
    truth = sound(3.0)
    assert snr(truth.sum(0), estimates(name, truth).sum(0)) > 80


def test_with_one_channel_the_wiener_filter_is_the_ratio_of_powers() -> None:
    truth = sound(2.0, 1)
    assert snr(estimates("irm2", truth), estimates("mwf", truth)) > 80


def test_the_better_informed_is_the_better() -> None:
    truth = sound(4.0)
    scores = {name: snr(truth, estimates(name, truth)) for name in ORACLES}
    assert scores["mixture"] < scores["ibm1"] - 3 and scores["mixture"] < scores["ibm2"] - 3
    assert max(scores["ibm1"], scores["ibm2"]) < scores["irm2"] < scores["mwf"] < scores["cirm"]
    assert scores["irm1"] < scores["irm2"]


def test_what_lies_elsewhere_is_told_apart_by_the_wiener_filter_alone() -> None:
    noise = torch.randn(2, 3 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    hard_left, hard_right = torch.stack([noise[0], 0 * noise[0]]), torch.stack([0 * noise[1], noise[1]])
    apart = torch.stack([hard_left, hard_right])
    turned = torch.stack([(apart[:, 0] + apart[:, 1]) / 2**0.5, (apart[:, 0] - apart[:, 1]) / 2**0.5], 1)
    assert snr(turned, estimates("mwf", turned)) > 60, "two directions, two channels: nothing is left of the other"
    assert snr(turned, estimates("irm2", turned)) < 10


def test_the_floor_is_the_mixture() -> None:
    truth = sound(0.5)
    assert torch.equal(estimates("mixture", truth), truth.sum(0).expand(3, -1, -1))


@pytest.mark.parametrize("name", ORACLES)
def test_silence_gives_silence_and_references_that_do_not_fit_give_numbers(name: str) -> None:
    silence = torch.zeros(3, 2, RATE)
    assert estimates(name, silence).abs().max() == 0
    assert torch.isfinite(estimates(name, silence, sound(1.0).sum(0))).all(), (
        "all references are silent, the mixture is not"
    )
    quiet = sound(1.0).clone()
    quiet[0] = 0
    quiet[:, :, RATE // 3 : RATE // 2] = 0
    found = estimates(name, quiet)
    assert torch.isfinite(found).all()
    if name != "mixture":
        assert found[0].abs().max() == 0, "a source that is silent throughout stays so"
    assert torch.isfinite(estimates(name, sound(1.0) * 1e-9)).all()
    assert torch.isfinite(estimates(name, sound(1.0), silence.sum(0))).all()


@pytest.mark.parametrize("name", ["ibm1", "irm1", "irm2", "mwf", "cirm", "mixture"])
@settings(max_examples=4, deadline=None, derandomize=True)
@given(gain=st.sampled_from([1e-3, 0.1, 4.0, 1000.0]))
def test_louder_is_only_louder(name: str, gain: float) -> None:
    truth = sound(0.7, sources=2)
    assert snr(estimates(name, truth) * gain, estimates(name, truth * gain)) > 55


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("segment", [3.0, 5.3])
def test_chunks_give_what_one_pass_gives(name: str, segment: float) -> None:
    """Through the engine, everywhere: at the ends both see the same reflection, context and all."""
    if name == "mwf":
        segment += 4.5  # it looks two seconds to each side
    truth = sound(11.0).numpy()
    mixture = Signal(truth.sum(0), RATE)
    oracle = build_oracle(name, sources=NAMES, sample_rate=RATE)
    side = reference_side({n: ArrayReader(Signal(t, RATE)) for n, t in zip(NAMES, truth, strict=True)}, oracle.spec)
    whole = separate(oracle, mixture, Options(device="cpu", consistency=False, segment=60.0), side=side)
    chunked = separate(oracle, mixture, Options(device="cpu", consistency=False, segment=segment), side=side)
    for source in NAMES:
        assert np.abs(whole[source].samples - chunked[source].samples).max() < 2e-5
    inside = slice(RATE * 3, RATE * 8)
    one_pass = estimates(name, torch.from_numpy(truth), torch.from_numpy(mixture.samples)).numpy()
    for source, expected in zip(NAMES, one_pass, strict=True):
        assert np.abs(chunked[source].samples[:, inside] - expected[:, inside]).max() < 2e-5


def test_the_window_is_that_of_the_campaign() -> None:
    assert [window_length(rate) for rate in (44100, 48000, 96000, 22050, 100)] == [2048, 2048, 4096, 1024, 16]


def test_the_wiener_filter_has_context_for_its_neighbours() -> None:
    oracle = build_oracle("mwf", sources=NAMES, sample_rate=44100)
    assert isinstance(oracle, WienerOracle)
    assert oracle.spec.context * 44100 >= 2048 + NEIGHBOURS // 2 * 1024
    assert oracle.spec.segment > 4 * oracle.spec.context


def test_names_are_understood() -> None:
    assert oracle_name("vocals") is None and oracle_name("someone/oracle") is None
    assert [oracle_name(f"oracle:{name}") for name in ORACLES] == list(ORACLES)
    with pytest.raises(UnknownModel, match=r"Use the oracle 'best'.*oracle:mixture.*oracle:cirm"):
        oracle_name("oracle:best")
    with pytest.raises(UnknownModel, match="Use the oracle 'irm3'"):
        build_oracle("irm3", sources=NAMES, sample_rate=RATE)


@pytest.mark.parametrize("sources", [[], ["same", "same"]])
def test_sources_must_have_names_of_their_own(sources: list[str]) -> None:
    with pytest.raises(ShapeError, match="sources"):
        build_oracle("irm1", sources=sources, sample_rate=RATE)


@pytest.mark.parametrize("name", [n for n in ORACLES if n != "mixture"])
def test_without_the_right_references_nothing_is_separated(name: str) -> None:
    oracle: Separator = build_oracle(name, sources=NAMES, sample_rate=RATE)
    mixture = torch.zeros(1, 2, 1000)
    with pytest.raises(ShapeError, match="no references"):
        oracle.separate(mixture)
    with pytest.raises(ShapeError, match=r"references of shape \(1, 2, 2, 1000\).*\(1, 3, 2, 'T'\)"):
        oracle.separate(mixture, {"references": torch.zeros(1, 2, 2, 1000)})
    with pytest.raises(ShapeError, match=r"\(1, 3, 1, 1000\)"):
        oracle.separate(mixture, {"references": torch.zeros(1, 3, 1, 1000)})
