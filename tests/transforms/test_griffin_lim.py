"""Griffin and Lim: what comes out has the magnitudes that were asked for, nearly, and always the same."""

import torch

from separation.transforms import STFT
from separation.transforms.griffin_lim import griffin_lim

RATE = 16000
STFT_ = STFT(1024, 256, root=True)


def test_it_finds_phases_for_the_magnitudes_of_a_signal() -> None:
    time = torch.arange(8192) / RATE
    signal = torch.sin(2 * torch.pi * 440 * time) + 0.5 * torch.sin(2 * torch.pi * 1234 * time)
    magnitudes = STFT_(signal).abs()

    def miss(rounds: int) -> float:
        made = STFT_(griffin_lim(magnitudes, STFT_, rounds=rounds)).abs()
        return float((made - magnitudes).square().sum() / magnitudes.square().sum())

    assert miss(40) < 0.05 and miss(40) < 0.5 * miss(0)


def test_the_seed_decides_and_nothing_gives_nothing() -> None:
    magnitudes = torch.rand(513, 20, generator=torch.Generator().manual_seed(1))
    before = torch.random.get_rng_state()
    assert torch.equal(griffin_lim(magnitudes, STFT_, rounds=2), griffin_lim(magnitudes, STFT_, rounds=2))
    assert not torch.equal(griffin_lim(magnitudes, STFT_, rounds=2), griffin_lim(magnitudes, STFT_, rounds=2, seed=1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert griffin_lim(torch.zeros(513, 20), STFT_).abs().max() == 0
