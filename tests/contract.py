"""What every separator must keep to, whoever wrote it: `check_separator`, after scikit-learn's `check_estimator`.

The checks know nothing of any architecture. They hold the promises of `separation.models.protocol` that the engine, the hub
and the views rely on. `SMALL` has arguments for each architecture that make it small enough to test in a second; a new
architecture is tested by getting an entry there.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor, nn

from separation.models import LatentSeparator, PitchSeparator, Separator, Spec

Build = Callable[[], Separator]

SMALL: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "ccae": {
        "two": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "components": 4, "frames": 3, "steps": 4},
        "moved": {
            "sample_rate": 8000, "n_fft": 64, "hop_length": 32, "components": [3, 2, 2], "frames": 4, "steps": 3,
            "sources": ["a", "b", "c"], "moved": {"0": 2, "4": 0}, "muted": [1], "bias": False, "segment": 4.0, "context": 0.25,
        },
    },
    "conv_tasnet": {
        "skip": {"basis": 24, "kernel": 16, "bottleneck": 8, "hidden": 16, "skip": 8, "blocks": 2, "repeats": 2},
        "causal": {
            "basis": 24, "kernel": 10, "bottleneck": 8, "hidden": 16, "skip": 8, "blocks": 3, "repeats": 1,
            "causal": True, "mask": "softmax", "sources": ["a", "b", "c"], "permutation_invariant": False,
        },
        "bare": {
            "basis": 24, "kernel": 32, "bottleneck": 8, "hidden": 16, "skip": 0, "blocks": 2, "repeats": 2,
            "mask": "relu", "encoder_relu": True, "width": 5,
        },
    },
    "convolutive_nmf": {
        "two": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "components": 3, "frames": 4, "steps": 6},
        "unknown": {
            "sample_rate": 8000, "n_fft": 64, "hop_length": 32, "components": [2, 3], "frames": 3, "steps": 6,
            "unknown": "other", "sparsity": 0.0,
        },
    },
    "disentangled": {
        "memory": {
            "basis": 24, "kernel": 16, "dimensions": 6, "decoder": 8, "bottleneck": 8, "hidden": 12, "blocks": 2,
            "repeats": 2,
        },
        "three": {
            "basis": 16, "kernel": 10, "dimensions": 4, "decoder": 6, "bottleneck": 8, "hidden": 12, "blocks": 3,
            "repeats": 1, "memory": False, "sources": ["a", "b", "c"], "permutation_invariant": False,
        },
    },
    "htmd_net": {
        "both": {
            "basis": 12, "kernel": 8, "bottleneck": 6, "hidden": 10, "blocks": 3, "levels": 3, "growth": 3, "recurrent": 5,
        },
        "masking": {
            "basis": 12, "kernel": 16, "bottleneck": 6, "hidden": 10, "blocks": 2, "repeats": 2, "denoiser": False,
        },
    },
    "interleaved": {
        "two": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "channels": [4, 8], "groups": 2},
        "three": {
            "sample_rate": 8000, "n_fft": 64, "hop_length": 32, "channels": [4, 8], "groups": 2, "narrow": 2,
            "sources": ["vocals", "drums", "guitar"], "segment": 4.0, "context": 0.5,
        },
    },
    "learned_transform": {
        "softmax": {"basis": 12, "kernel": 11},
        "ratio": {"basis": 12, "kernel": 21, "oracle": "ratio", "decoders": "shared", "sources": ["a", "b", "c"]},
    },
    "nae": {
        "inputs": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "components": 4, "steps": 4},
        "latents": {"sample_rate": 8000, "n_fft": 64, "hop_length": 32, "components": 3, "steps": 3, "descend": "latents"},
    },
    "nmf": {
        "two": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "components": 4, "steps": 8},
        "moved": {
            "sample_rate": 8000, "n_fft": 64, "hop_length": 32, "components": [3, 2, 2], "steps": 6, "sources": ["a", "b", "c"],
            "objective": "itakura_saito", "moved": {"0": 2, "4": 0}, "muted": [1], "segment": 4.0, "context": 0.25,
        },
        "unknown": {
            "sample_rate": 8000, "n_fft": 64, "hop_length": 16, "components": [2, 3], "steps": 8, "unknown": "voice",
            "objective": "euclidean", "sparsity": 0.5,
        },
    },
    "pitch_nmf": {
        "four": {"sample_rate": 8000, "n_fft": 256, "hop_length": 64, "bumps": 8, "shapes": 2, "steps": 4},
        "two": {
            "sample_rate": 8000, "n_fft": 128, "hop_length": 32, "near": 0, "bumps": 6, "shapes": 1, "steps": 3,
            "sources": ["voice 1", "voice 2"], "segment": 4.0, "context": 0.25,
        },
    },
    "rcae": {
        "two": {
            "sample_rate": 8000, "n_fft": 64, "hop_length": 16, "components": 3, "frames": 3, "hidden": 2, "sequence": 20,
            "steps": 3,
        },
    },
    "two_step": {
        "tdcn": {"basis": 12, "kernel": 11, "bottleneck": 6, "hidden": 10, "blocks": 3, "repeats": 2},
        "joint": {
            "basis": 12, "kernel": 21, "bottleneck": 12, "hidden": 10, "blocks": 3, "repeats": 1, "joint": True,
            "norm": "global", "decoders": "shared", "sources": ["a", "b", "c"], "permutation_invariant": False,
        },
        "residual": {
            "basis": 12, "kernel": 11, "bottleneck": 6, "hidden": 10, "blocks": 4, "repeats": 2, "separator": "residual",
        },
    },
    "umss": {
        "four": {
            "sample_rate": 8000, "hop_length": 64, "n_fft": 256, "latent": 6, "encoder": 8, "decoder": 10, "harmonics": 12,
            "order": 4, "noise_bands": 5,
        },
        "two": {
            "sample_rate": 8000, "hop_length": 32, "n_fft": 128, "latent": 4, "encoder": 6, "decoder": 8, "harmonics": 40,
            "order": 6, "noise_bands": 4, "seed": 7, "sources": ["voice 1", "voice 2"], "segment": 4.0, "context": 0.5,
        },
    },
    "unet": {
        "two": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "channels": [3, 4, 5], "hidden": 6},
        "four": {
            "sample_rate": 8000, "n_fft": 64, "hop_length": 32, "channels": [3, 4], "hidden": 5,
            "sources": ["vocals", "drums", "bass", "other"], "segment": 4.0, "context": 0.5,
        },
    },
    "wave_u_net": {
        "plain": {"sample_rate": 8000, "levels": 3, "growth": 3},
        "learned": {
            "sample_rate": 8000, "levels": 3, "growth": 3, "channels": 2, "difference": True, "input_context": True,
            "upsampling": "learned",
        },
    },
}  # fmt: skip
"""``{architecture: {case: arguments}}``."""

LENGTHS = (1, 7, 37, 1009, 4001)  # samples; multiples of nothing, and shorter than any window
LENGTH = 3001
ROUNDING = 2e-5
"""Of the largest sample. Sums of float32 change their order with the number of rows that a matrix product gets."""


def check_separator(build: Build) -> None:
    """Run every check on fresh models of `build`; raises an AssertionError whose note names the check.

    Args:
        build: gives a new model each time. Twice the same weights are not expected.
    """
    for check in CHECKS:
        try:
            check(build)
        except Exception as error:
            error.add_note(f"in {check.__name__}")
            raise


def spec_is_consistent_with_the_arguments(build: Build) -> None:
    model = build()
    spec, arguments = model.spec, _arguments(model)
    assert isinstance(spec, Spec)
    assert model.spec == spec, "two looks at one spec differ"
    for name in ("sample_rate", "segment", "context"):
        assert getattr(spec, name) == arguments.get(name, getattr(spec, name)), name
    assert list(spec.sources) == list(arguments["sources"])
    assert spec.multiple_of >= 1
    assert 2 * spec.context < spec.segment


def arguments_are_json_and_rebuild_the_model(build: Build) -> None:
    model = build()
    arguments = json.loads(json.dumps(_arguments(model), allow_nan=False))
    again = type(model)(**arguments)
    assert again.arguments == arguments
    assert again.spec == model.spec
    assert _shapes(again) == _shapes(_module(model))


def builds_on_the_meta_device(build: Build) -> None:
    model = build()
    with torch.device("meta"):
        plan = type(model)(**_arguments(model))
    assert all(tensor.is_meta for tensor in [*plan.parameters(), *plan.buffers()])
    assert _shapes(plan) == _shapes(_module(model))


def cites_its_source(build: Build) -> None:
    model = build()
    card = getattr(model, "card", None)
    assert getattr(card or model, "citation", "").strip(), "no citation"
    if card is not None:
        assert card.licence.strip(), "no licence"
        assert card.weaknesses, "the card must say what the model is bad at"


def estimates_have_the_shape_of_the_mixture(build: Build) -> None:
    model = _ready(build)
    for channels in _channels(model.spec):
        for length in LENGTHS:
            estimates, state = _separate(model, _noise(2, channels, length))
            assert estimates.shape == (2, len(model.spec.sources), channels, length)
            assert estimates.dtype == torch.float32
            assert model.spec.stateful or state is None


def finite_on_silence_and_on_a_click(build: Build) -> None:
    model = _ready(build)
    silence = torch.zeros(1, _channels(model.spec)[0], LENGTH)
    click = silence.clone()
    click[..., LENGTH // 2] = 1
    for mixture in (silence, click):
        estimates, _ = _separate(model, mixture)
        assert torch.isfinite(estimates).all()
        assert estimates.abs().max() < 100, "something was made out of nothing"


def gradients_reach_every_parameter(build: Build) -> None:
    model = build()
    if not any(True for _ in _module(model).parameters()):
        return  # an oracle has nothing to learn
    _module(model).train()
    length = max(LENGTH, model.spec.sample_rate)  # enough frames for what carries a state over them
    mixture = _noise(3, _channels(model.spec)[0], length)
    estimates, _ = model.separate(mixture, side_of(model, mixture))
    estimates.square().mean().backward()
    for name, parameter in _module(model).named_parameters():
        assert parameter.requires_grad, f"{name} is frozen"
        assert parameter.grad is not None, f"{name} gets no gradient"
        assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
        assert parameter.grad.any(), f"the gradient of {name} is zero"


def deterministic_in_eval(build: Build) -> None:
    model = _ready(build)
    mixture = _noise(1, _channels(model.spec)[0], LENGTH)
    assert torch.equal(_separate(model, mixture)[0], _separate(model, mixture)[0])


def separates_without_disturbing_itself_or_its_input(build: Build) -> None:
    model = _ready(build)
    mixture = _noise(2, _channels(model.spec)[0], LENGTH)
    kept, weights = mixture.clone(), _copy(model)
    estimates, _ = _separate(model, mixture)
    assert torch.equal(mixture, kept), "the mixture was changed"
    assert all(torch.equal(now, weights[name]) for name, now in _module(model).state_dict().items()), "weights changed"
    estimates.zero_()
    assert torch.equal(mixture, kept), "the estimates are a view of the mixture"


def a_batch_of_one_equals_a_batch_of_three(build: Build) -> None:
    model = _ready(build)
    mixture = _noise(3, _channels(model.spec)[0], LENGTH) * torch.tensor([1.0, 0.1, 2.0])[:, None, None]
    together, _ = _separate(model, mixture)
    alone = torch.cat([_separate(model, one[None])[0] for one in mixture])
    _assert_close(together, alone)


def works_where_gradients_are_off_and_on_again(build: Build) -> None:
    model = _ready(build)
    mixture = _noise(1, _channels(model.spec)[0], LENGTH)
    with torch.no_grad():
        assert not _separate(model, mixture)[0].requires_grad
        with torch.enable_grad():
            moved = mixture.clone().requires_grad_()
            model.separate(moved, side_of(model, mixture))[0].square().sum().backward()
    assert moved.grad is not None
    assert torch.isfinite(moved.grad).all()
    assert moved.grad.any()


def survives_safetensors_bit_by_bit(build: Build) -> None:
    model = _ready(build)
    data = safetensors.torch.save({name: t.contiguous() for name, t in _module(model).state_dict().items()})
    again = type(model)(**_arguments(model)).eval()
    again.load_state_dict(safetensors.torch.load(data), strict=True)
    mixture = _noise(1, _channels(model.spec)[0], LENGTH)
    assert torch.equal(_separate(model, mixture)[0], _separate(again, mixture)[0])


def encodes_each_channel_on_its_own(build: Build) -> None:
    model = _latent(build)
    if model is None:
        return
    stereo = _noise(2, 2, LENGTH)
    with torch.no_grad():
        z = model.encode(stereo)
        mono = torch.cat([model.encode(stereo[:, :1]), model.encode(stereo[:, 1:])], 1)
        masks = model.masks(z, side_of(model, stereo))
        stems = model.decode(masks * z.unsqueeze(1), LENGTH)
    assert z.shape[:2] == (2, 2)
    _assert_close(z, mono)
    assert masks.shape == (2, len(model.spec.sources), masks.shape[2], *z.shape[-2:])
    assert masks.shape[2] in (1, 2)
    assert stems.shape == (2, len(model.spec.sources), 2, LENGTH)


def masks_are_real_and_not_negative(build: Build) -> None:
    model = _latent(build)
    if model is None:
        return
    for length in LENGTHS:
        with torch.no_grad():
            mixture = _noise(2, 1, length)
            z = model.encode(mixture)
            masks = model.masks(z, side_of(model, mixture))
        assert masks.shape == (2, len(model.spec.sources), 1, *z.shape[-2:])
        assert masks.dtype == torch.float32
        assert torch.isfinite(masks).all()
        assert masks.min() >= 0


def keeps_the_law_of_latent_separators(build: Build) -> None:
    model = _latent(build)
    if model is None:
        return
    mixture = _noise(2, _channels(model.spec)[0], LENGTH)
    with torch.no_grad():
        z = model.encode(mixture)
        masks = model.masks(z, side_of(model, mixture))
        stems = model.refine(model.decode(masks * z.unsqueeze(1), LENGTH), mixture)
    _assert_close(_separate(model, mixture)[0], stems)


CHECKS: tuple[Callable[[Build], None], ...] = (
    spec_is_consistent_with_the_arguments,
    arguments_are_json_and_rebuild_the_model,
    builds_on_the_meta_device,
    cites_its_source,
    estimates_have_the_shape_of_the_mixture,
    finite_on_silence_and_on_a_click,
    gradients_reach_every_parameter,
    deterministic_in_eval,
    separates_without_disturbing_itself_or_its_input,
    a_batch_of_one_equals_a_batch_of_three,
    works_where_gradients_are_off_and_on_again,
    survives_safetensors_bit_by_bit,
    encodes_each_channel_on_its_own,
    masks_are_real_and_not_negative,
    keeps_the_law_of_latent_separators,
)


def _module(model: Separator) -> nn.Module:
    return cast(nn.Module, model)


def _arguments(model: Separator) -> dict[str, Any]:
    return cast(dict[str, Any], _module(model).arguments)


def _ready(build: Build) -> Any:
    return _module(build()).eval()


def _latent(build: Build) -> LatentSeparator | None:
    model = _ready(build)
    return model if isinstance(model, LatentSeparator) else None


def _channels(spec: Spec) -> tuple[int, ...]:
    return (1, 2) if spec.channels is None else (spec.channels,)


def _noise(batch: int, channels: int, length: int) -> Tensor:
    """Unit deviation, as the engine hands it to models that ask for that."""
    return torch.randn(batch, channels, length, generator=torch.Generator().manual_seed(length))


def _separate(model: Separator, mixture: Tensor) -> tuple[Tensor, Any]:
    with torch.no_grad():
        return model.separate(mixture, side_of(model, mixture))


def side_of(model: Separator, mixture: Tensor) -> dict[str, Tensor]:
    """What a model needs besides.

    References are echoes of the mixture, and what these leave of it. Voices glide, a third apart, each with a pause of its own.
    """
    spec, side = model.spec, {}
    if "references" in spec.needs:
        echoes = [mixture.roll(index, -1) / len(spec.sources) for index in range(1, len(spec.sources))]
        side["references"] = torch.stack([*echoes, mixture - sum(echoes)], 1)
    if isinstance(model, PitchSeparator):
        frame = torch.arange(1 - (-mixture.shape[-1] // model.pitch_hop))
        voice = torch.arange(len(spec.sources))[:, None]
        hz = 110 * 2 ** (voice / 3 + torch.sin(frame / 9 + voice) / 6)
        side["pitch"] = torch.where((frame + 2 * voice) % 11 < 2, 0, hz).expand(len(mixture), -1, -1)
    return side


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _copy(model: Separator) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in _module(model).state_dict().items()}


def _assert_close(one: Tensor, other: Tensor) -> None:
    scale = max(float(other.abs().max()), 1e-3)
    assert one.shape == other.shape
    difference = float((one - other).abs().max()) / scale
    assert difference <= ROUNDING, f"differs by {difference:.1e} of the largest value"
