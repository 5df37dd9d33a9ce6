"""Two-Step: the published size, its parts against their plain forms, and what the record says must hold."""

import pytest
import torch
from torch import Tensor, nn

from separation.models import LatentSeparator
from separation.models.two_step import (
    BasisConvolution,
    LearnedTransform,
    ResidualTDCN,
    TimeNormBlock,
    Transform,
    TwoStep,
)

SMALL = {"basis": 12, "kernel": 11, "bottleneck": 6, "hidden": 10, "blocks": 3, "repeats": 2}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_size_of_the_paper() -> None:
    with torch.device("meta"):
        assert parameters(TwoStep(basis=256, kernel=21, bottleneck=256, hidden=512, blocks=8, repeats=4)) == 8_628_038
        assert parameters(TwoStep(basis=128, kernel=21, bottleneck=256, hidden=512, blocks=8, repeats=4)) == 8_619_206


@pytest.mark.parametrize("length", [1, 5, 50, 101, 1237])
@pytest.mark.parametrize("decoders", ["per source", "shared"])
def test_the_transform_gives_back_the_length_and_never_a_negative_latent(length: int, decoders: str) -> None:
    transform = Transform(3, 8, 11, decoders)  # type: ignore[arg-type]
    x = noise(2, 3, 2, length)
    z = transform.encode(x)
    assert z.shape == (2, 3, 2, 8, -(-length // 5))
    assert z.min() >= 0
    assert transform.decode(z, length).shape == x.shape


def test_each_source_has_its_own_decoder_as_the_authors_have_it() -> None:
    transform = Transform(2, 6, 5, "per source")
    z = noise(1, 2, 1, 6, 9).abs()
    both = transform.decode(z, 18)
    plain = [
        nn.functional.conv_transpose1d(
            z[:, s, 0], transform.decoder.weight[6 * s : 6 * s + 6], transform.decoder.bias[s : s + 1], 2, 2, 1
        )
        for s in range(2)
    ]
    torch.testing.assert_close(both[:, :, 0], torch.cat(plain, 1))


def test_the_mask_layer_is_a_convolution_along_the_basis_axis() -> None:
    layer = BasisConvolution(3, 10)
    plain = nn.Conv2d(1, 3, (11, 1), padding=(5, 0))
    plain.weight.data, plain.bias.data = layer.weight.data[:, None, :, None], layer.bias.data  # type: ignore[union-attr]
    x = noise(2, 10, 7)
    torch.testing.assert_close(layer(x), plain(x.unsqueeze(1)))


@pytest.mark.parametrize("variant", [{}, {"joint": True}, {"separator": "residual"}, {"norm": "global"}])
def test_masks_sum_to_one_and_with_one_decoder_the_sources_sum_to_the_decoded_mixture(
    variant: dict[str, object],
) -> None:
    model = TwoStep(**SMALL, decoders="shared", **variant).eval()  # type: ignore[arg-type]
    x = noise(2, 1, 503)
    with torch.no_grad():
        z = model.encode(x)
        masks = model.masks(z)
        stems, _ = model.separate(x)
        whole = model.decode(z.unsqueeze(1), 503)[:, 0]
    torch.testing.assert_close(masks.sum(1), torch.ones_like(z))
    bias = model.transform.decoder.bias
    assert bias is not None
    torch.testing.assert_close(stems.sum(1), whole + bias, atol=1e-5, rtol=1e-5)


def test_the_quick_path_of_the_tdcn_has_the_numbers_of_the_plain_one() -> None:
    model = TwoStep(**SMALL, norm="global").eval()  # type: ignore[arg-type]
    z = model.encode(noise(2, 1, 777))
    plain = model.masks(z)  # gradients are on
    with torch.no_grad():
        quick = model.masks(z)
    assert plain.requires_grad and not quick.requires_grad
    torch.testing.assert_close(quick, plain.detach(), atol=1e-5, rtol=1e-4)


def test_the_residual_separator_is_joined_as_in_the_record() -> None:
    with torch.device("meta"):
        body = ResidualTDCN(8, 8, 3, blocks=8, repeats=4)
    assert len(body.blocks) == 32
    assert body.origins == {8: [0], 16: [0, 8], 24: [0, 8, 16], 11: [3], 19: [3, 11], 27: [3, 11, 19]}
    assert [block.depthwise.dilation[0] for block in body.blocks[:9]] == [1, 2, 4, 8, 16, 32, 64, 128, 1]  # type: ignore[union-attr,index]


def test_a_shortcut_carries_the_input_over_a_repeat() -> None:
    body = ResidualTDCN(4, 6, 3, blocks=2, repeats=2)
    for block in body.blocks:
        assert isinstance(block, TimeNormBlock)
        nn.init.zeros_(block.narrow.weight)
        nn.init.zeros_(block.narrow.bias)  # type: ignore[arg-type]
    x = noise(1, 4, 20)
    torch.testing.assert_close(body(x), x + body.shortcuts["2"]([x]))


def test_oracle_masks_need_the_references_and_follow_them() -> None:
    torch.manual_seed(0)
    model = LearnedTransform(basis=12, kernel=11).eval()
    assert model.spec.needs == ("references",) and isinstance(model, LatentSeparator)
    references = noise(1, 2, 1, 400)
    references[:, 1] = 0
    mixture = references.sum(1)
    with torch.no_grad():
        z = model.encode(mixture)
        masks = model.masks(z, {"references": references})
        torch.testing.assert_close(masks.sum(1), torch.ones_like(z))
        louder = z > model.encode(references[:, 1]) + 1e-3
        assert (masks[:, 0][louder] > 0.5).all()
        swapped = model.masks(z, {"references": references.flip(1)})
    torch.testing.assert_close(swapped, masks.flip(1))


def test_ratio_masks_give_a_lone_source_everything_it_has() -> None:
    model = LearnedTransform(basis=12, kernel=11, oracle="ratio").eval()
    references = noise(1, 2, 1, 400)
    references[:, 1] = 0
    with torch.no_grad():
        model.transform.encoder.bias.zero_()  # type: ignore[union-attr]
        z = model.encode(references.sum(1))
        masks = model.masks(z, {"references": references})
    heard = z > 1e-3
    torch.testing.assert_close(masks[:, 0][heard], torch.ones_like(z[heard]), atol=1e-4, rtol=0)


def test_the_weights_of_step_one_fit_under_step_two() -> None:
    first = LearnedTransform(basis=12, kernel=11)
    second = TwoStep(**SMALL)  # type: ignore[arg-type]
    names = {name for name, _ in second.named_parameters() if name.startswith("transform.")}
    assert names == {name for name, _ in first.named_parameters()}
    assert second.load_state_dict(first.state_dict(), strict=False).unexpected_keys == []
    assert torch.equal(second.encode(noise(1, 1, 99)), first.encode(noise(1, 1, 99)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kernel": 20}, "odd length, not 20"),
        ({"basis": 13}, "even number, not 13"),
        ({"separator": "resnet"}, "'resnet' is not known"),
        ({"norm": "layer"}, "'layer' normalisation"),
        ({"decoders": "two"}, "'two' are not known"),
    ],
)
def test_wrong_arguments_say_what_is_right(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TwoStep(**{**SMALL, **arguments})  # type: ignore[arg-type]
