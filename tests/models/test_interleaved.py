"""The shared encoder: decoders that do not know of each other, and no more of them run than are asked for."""

from typing import Any

import pytest
import torch
from torch import Tensor

from separation.errors import ConfigError
from separation.models import build
from separation.models.interleaved import SharedEncoder

TINY: dict[str, Any] = {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "channels": [4, 8], "groups": 2}
NAMES = ["vocals", "drums", "guitar"]


def model(**changes: Any) -> SharedEncoder:
    torch.manual_seed(0)
    return SharedEncoder(**{**TINY, **changes}).eval()


def noise(length: int = 900) -> Tensor:
    return torch.randn(2, 1, length, generator=torch.Generator().manual_seed(1))


def test_a_source_chosen_alone_is_what_it_is_among_all() -> None:
    whole = model(sources=NAMES)
    some = model(sources=["guitar", "vocals"], known=NAMES)
    some.load_state_dict(whole.state_dict())
    with torch.no_grad():
        everything, chosen = whole.separate(noise())[0], some.separate(noise())[0]
    torch.testing.assert_close(chosen, everything[:, [2, 0]], rtol=0, atol=0)
    assert some.spec.sources == ("guitar", "vocals")


def test_decoders_that_are_not_asked_for_are_not_run() -> None:
    some = model(sources=["guitar"], known=NAMES)
    ran: list[str] = []
    for name, decoder in some.decoders.items():
        decoder.register_forward_hook(lambda *_, name=name: ran.append(name))
    some.separate(noise())
    assert ran == ["guitar"]


def test_another_source_costs_a_decoder_and_no_encoder() -> None:
    sizes = [sum(p.numel() for p in model(sources=NAMES[:count]).parameters()) for count in (1, 2, 3)]
    decoder = sum(p.numel() for p in model(sources=NAMES).decoders["drums"].parameters())
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] == decoder
    narrow = SharedEncoder(**{**TINY, "channels": [8, 16]}, sources=NAMES, narrow=2)
    wide = SharedEncoder(**{**TINY, "channels": [8, 16]}, sources=NAMES)
    assert sum(p.numel() for p in narrow.parameters()) < sum(p.numel() for p in wide.parameters())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sources": ["voice"], "known": NAMES}, "not for all of voice"),
        ({"channels": [4, 8, 16, 32, 64]}, "32 bins cannot be halved 5 times"),
        ({"groups": 3}, "do not form 3 groups"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build("interleaved", {**TINY, **changes})
