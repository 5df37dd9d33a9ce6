"""Numbers without references: what adds up, what repeats, how undecided masks are; and the observer in a real run."""

import numpy as np
import pytest
import torch
from torch import Tensor

from separation.audio import ArrayReader
from separation.engine import Options, run
from separation.errors import ShapeError
from separation.metrics import MaskEntropy, level_db, mask_entropy, null_db, residual_db, stem_similarity
from separation.models import build
from separation.signals import Signal
from tests.metrics.metric_signals import noise

SHAPE = (3, 2, 2000)


def test_stems_that_add_up_leave_nothing():
    stems = noise(*SHAPE)
    assert null_db(stems.sum(0), stems).item() == -200
    assert null_db(stems.sum(0) * 1.1, stems).item() == pytest.approx(20 * np.log10(0.1 / 1.1))


def test_what_is_left_of_24_bits_is_their_rounding():
    stems = noise(*SHAPE) / 10
    rounded = (stems * 2**23).round() / 2**23
    assert -145 < null_db(stems.sum(0), rounded).item() < -115


def test_a_residual_is_relative_to_its_mixture():
    mixture = noise(2, 2000)
    assert residual_db(mixture, 0.1 * mixture).item() == pytest.approx(-20)
    assert residual_db(mixture, torch.zeros(2, 2000)).item() == -200
    assert residual_db(torch.zeros(2, 2000), mixture).isnan()
    assert null_db(torch.zeros(2, 2000), mixture[None]).isnan()


def test_leading_axes_are_kept():
    mixture, stems = noise(4, 2, 500), noise(4, 3, 2, 500, seed=1)
    assert residual_db(mixture, mixture / 2).shape == level_db(mixture).shape == null_db(mixture, stems).shape == (4,)
    assert null_db(mixture, stems)[2].item() == pytest.approx(null_db(mixture[2], stems[2]).item())
    assert stem_similarity(stems).shape == (4, 3)


def test_a_copy_is_as_similar_as_can_be_whatever_its_sign_and_level():
    stems = noise(*SHAPE)
    stems[2] = -0.3 * stems[0]
    found = stem_similarity(stems)
    assert found[0].item() == found[2].item() == pytest.approx(1)
    assert found[1] < 0.1


def test_a_leak_raises_similarity():
    stems = noise(2, 2, 2000)
    found = [stem_similarity(stems + leak * stems.flip(0))[0].item() for leak in (0, 0.1, 0.5, 1)]
    assert found == sorted(found) and found[-1] == pytest.approx(1)


def test_silence_and_a_lone_stem_are_like_nobody():
    stems = noise(*SHAPE)
    stems[1] = 0
    assert stem_similarity(stems).isnan().tolist() == [False, True, False]
    assert stem_similarity(stems[:1]).isnan().all() and stem_similarity(stems[:2]).isnan().all()


def test_levels_are_relative_to_full_scale():
    signal = torch.tensor([[1.0, -1.0] * 50, [0.0] * 100])
    assert level_db(signal).item() == pytest.approx(-3.0103, abs=1e-4)
    assert level_db(torch.zeros(1, 5)).isnan()


def test_decided_masks_have_no_entropy_and_equal_ones_all_of_it():
    latent = noise(2, 6, 5)
    owner = torch.randint(0, 3, (1, 1, 6, 5), generator=torch.Generator().manual_seed(0))
    decided = torch.nn.functional.one_hot(owner[0], 3).movedim(-1, 0).double()
    assert mask_entropy(decided, latent).item() == 0
    assert mask_entropy(torch.full((3, 1, 6, 5), 0.2), latent).item() == pytest.approx(1)
    assert mask_entropy(torch.full((3, 2, 6, 5), 0.2), latent).item() == pytest.approx(1)


def test_entropy_counts_where_the_energy_is():
    masks = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 0.0]]).view(2, 1, 1, 3)
    latent = torch.tensor([3.0, 1.0, 100.0]).view(1, 1, 3)
    # the last basis function goes to nobody and does not count
    assert mask_entropy(masks, latent).item() == pytest.approx(1 / 10)
    assert mask_entropy(masks, latent * 1j).item() == pytest.approx(1 / 10)
    half = 0.25 * np.log(4) + 0.75 * np.log(4 / 3)
    assert mask_entropy(torch.tensor([0.75, 0.25]).view(2, 1, 1, 1), torch.ones(1, 1, 1)).item() == pytest.approx(
        half / np.log(2)
    )


def test_entropy_of_one_source_or_of_silence_is_undefined():
    assert mask_entropy(torch.ones(1, 1, 2, 2), torch.ones(1, 2, 2)).isnan()
    assert mask_entropy(torch.ones(2, 1, 2, 2), torch.zeros(1, 2, 2)).isnan()


class Sink:
    def write(self, block: Tensor) -> None: ...


def entropy_of_run(mixture: np.ndarray, segment: float) -> float | None:
    torch.manual_seed(0)
    sizes = dict(basis=16, kernel=16, bottleneck=8, hidden=16, skip=8, width=3, blocks=2, repeats=1)
    timing = dict(sample_rate=8000, segment=segment, context=0.05)
    model = build("conv_tasnet", dict(sources=("a", "b"), **sizes, **timing)).eval()
    observer = MaskEntropy()
    run(model, ArrayReader(Signal(mixture, 8000)), {"a": Sink()}, options=Options(device="cpu"), observers=(observer,))
    return observer.value


def test_the_observer_sees_a_whole_run_and_chunks_make_little_difference():
    mixture = noise(1, 24000).float().numpy()
    whole, cut = entropy_of_run(mixture, 10.0), entropy_of_run(mixture, 0.8)
    assert whole is not None and cut is not None and 0.5 < whole <= 1
    assert cut == pytest.approx(whole, rel=0.02)
    assert entropy_of_run(np.zeros_like(mixture), 10.0) is None


def test_the_observer_leaves_context_out():
    class View:
        start, kept = -10, slice(10, 20)
        mixture = torch.ones(1, 30)
        latent: Tensor | None = torch.ones(1, 1, 6)
        masks: Tensor | None = torch.tensor([[1, 1, 0.5, 0.5, 1, 1], [0, 0, 0.5, 0.5, 0, 0]]).view(2, 1, 1, 6)

    observer = MaskEntropy()
    observer.chunk(View())
    assert observer.value == pytest.approx(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: residual_db(torch.ones(1, 5), torch.ones(1, 6)),
        lambda: null_db(torch.ones(1, 5), torch.ones(2, 2, 5)),
        lambda: stem_similarity(torch.ones(5)),
        lambda: level_db(torch.ones(1, 0)),
        lambda: mask_entropy(torch.ones(2, 1, 3, 4), torch.ones(1, 3, 5)),
    ],
)
def test_wrong_shapes_are_named(call):
    with pytest.raises(ShapeError, match=r"Pass"):
        call()
