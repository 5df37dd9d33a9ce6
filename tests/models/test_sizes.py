"""The published numbers of parameters, from the models themselves."""

import pytest

from separation.models import ARCHITECTURES
from separation.models.sizes import PAPER_SIZES, parameters


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("two-step-tdcn", 8_628_038),
        ("htmd-net", 4_564_463),
        ("htmd-net/masking", 1_962_881),
        ("wave-u-net", 10_263_002),
        ("umss", 5_573_961),
    ],
)
def test_published_numbers_are_exact(name: str, published: int) -> None:
    assert parameters(name) == published


def test_published_numbers_that_were_rounded() -> None:
    idle = 512 * 128 + 128  # the last block's residual convolution feeds nothing and is not built
    assert round((parameters("conv-tasnet") + idle) / 1e6, 1) == 5.1  # table II of the paper
    assert round(parameters("conv-tasnet/htmd") / 1e6, 1) == 5.5


def test_every_size_names_an_architecture_that_can_be_built() -> None:
    assert {architecture for architecture, _ in PAPER_SIZES.values()} <= set(ARCHITECTURES)
    assert all(parameters(name) > 0 for name in PAPER_SIZES)
