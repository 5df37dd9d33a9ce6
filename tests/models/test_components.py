"""What models made of components share: the front end, soft masks, shares, surgery, and sources that are joined."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from separation.errors import ModelError
from separation.models import LatentSeparator
from separation.models.components import ComponentModel, Part, Step, joined, shared, with_surgery

SMALL: dict[str, Any] = {"sample_rate": 8000, "n_fft": 64, "hop_length": 16}


class Squares(Part):
    """As nonlinear as a decoder can be: the square of what a dictionary gives, so that components do not add up."""

    def __init__(self, components: int, bins: int) -> None:
        super().__init__(components, 1)
        self.weight = nn.Parameter(torch.rand(bins, components))

    def learn(self, magnitudes: Tensor, *, steps: int, generator: torch.Generator) -> Iterator[Step]:
        yield Step(1, steps, 0.0)

    def patches(self) -> Tensor:
        return self.weight.T.square().unsqueeze(2)

    def render(self, activations: Tensor) -> Tensor:
        squared: Tensor = (self.weight @ activations).square()
        return squared

    def each(self, activations: Tensor) -> Tensor:
        alone = (self.weight.T.unsqueeze(-1) * activations.unsqueeze(-2)).square()
        return shared(alone, self.render(activations))


class Model(ComponentModel):
    """Activations that need no fitting: how much of a mixture each patch meets. ``colour`` is its own argument."""

    citation = "nobody"
    own = {"mood": "calm"}  # noqa: RUF012

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("a", "b"),
        components: Any = 2,
        colour: str = "red",
        mood: str = "wild",
        **more: Any,
    ) -> None:
        super().__init__(
            sources=sources, components=components, colour=colour, mood=mood, **{"steps": 1, **SMALL, **more}
        )
        self.parts = nn.ModuleList(Squares(count, self.bins) for count in self.counts)

    def fit(self, magnitudes: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return [part.patches().squeeze(2) @ magnitudes for part in self.taught]


class Other(Model):
    pass


def model(seed: int = 0, **arguments: Any) -> Model:
    torch.manual_seed(seed)
    return Model(**arguments).eval()


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def masks(model: ComponentModel, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model.masks(model.encode(x))


def test_a_model_is_a_latent_separator() -> None:
    assert isinstance(model(), LatentSeparator)
    spec = model(sources=["x", "y", "z"], segment=4.0, context=0.25).spec
    assert (spec.sources, spec.channels, spec.segment, spec.context, spec.multiple_of) == (
        ("x", "y", "z"), 1, 4.0, 0.25, 16,
    )  # fmt: skip


def test_the_front_end_is_a_root_hann_window_both_ways() -> None:
    stft = model().stft
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    np.testing.assert_allclose(stft.window.square(), hann, atol=1e-6)
    x = noise(2, 1, 1000)
    torch.testing.assert_close(stft.inverse(stft(x), 1000), x, rtol=0, atol=1e-5)


def test_clips_are_gathered_with_zero_mean_and_unit_deviation() -> None:
    m, clips = model(), [3 + 0.01 * noise(1600), 200 * noise(800, seed=2), torch.zeros(160)]
    gathered = m.gather(clips)
    frames = [1 + 1600 // 16, 1 + 800 // 16, 1 + 160 // 16]
    assert gathered.shape == (33, sum(frames))
    first, second, silence = gathered.split(frames, 1)
    unit = (clips[0] - clips[0].mean()) / clips[0].std(correction=0)
    torch.testing.assert_close(first, m.stft(unit).abs(), rtol=1e-4, atol=1e-4)
    assert float(first.square().mean()) == pytest.approx(float(second.square().mean()), rel=0.1)
    assert not silence.any()


def test_a_chunk_is_heard_as_a_clip_of_unit_deviation_whatever_its_level() -> None:
    m, x = model(), noise(1, 1, 4000)
    clip = m.gather([x[0, 0]])
    for gain in (1e-4, 1.0, 300.0):
        heard = m.magnitudes(m.encode(gain * x))
        assert heard.shape == (1, 33, 251)
        assert float(heard.square().mean() / clip.square().mean()) == pytest.approx(1, rel=0.01)
    assert not m.magnitudes(m.encode(torch.zeros(1, 1, 100))).any()


def test_masks_come_from_the_channels_mean_power_and_sum_to_one() -> None:
    m, x = model(components=[2, 3]), noise(2, 2, 700)
    found = masks(m, x)
    assert found.shape == (2, 2, 1, 33, 45)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 1, 33, 45))
    z = m.encode(x)
    power = z.abs().square().mean(1, keepdim=True).sqrt().to(z.dtype)
    with torch.no_grad():
        torch.testing.assert_close(m.masks(power), found)


def test_where_nothing_is_heard_every_source_gets_as_much() -> None:
    assert (masks(model(sources=["a", "b", "c", "d"]), torch.zeros(1, 1, 300)) == 0.25).all()


def test_masks_are_the_shares_of_the_components_a_source_owns() -> None:
    m, x = model(components=[2, 3], moved={"1": 1, "4": 0}), noise(1, 1, 500)
    with torch.no_grad():
        z = m.encode(x)
        share = m.spread(m.fit(m.magnitudes(z)))
        assert share.shape == (1, 5, *z.shape[2:])
        total = share.sum(1)
        torch.testing.assert_close(m.masks(z)[:, 0, 0], (share[:, 0] + share[:, 4]) / total)
        torch.testing.assert_close(m.masks(z)[:, 1, 0], (share[:, 1] + share[:, 2] + share[:, 3]) / total)


def test_the_shares_of_a_part_sum_to_what_it_gives_with_all_of_them() -> None:
    part = model().taught[0]
    rows = torch.rand(3, 2, 7)
    with torch.no_grad():
        torch.testing.assert_close(part.each(rows).sum(-3), part.render(rows))
        groups = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        grouped = part.grouped(rows, groups)
    assert grouped.shape == (3, 3, 33, 7)
    torch.testing.assert_close(grouped[:, 2], part.render(rows))
    torch.testing.assert_close(grouped[:, :2], part.each(rows))


def test_shares_of_something_are_equal_where_none_gives_anything_alone() -> None:
    found = shared(torch.zeros(4, 1, 1), torch.tensor([[2.0]]))
    assert found.flatten().tolist() == [0.5] * 4


def test_components_are_counted_over_all_sources() -> None:
    m = model(sources=["a", "b", "c"], components=[2, 1, 3], moved={"0": 2, "3": 1}, muted=[4])
    found = m.components()
    assert m.homes.tolist() == [0, 0, 1, 2, 2, 2]
    assert found.sources.tolist() == [2, 0, 1, 1, 2, 2]
    assert found.muted.tolist() == [False, False, False, False, True, False]
    assert found.patches.shape == (6, 33, 1)
    assert not found.patches.requires_grad
    torch.testing.assert_close(found.patches[2], m.taught[1].patches()[0])


def test_a_moved_component_takes_its_sound_along_and_nothing_is_lost() -> None:
    before, x = model(components=3), noise(1, 1, 500)
    after = with_surgery(before, {2: 1}, [])
    with torch.no_grad():
        share = before.spread(before.fit(before.magnitudes(before.encode(x))))
    moved = (share[:, 2] / share.sum(1)).unsqueeze(1)
    torch.testing.assert_close(masks(after, x)[:, 0], masks(before, x)[:, 0] - moved, rtol=0, atol=1e-6)
    torch.testing.assert_close(masks(after, x)[:, 1], masks(before, x)[:, 1] + moved, rtol=0, atol=1e-6)


def test_a_muted_component_is_lost_to_its_source_and_to_no_other() -> None:
    before, x = model(components=3), noise(1, 1, 500)
    after = with_surgery(before, {}, [0, 1])
    torch.testing.assert_close(masks(after, x)[:, 1], masks(before, x)[:, 1])
    assert (masks(after, x)[:, 0] < masks(before, x)[:, 0]).all()
    silent = with_surgery(before, {}, range(6))
    assert not masks(silent, x).any()


def test_surgery_has_the_same_weights_and_forgets_what_was_before() -> None:
    before = model(components=3, moved={"0": 1}, muted=[5])
    kept = dict(before.arguments)
    after = with_surgery(before, {"4": 0}, [2, 1, 2])
    assert after.arguments["moved"] == {"4": 0}
    assert after.arguments["muted"] == [1, 2]
    assert before.arguments == kept
    assert not after.training
    for name, tensor in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], tensor)
        assert after.state_dict()[name].data_ptr() != tensor.data_ptr(), "weights that are changed here change there"


def test_surgery_does_not_disturb_the_callers_random_numbers() -> None:
    m = model()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with_surgery(m, {0: 1}, [])
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("moved", "muted", "message"),
    [
        ({7: 0}, [], "component 7 is moved, and there are 4.*counted from 0"),
        ({1: 2}, [], "component 1 is moved to source 2, and there are 2"),
        ({}, [-1], "component -1 is muted, and there are 4"),
    ],
)
def test_surgery_on_what_is_not_there_is_refused(moved: Mapping[int, int], muted: list[int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        with_surgery(model(), moved, muted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"components": 0}, "number of components each"),
        ({"components": [1, 2, 3]}, r"2 sources need a number of components each, 1 or more, not \[1, 2, 3\]"),
        ({"steps": 0}, "one step or more, not 0"),
    ],
)
def test_impossible_arguments_say_why(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model(**arguments)


def test_joined_models_take_each_part_as_it_was_learned() -> None:
    one = model(0, sources=["voice", "piano"], components=[2, 3], muted=[1], segment=6.0)
    two = model(1, sources=["drums", "piano"], components=[4, 1])
    both = joined([(one, "piano"), (two, "drums"), (two, "piano")], ["piano", "drums", "other piano"])
    assert both.spec.sources == ("piano", "drums", "other piano")
    assert both.arguments["components"] == [3, 4, 1]
    assert both.arguments["muted"] == []
    assert both.arguments["segment"] == 6.0
    assert both.arguments["mood"] == "calm"
    for part, (origin, index) in zip(both.taught, [(one, 1), (two, 0), (two, 1)], strict=True):
        assert torch.equal(part.patches(), origin.taught[index].patches())
    assert joined([(one, "voice"), (two, "drums")]).spec.sources == ("voice", "drums")


class Empty(Squares):
    def __init__(self, components: int, bins: int) -> None:
        super().__init__(components, bins)
        del self.weight


def test_only_what_was_learned_in_one_way_is_joined() -> None:
    one = model(0, sources=["voice", "piano"])
    untaught = model(0, sources=["voice", "rest"])
    untaught.parts[1] = Empty(2, 33)
    refused: list[tuple[Sequence[tuple[ComponentModel, str]], str]] = [
        ([(one, "voice"), (one, "drums")], "no source called drums.*Choose from voice, piano"),
        ([(one, "voice"), (one, "voice")], "they would be called voice, voice"),
        ([(one, "voice"), (model(1, hop_length=32), "b")], "b was learned otherwise: hop_length 32 instead of 16"),
        ([(one, "voice"), (model(1, colour="blue"), "b")], "colour blue instead of red"),
        ([(one, "voice"), (Other(), "b")], "Other instead of Model"),
        ([(one, "voice"), (untaught, "rest")], "nobody taught rest"),
    ]
    for models, message in refused:
        with pytest.raises(ModelError, match=message):
            joined(models)
    with pytest.raises(ModelError, match="name of its own"):
        joined([(one, "voice"), (one, "piano")], ["just one"])
