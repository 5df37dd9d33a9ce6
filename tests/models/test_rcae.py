"""Recurrent-convolutive auto-encoders: the LSTMs are torch's, one a component; the family's tests are in `test_nae`."""

import torch
from torch import nn

from separation.models.nae import Terms
from separation.models.rcae import IndependentLSTMs, Recurrence, Recurrent

COUNT, BINS, HIDDEN = 3, 9, 4


def networks(*, bias: bool = True) -> IndependentLSTMs:
    torch.manual_seed(0)
    ours = IndependentLSTMs(COUNT, BINS, HIDDEN, bias=bias)
    ours.begin()
    if ours.bias is not None:
        nn.init.normal_(ours.bias)
    return ours


def torchs(ours: IndependentLSTMs, network: int) -> nn.LSTM:
    """One of the networks as torch has it: gates in the order enter, forget, candidate, leave, weights transposed."""

    def arranged(rows: torch.Tensor) -> torch.Tensor:
        enter, forget, leave, candidate = rows.detach().chunk(4)
        return torch.cat([enter, forget, candidate, leave])

    peer = nn.LSTM(BINS, HIDDEN)
    bias = torch.zeros(COUNT * 4 * HIDDEN) if ours.bias is None else ours.bias
    weights = {
        "weight_ih_l0": arranged(ours.drive[network]),
        "weight_hh_l0": arranged(ours.recurrence[network].T),
        "bias_ih_l0": arranged(bias.view(COUNT, -1)[network]),
        "bias_hh_l0": torch.zeros(4 * HIDDEN),
    }
    peer.load_state_dict(weights)
    return peer


def test_they_are_k_lstms_that_know_nothing_of_each_other() -> None:
    for bias in (True, False):
        ours, x = networks(bias=bias), torch.randn(17, 2, BINS)
        together = ours(x)
        assert together.shape == (17, COUNT, 2, HIDDEN)
        for network in range(COUNT):
            torch.testing.assert_close(together[:, network], torchs(ours, network)(x)[0])


def test_gradients_are_those_of_k_lstms() -> None:
    ours = networks()
    x = torch.randn(17, 2, BINS).requires_grad_()
    weights = torch.randn(17, COUNT, 2, HIDDEN)
    (ours(x) * weights).sum().backward()
    heard = torch.zeros_like(x)
    for network in range(COUNT):
        peer, same = torchs(ours, network), x.detach().clone().requires_grad_()
        (peer(same)[0] * weights[:, network]).sum().backward()
        assert same.grad is not None
        heard += same.grad
        gradient = dict(peer.named_parameters())["weight_hh_l0"].grad
        assert gradient is not None
        enter, forget, candidate, leave = gradient.chunk(4)
        expected = torch.cat([enter, forget, leave, candidate]).T
        torch.testing.assert_close(ours.recurrence.grad[network], expected)  # type: ignore[index]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, heard)


def test_the_gradient_that_is_written_out_is_the_one_of_small_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    drive = torch.randn(6, 2, 2, 8, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.randn(2, 2, 8, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(Recurrence.apply, (drive, weight))


def test_latents_are_sums_of_hidden_units_and_sequences_begin_from_nothing() -> None:
    torch.manual_seed(1)
    part = Recurrent(COUNT, 2, BINS, hidden=HIDDEN, sequence=5, bias=True, terms=Terms())
    x = torch.rand(2, BINS, 13)
    with torch.no_grad():
        heard = part.listen(x)
        assert heard.shape == (2, COUNT, 13)
        for first in (0, 5, 10):
            piece = x[..., first : first + 5]
            units = part.encoder(piece.permute(2, 0, 1)).sum(-1).permute(2, 1, 0)
            torch.testing.assert_close(heard[..., first : first + 5], units)
        assert float(heard.abs().max()) < HIDDEN
        torch.testing.assert_close(part.listen(x[..., :3]), heard[..., :3])


def test_each_network_is_drawn_for_its_own_size() -> None:
    """Glorot's bound is that of one network, not that of all of them stacked."""
    ours = networks()
    bounds = (6 / (BINS + 4 * HIDDEN)) ** 0.5, (6 / (5 * HIDDEN)) ** 0.5
    for weight, bound in zip((ours.drive, ours.recurrence), bounds, strict=True):
        assert 0.9 * bound < float(weight.detach().abs().max()) <= bound
