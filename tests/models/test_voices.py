"""Models that are told the pitch: sung mixtures of two tones, masks that share, and voices by any name."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from separation.engine import Options, separate
from separation.errors import ConfigError, ShapeError
from separation.models import PITCH, PitchSeparator, build, with_voices
from separation.models.pitch_nmf import PitchNMF, combs, smooth
from separation.models.umss import UMSS, relative_pitch
from separation.signals import Signal
from tests.contract import SMALL, side_of
from tests.sung import HOP, RATE, duet, scores

NMF: dict[str, Any] = {"sample_rate": RATE, "n_fft": 512, "hop_length": HOP, "bumps": 12, "shapes": 2, "steps": 12}
TINY: dict[str, Any] = {**SMALL["umss"]["four"], "sources": ["high", "low"]}


@pytest.fixture(params=["umss", "pitch_nmf"])
def told(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return build(request.param, SMALL[request.param]["four"]).eval()


def test_masks_sum_to_one_also_where_there_is_nothing(told: Any) -> None:
    assert isinstance(told, PitchSeparator)
    sound = torch.randn(2, 1, 2000, generator=torch.Generator().manual_seed(1))
    sound[:, :, 500:1500] = 0
    for mixture in (sound, torch.zeros_like(sound)):
        for side in (side_of(told, mixture), {PITCH: torch.zeros_like(side_of(told, mixture)[PITCH])}):
            with torch.no_grad():
                masks = told.masks(told.encode(mixture), side)
            np.testing.assert_allclose(masks.sum(1), torch.ones_like(masks[:, 0]), atol=1e-5)
            assert masks.min() >= 0


def test_the_voices_of_a_mixture_add_up_to_it(told: Any) -> None:
    mixture = torch.randn(1, 1, 1777, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        estimates, _ = told.separate(mixture, side_of(told, mixture))
    np.testing.assert_allclose(estimates.sum(1), mixture, atol=1e-5)


def test_two_voices_of_one_pitch_share_alike(told: Any) -> None:
    pair = with_voices(told, ["one", "other"])
    mixture = torch.randn(1, 1, 2000, generator=torch.Generator().manual_seed(1))
    frames = 1 + -(-2000 // pair.pitch_hop)
    voiced = {PITCH: torch.full((1, 2, frames), 200.0)}
    with torch.no_grad():
        masks = pair.masks(pair.encode(mixture), voiced)
    assert float((masks - 0.5).abs().mean()) < 0.2  # but for breath, which is drawn for each


def test_other_voices_have_the_same_weights_and_go_by_their_pitch(told: Any) -> None:
    three = with_voices(told, ["a", "b", "c"])
    assert three.spec.sources == ("a", "b", "c") and not three.training
    assert told.spec.sources == ("soprano", "alto", "tenor", "bass"), "the model itself stays as it is"
    for name, tensor in told.state_dict().items():
        assert torch.equal(three.state_dict()[name], tensor), name
    assert with_voices(told, ["a"], seed=5).arguments["seed"] == 5
    with pytest.raises(ShapeError, match="sources"):
        with_voices(told, ["a", "a"])


@pytest.mark.parametrize(
    ("side", "found"),
    [({}, "no pitch"), ({PITCH: torch.ones(1, 4, 30)}, "shape \\(1, 4, 30\\)"), ({PITCH: torch.ones(4, 33)}, "4, 33")],
)
def test_a_pitch_of_other_voices_or_frames_is_refused(told: Any, side: dict[str, Tensor], found: str) -> None:
    with pytest.raises(ShapeError, match=f"{found}.*soprano, alto, tenor, bass.*every 64 samples: here \\(1, 4, 33\\)"):
        told.separate(torch.zeros(1, 1, 2048), side)


def test_the_engine_runs_them_and_more_chunks_change_little() -> None:
    model = PitchNMF(sources=["high", "low"], **{**NMF, "segment": 1.0, "context": 0.2}).eval()
    voices, pitch = duet(2.0)
    mixture = Signal(voices.sum(0)[None].numpy(), RATE)
    grid = torch.nn.functional.pad(pitch, (1000, 1000))

    def side(start: int, length: int) -> dict[str, Tensor]:
        first = 1000 + start // HOP
        return {PITCH: grid[:, first : first + 1 + length // HOP]}

    stems = separate(model, mixture, Options(device="cpu"), side=side)
    estimate = torch.stack([torch.from_numpy(stem.samples[0]) for stem in stems.values()])
    assert (scores(voices, estimate) > 12).all()


def test_the_factors_tell_two_voices_apart() -> None:
    voices, pitch = duet()
    model = PitchNMF(sources=["high", "low"], **NMF).eval()
    with torch.no_grad():
        estimates, _ = model.separate(voices.sum(0)[None, None], {PITCH: pitch[None]})
    gain = scores(voices, estimates[0, :, 0]) - scores(voices, voices.sum(0).expand_as(voices))
    assert (gain > 12).all()


def test_an_update_never_raises_the_divergence() -> None:
    voices, pitch = duet()
    noise = 0.1 * torch.randn(voices.shape[-1], generator=torch.Generator().manual_seed(0))
    values = []
    for steps in (1, 2, 3, 5, 12):
        model = PitchNMF(sources=["high", "low"], **{**NMF, "steps": steps}).double()
        wanted = model.encode((voices.sum(0) + noise).double()[None, None]).mean(1).abs()
        near = model.near(pitch[None].double())
        sung, breath = model.made(model.fit(wanted, near), near)
        made = sung.sum(1) + breath
        values.append(float((wanted * torch.log((wanted + 1e-12) / (made + 1e-12)) - wanted + made).sum()))
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(values))
    assert values[-1] < 0.6 * values[0]


def test_combs_stand_on_the_harmonics_a_tenth_of_a_semitone_apart() -> None:
    table = combs(16000, 2048)
    assert np.argmax(table[240, :40]) == round(160 * 2048 / 16000)  # two octaves above 40 Hz
    peaks = torch.tensor([round(k * 160 * 2048 / 16000) for k in range(1, 40)])
    assert (table[240, peaks] > 0.8).all()
    assert (table[240, peaks[:-1] + 10] == 0).all()
    assert table[0].min() >= 0 and table.max() <= 1
    np.testing.assert_allclose(smooth(12, 16000, 512).sum(1), np.ones(257), atol=1e-6)


def test_only_the_breath_is_different_with_another_seed() -> None:
    torch.manual_seed(0)
    model = UMSS(**TINY).eval()
    voices, pitch = duet(0.5)
    mixture, side = voices.sum(0)[None, None], {PITCH: pitch[None]}
    with torch.no_grad():
        one, again = (with_voices(model, ["high", "low"], seed=3).separate(mixture, side)[0] for _ in range(2))
        other = with_voices(model, ["high", "low"], seed=4).separate(mixture, side)[0]
        assert torch.equal(one, again)
        assert 0 < float((one - other).abs().max()) < float(one.abs().max())
        torch.manual_seed(1)
        learning = [model.train().synthesise(mixture, side) for _ in range(2)]
    assert not torch.equal(*learning), "in training every step has its own"


def test_the_level_of_a_mixture_is_kept_and_says_nothing() -> None:
    torch.manual_seed(0)
    model = UMSS(**TINY).eval()
    voices, pitch = duet(0.5)
    mixture, side = voices.sum(0)[None, None], {PITCH: pitch[None]}
    with torch.no_grad():
        made, louder = model.synthesise(mixture, side), model.synthesise(3 * mixture, side)
        assert made.shape == (1, 2, 1, mixture.shape[-1])
        np.testing.assert_allclose(louder, 3 * made, rtol=1e-3, atol=1e-4 * float(made.abs().max()))
        assert not model.synthesise(torch.zeros_like(mixture), side).any()


def test_what_is_inside_can_be_looked_at() -> None:
    torch.manual_seed(0)
    model = UMSS(**TINY).eval()
    voices, pitch = duet(0.5)
    with torch.no_grad():
        z = model.encode(voices.sum(0)[None, None])
        masks, state, seen = model.inside(z, {PITCH: pitch[None]})
        assert torch.equal(masks, model.masks(z, {PITCH: pitch[None]})) and state is None
    frames = z.shape[-1]
    assert {name: tuple(each.shape) for name, each in seen.items()} == {
        "pitch": (1, 2, frames), "amplitude": (1, 2, frames), "noise": (1, 2, frames), "envelope": (1, 2, 129, frames),
    }  # fmt: skip
    assert torch.equal(seen["pitch"][0], pitch)
    assert (seen["amplitude"][0][pitch == 0] == 0).all() and (seen["amplitude"][0][pitch > 0] > 0).all()
    assert torch.isfinite(seen["envelope"]).all() and seen["envelope"].std() > 0.01


def test_a_voice_that_is_silent_has_breath_only() -> None:
    torch.manual_seed(0)
    model = UMSS(**TINY).eval()
    voices, pitch = duet(0.5)
    with torch.no_grad():
        for given, sings in ((pitch[None], True), (torch.zeros_like(pitch)[None], False)):
            controls = model.controls(voices.sum(0)[None, : pitch.shape[-1] * HOP - HOP], given)
            assert (model.voices(controls, given) != 0).any()
            breathless = controls._replace(noise=torch.zeros_like(controls.noise))
            assert bool((model.voices(breathless, given) != 0).any()) == sings


def test_pitch_is_relative_on_a_scale_of_octaves() -> None:
    hz = torch.tensor([0.0, 20, 400, 8000, 20000])
    np.testing.assert_allclose(relative_pitch(hz), [0, 0, 0.5, 1, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "changes", "said"),
    [
        ("umss", {"order": 5}, "order 5: it must be even"),
        ("umss", {"n_fft": 64}, "n_fft of 64 is less than two hops of 64"),
        ("umss", {"sources": ["a", "a"]}, "sources"),
        ("pitch_nmf", {"bumps": 1}, "1 bumps"),
        ("pitch_nmf", {"steps": 0}, "0 steps: too few"),
    ],
)
def test_arguments_that_make_no_model_are_refused(architecture: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(architecture, {**SMALL[architecture]["four"], **changes})
