"""Constant gains that bring the outputs of a scale-invariantly trained model back to their levels."""

import numpy as np
import pytest
import torch

from separation.errors import ConfigError
from separation.models import Spec, build
from separation.training.levels import fit_gains

SMALL = dict(basis=8, kernel=4, bottleneck=4, hidden=4, skip=0, blocks=2, repeats=1)


class Noise:
    """Two independent noises."""

    sources = ("a", "b")
    length = 2000

    def example(self, seed: int, step: int, index: int) -> np.ndarray:
        return np.random.default_rng([seed, step, index]).standard_normal((2, self.length)).astype(np.float32)


class Oracle:
    """Knows the mixer's stems, and gives them at the wrong levels, one upside down."""

    spec = Spec(8000, 1, ("a", "b"), 1.0, 0.1)

    def __init__(self, levels: tuple[float, float]) -> None:
        self.levels = torch.tensor(levels)

    def separate(self, mixture, side={}, state=None):
        for i in range(5):
            stems = torch.from_numpy(Noise().example(7, 0, i))
            if torch.allclose(stems.sum(0), mixture[0, 0]):
                return (stems * self.levels[:, None])[None, :, None], None
        raise AssertionError("not one of the mixer's examples")


def test_levels_and_signs_are_undone():
    gains = fit_gains(Oracle((80.0, -5.0)), Noise(), 5, seed=7)
    assert gains == pytest.approx([1 / 80, -1 / 5], rel=1e-5)


def test_gains_are_applied_to_the_outputs_and_only_there():
    torch.manual_seed(0)
    plain = build("conv_tasnet", SMALL).eval()
    scaled = build("conv_tasnet", {**SMALL, "gains": [2.0, -3.0]}).eval()
    scaled.load_state_dict(plain.state_dict())
    x = torch.randn(2, 1, 400)
    with torch.no_grad():
        expected = plain.separate(x)[0] * torch.tensor([2.0, -3.0]).view(1, 2, 1, 1)
        assert torch.equal(scaled.separate(x)[0], expected)
        assert torch.equal(scaled.masks(scaled.encode(x)), plain.masks(plain.encode(x)))


def test_as_many_gains_as_sources():
    with pytest.raises(ConfigError, match="3 gains for 2 sources"):
        build("conv_tasnet", {**SMALL, "gains": [1.0, 1.0, 1.0]})
