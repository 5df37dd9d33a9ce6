"""Choirs: what is drawn, its pitch, learning from mixtures alone, and from one mixture alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from separation.errors import Cancelled, DataError, ShapeError
from separation.models import PITCH, build
from separation.models.umss import UMSS
from separation.training import choir, losses, objectives
from separation.training.data import DATA
from separation.training.loop import Paths, Run
from separation.training.mixing import side_of
from separation.training.per_file import Step, optimise
from separation.training.pools import Pool
from separation.training.recipe import Recipe
from tests.datasets.tiny_corpora import make_choir
from tests.sung import HOP, RATE, duet, scores

NET: dict[str, Any] = {
    "sample_rate": RATE, "hop_length": HOP, "n_fft": 512, "latent": 16, "encoder": 24, "decoder": 32, "order": 8,
    "noise_bands": 5,
}  # fmt: skip


def umss(**changes: Any) -> UMSS:
    torch.manual_seed(0)
    return UMSS(**{**NET, "sources": ["high", "low"], **changes})


def singers(recordings: int = 3, length: int = 6400) -> tuple[Pool, dict[str, list[NDArray[np.float32]]]]:
    """Recordings of one height each, and a pitch that says whose it is: 10000 a voice, 1000 a recording, and the frame."""
    stems, pitch = {}, {}
    for voice, name in enumerate(choir.VOICES):
        stems[name] = [np.full(length, 1000 * (voice + 1) + 100 * i, np.int16) for i in range(recordings)]
        frames = np.arange(1 + length // HOP, dtype=np.float32)
        pitch[name] = [10000 * (voice + 1) + 1000 * i + frames for i in range(recordings)]
    return Pool(stems, {f"{i}": [i] for i in range(recordings)}, [{} for _ in range(recordings)]), pitch


def mixer(length: int = 1280, **changes: Any) -> choir.ChoirMixer:
    return choir.ChoirMixer(*singers(), length, HOP, **changes)


def test_an_example_is_a_function_of_its_numbers_and_its_pitch_is_of_its_singers() -> None:
    drawn = mixer(level_db=3.0)
    for index in range(20):
        stems, side = drawn.example(0, 1, index), drawn.side(0, 1, index)
        assert np.array_equal(stems, drawn.example(0, 1, index))
        assert stems.shape == (4, 1280) and stems.dtype == np.float32
        assert side[PITCH].shape == (4, 21) and side[PITCH].dtype == np.float32
        assert np.array_equal(side[PITCH] // 10000, np.arange(1, 5)[:, None].repeat(21, 1)), "the voices in their order"
        frames = side[PITCH] % 1000
        assert np.array_equal(frames, frames[:1].repeat(4, 0)), "all are at one place of the piece"
        assert np.array_equal(np.diff(frames), np.ones((4, 20)))
        assert side_of(drawn, 0, 1, index).keys() == {PITCH}


def test_any_singer_meets_any_other() -> None:
    drawn = mixer()
    seen = {tuple(drawn.side(0, 0, i)[PITCH][:, 0] // 1000 % 10) for i in range(200)}
    assert len(seen) > 50
    assert {len(set(recordings)) for recordings in seen} == {1, 2, 3}


def test_two_sources_are_any_two_voices_in_their_order() -> None:
    drawn = mixer(sources=("a", "b"))
    pairs = {tuple(drawn.side(0, 0, i)[PITCH][:, 0] // 10000) for i in range(100)}
    assert pairs == {(i, j) for i in range(1, 5) for j in range(i + 1, 5)}


@pytest.mark.parametrize("part", [(0.0, 0.8), (0.8, 1.0)])
def test_excerpts_stay_within_their_part_of_the_piece(part: tuple[float, float]) -> None:
    drawn = mixer(part=part)
    starts = [drawn.side(0, 0, i)[PITCH][0, 0] % 1000 for i in range(200)]
    assert min(starts) == part[0] * 100
    assert max(starts) == max(part[1] * 100 - 20, part[0] * 100)


def test_voices_differ_in_level_by_no_more_than_was_said() -> None:
    even, uneven = mixer(), mixer(level_db=6.0)

    def ratios(drawn: choir.ChoirMixer) -> NDArray[np.float64]:
        found = []
        for i in range(100):
            stems, tracks = drawn.example(0, 0, i), drawn.side(0, 0, i)[PITCH][:, 0]
            recorded = 1000 * (tracks // 10000) + 100 * (tracks // 1000 % 10)
            found.append(20 * np.log10(stems[:, 0] / recorded / (stems[0, 0] / recorded[0])))
        return np.abs(np.array(found))

    assert ratios(even).max() < 1e-3
    assert 6 < ratios(uneven).max() <= 12


def test_beyond_the_end_of_a_recording_nobody_sings() -> None:
    stems, pitch = mixer(length=9600).example(0, 0, 0), mixer(length=9600).side(0, 0, 0)[PITCH]
    assert pitch.shape == (4, 151) and (pitch[:, :101] > 0).all() and not pitch[:, 101:].any()
    assert not stems[:, 6400:].any()


def test_pitch_is_tracked_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    t = np.arange(16000) / 16000
    tone = np.round(8000 * np.sign(np.sin(2 * np.pi * 220 * t)) * (t < 0.7)).astype(np.int16)
    pool = Pool({"soprano": [tone]}, {"1": [0]}, [{}])
    pitch = choir.pitch_of(pool, 16000, 256, tmp_path)["soprano"][0]
    assert pitch.shape == (64,) and pitch.dtype == np.float32
    assert np.abs(1200 * np.log2(pitch[5:38] / 220)).max() < 20
    assert not pitch[50:].any()
    monkeypatch.setattr(choir, "track_stem", lambda signal: pytest.fail("tracked again"))
    assert np.array_equal(choir.pitch_of(pool, 16000, 256, tmp_path)["soprano"][0], pitch)
    (found,) = tmp_path.iterdir()
    assert found.suffix == ".npy"


def test_training_and_test_share_no_singer_and_weights_are_chosen_on_other_bars(tmp_path: Path) -> None:
    make_choir(tmp_path / "data" / "csd_nino_dios", singing=["tenor"])
    recipe = choir.RECIPES["umss"].with_changes(length=1024)
    sides = DATA["choir"](recipe, tmp_path / "data", tmp_path / "cache")
    assert isinstance(sides.train, choir.ChoirMixer) and isinstance(sides.validation, choir.ChoirMixer)
    assert set(sides.train.singers.groups) == {"1", "2"} == set(sides.validation.singers.groups)
    assert sides.train.part[1] <= sides.validation.part[0]
    assert set(sides.test) == {"quartet 3", "quartet 4"}
    alone = DATA["one_quartet"](recipe, tmp_path / "data", tmp_path / "cache")
    assert isinstance(alone.train, choir.ChoirMixer) and set(alone.train.singers.groups) == {"1"}
    with pytest.raises(DataError, match="csd_nino_dios"):
        DATA["choir"](recipe, tmp_path / "nothing", tmp_path / "cache")


def test_the_unsupervised_objective_never_looks_at_the_sources() -> None:
    voices, pitch = duet(0.4)
    mixture, side = voices.sum(0)[None, None], {PITCH: pitch[None]}
    model = umss().eval()
    apart, swapped = voices[None, :, None], voices.flip(0)[None, :, None]
    alone, each = (objectives.build(kind, {}, {}, pit=False) for kind in ("resynthesis", "resynthesis_each"))
    assert torch.equal(alone(model, apart, mixture, 0, side), alone(model, swapped, mixture, 0, side))
    assert not torch.equal(each(model, apart, mixture, 0, side), each(model, swapped, mixture, 0, side))
    made = model.synthesise(mixture, side)
    expected = losses.multi_scale_spectral(mixture, made.sum(1), mixture).mean()
    torch.testing.assert_close(alone(model, apart, mixture, 0, side), expected)


def test_the_multi_scale_loss_is_nothing_for_the_same_and_keeps_its_gradient_in_silence() -> None:
    sound = torch.randn(2, 1, 4096, generator=torch.Generator().manual_seed(0))
    assert not losses.multi_scale_spectral(sound, sound, sound).any()
    quiet, loud = (losses.multi_scale_spectral(sound, gain * sound, sound) for gain in (0.5, 0.25))
    assert (quiet > 0).all() and (quiet < loud).all()
    torch.testing.assert_close(
        losses.multi_scale_spectral(9 * sound, 4.5 * sound, 9 * sound), quiet, rtol=1e-4, atol=1e-4
    )
    silence = torch.zeros(1, 4096, requires_grad=True)
    losses.multi_scale_spectral(sound[:1, 0], silence, sound[:1, 0]).sum().backward()
    assert silence.grad is not None and torch.isfinite(silence.grad).all()


def test_the_multi_scale_loss_is_what_its_formula_says() -> None:
    t = torch.arange(8192) / 8000
    one, other = (0.1 * 2**0.5 * torch.sin(2 * np.pi * hz * t)[None] for hz in (500, 750))
    expected = 0.0
    for n in losses.SCALES:
        window = torch.hann_window(n)
        a, b = (
            (torch.stft(x, n, n // 4, window=window, return_complex=True).abs().square() + 1e-10).sqrt()
            for x in (one, other)
        )
        expected += float((a - b).abs().mean() + (torch.log(a + 1e-5) - torch.log(b + 1e-5)).abs().mean())
    assert losses.multi_scale_spectral(one, other, one).item() == pytest.approx(expected, rel=1e-3)


def test_one_mixture_is_separated_by_learning_from_it_alone() -> None:
    voices, pitch = duet(0.4)
    mixture = voices.sum(0)[None]
    model = umss()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    told: list[Step] = []
    learnt = optimise(model, mixture, pitch, steps=12, rate=1e-2, progress=told.append)
    with torch.no_grad():
        estimates = learnt.separate(mixture[None], {PITCH: pitch[None]})[0][0, :, 0]
    assert (scores(voices, estimates) > scores(voices, mixture.expand_as(voices)) + 8).all()
    assert [step.step for step in told] == list(range(1, 13)) and told[-1].loss < 0.5 * told[0].loss
    assert not learnt.training and model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()), "the model stays"


def test_learning_from_one_mixture_can_be_repeated_and_stopped() -> None:
    voices, pitch = duet(0.3)
    mixture, model = voices.sum(0)[None], umss()
    random = torch.get_rng_state()
    one, again = (optimise(model, mixture, pitch, steps=2).state_dict() for _ in range(2))
    assert all(torch.equal(tensor, again[name]) for name, tensor in one.items())
    assert torch.equal(torch.get_rng_state(), random), "others' random numbers are their own"
    told: list[Step] = []
    with pytest.raises(Cancelled, match="stopped at step 3 of 9"):
        optimise(model, mixture, pitch, steps=9, progress=told.append, cancelled=lambda: len(told) >= 2)


def test_a_long_mixture_is_learnt_from_by_excerpts(monkeypatch: pytest.MonkeyPatch) -> None:
    voices, pitch = duet(1.0)
    lengths: list[tuple[int, ...]] = []
    synthesise = UMSS.synthesise

    def seen(model: UMSS, mixture: Any, side: Any) -> Any:
        lengths.append((*mixture.shape, side[PITCH].shape[-1]))
        return synthesise(model, mixture, side)

    monkeypatch.setattr(UMSS, "synthesise", seen)
    monkeypatch.setattr("separation.training.per_file.SECONDS", 0.2)
    optimise(umss(), voices.sum(0)[None], pitch, steps=2, batch=3)
    assert lengths == [(3, 1, 25 * HOP, 26)] * 2


@pytest.mark.parametrize(("samples", "frames"), [(0, 1), (640, 9), (640, 12)])
def test_a_pitch_of_another_length_is_refused(samples: int, frames: int) -> None:
    with pytest.raises(ShapeError, match=r"every 64 samples: here \(2, "):
        optimise(umss(), torch.ones(1, samples), torch.ones(2, frames), steps=1)


class Duet:
    """Always the same two voices, and their pitch."""

    sources: tuple[str, ...] = ("high", "low")
    length = 40 * HOP

    def example(self, seed: int, step: int, index: int) -> NDArray[np.float32]:
        return duet(0.4)[0][:, : self.length].numpy()

    def side(self, seed: int, step: int, index: int) -> dict[str, NDArray[np.float32]]:
        return {PITCH: duet(0.4)[1][:, :41].numpy()}


def test_the_loop_hands_the_pitch_to_model_and_objective(tmp_path: Path) -> None:
    recipe = Recipe(
        name="tiny-umss", architecture="umss", arguments={**NET, "sources": ["high", "low"]}, data="tiny", losses={},
        objective="resynthesis", length=Duet.length, batch=1, steps=12, decay=3, rate=1e-2, warmup=2, ema=0.5, validate_every=6,
        validation_examples=1,
    )  # fmt: skip
    reports: list[dict[str, Any]] = []
    Run(recipe, Duet(), Duet(), Paths(tmp_path), device="cpu", report=reports.append).go()
    gains = [report["si_sdr_gain_db"] for report in reports if report["event"] == "validate"]
    assert len(gains) == 2 and gains[-1] > 3


def test_the_recipes_are_one_but_for_what_is_compared() -> None:
    first = choir.RECIPES["umss"]
    assert build(first.architecture, first.arguments).spec.sources == choir.VOICES
    changed = {
        "umss-supervised": {"objective": "resynthesis_each"},
        "umss-one-quartet": {"data": "one_quartet", "mixing": {"level_db": 0.0}},
    }
    for name, change in changed.items():
        assert choir.RECIPES[name] == first.with_changes(name=name, **change)
