"""Convolutive auto-encoders: causal full-height filters in both layers; the rest of the family's tests are in `test_nae`."""

import torch
from torch.nn.functional import softplus

from separation.models.ccae import CCAE, FRAMES
from separation.models.nae import FeedForward, Terms

BINS, COUNT, LAGS = 9, 3, 4


def part() -> FeedForward:
    torch.manual_seed(0)
    return FeedForward(COUNT, LAGS, BINS, bias=True, terms=Terms())


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def test_layers_are_the_sums_of_the_paper() -> None:
    """Written out lag by lag, with filters in the paper's order: l frames ago."""
    one, x = part(), noise(1, BINS, 11)
    encoder, decoder = one.encoder.weight.flip(-1), one.decoder.weight.flip(-1)
    with torch.no_grad():
        latents = torch.zeros(COUNT, 11) + one.encoder.bias[:, None]  # type: ignore[index]
        for t in range(11):
            for lag in range(min(LAGS, t + 1)):
                latents[:, t] += encoder[..., lag] @ x[0, :, t - lag]
        latents = softplus(latents)
        output = torch.zeros(BINS, 11) + one.decoder.bias[:, None]  # type: ignore[index]
        for t in range(11):
            for lag in range(min(LAGS, t + 1)):
                output[:, t] += decoder[..., lag] @ latents[:, t - lag]
        torch.testing.assert_close(one.encode(x)[0], latents)
        torch.testing.assert_close(one.decode(latents[None])[0], softplus(output))


def test_nothing_is_heard_before_it_sounds() -> None:
    one, x = part(), noise(1, BINS, 12)
    later = x.clone()
    later[..., 7:] += 1
    with torch.no_grad():
        first, second = one.decode(one.encode(x)), one.decode(one.encode(later))
    assert torch.equal(first[..., :7], second[..., :7])
    assert not torch.equal(first[..., 7], second[..., 7])


def test_a_matched_filter_hears_its_own_pattern_best() -> None:
    """What `matched` shows, played to the encoder, drives its component when its last frame has come, and most then."""
    one = part()
    with torch.no_grad():
        pattern = one.matched()[1]
        x = torch.zeros(1, BINS, 12)
        x[0, :, 4 : 4 + LAGS] = pattern
        heard = one.listen(x)[0, 1]
    assert int(heard.argmax()) == 4 + LAGS - 1
    torch.testing.assert_close(heard.max() - one.encoder.bias[1], pattern.square().sum())  # type: ignore[index]


def test_filters_have_eight_frames_and_one_is_an_auto_encoder_of_one_frame() -> None:
    assert CCAE().components().patches.shape == (80, 513, FRAMES) == (80, 513, 8)
    model = CCAE(frames=1, n_fft=64, hop_length=16, sample_rate=8000, components=2)
    assert model.components().patches.shape == (4, 33, 1)
