"""Other people's Conv-TasNet with our weights in it: what parity tests and benchmarks compare with.

torchaudio's is the twin of ours: same frames, same blocks. asteroid's differs in two ways that are no matter of taste: it
starts its first frame at the first sample (`extend` puts its frames where ours are), and it has a residual convolution in
the last block whose result nobody reads when masks come from the skips (it stays random here).
"""

import torch
import torchaudio
from torch import Tensor, nn

from separation.models.conv_tasnet import ConvTasNet

BLOCK = ("widen", "activation_in", "norm_in", "depthwise", "activation_out", "norm_out")
"""Names of our layers in the order in which both peers number theirs."""


def torchaudio_twin(model: ConvTasNet) -> nn.Module:
    """torchaudio's model with the weights of `model`; it takes ``[B, 1, T]`` and gives ``[B, S, T]``.

    torchaudio has neither causal models, nor softmax masks, nor a ReLU after the encoder, and always a skip path.
    """
    a = model.arguments
    peer = torchaudio.models.ConvTasNet(
        num_sources=len(a["sources"]), enc_kernel_size=a["kernel"], enc_num_feats=a["basis"], msk_kernel_size=a["width"],
        msk_num_feats=a["bottleneck"], msk_num_hidden_feats=a["hidden"], msk_num_layers=a["blocks"],
        msk_num_stacks=a["repeats"], msk_activate=a["mask"],
    )  # fmt: skip
    names = {"enter": "mask_generator.input_conv", "norm": "mask_generator.input_norm"}
    names |= {"activation": "mask_generator.output_prelu", "leave": "mask_generator.output_conv"}
    for i in range(len(model.tcn)):
        block = f"mask_generator.conv_layers.{i}"
        names |= {f"tcn.{i}.{ours}": f"{block}.conv_layers.{k}" for k, ours in enumerate(BLOCK)}
        names |= {f"tcn.{i}.residual": f"{block}.res_out", f"tcn.{i}.skip": f"{block}.skip_out"}
    weights = {}
    for name, value in model.state_dict().items():
        layer, _, kind = name.rpartition(".")
        weights[f"{names.get(layer, layer)}.{kind}"] = value
    peer.load_state_dict(weights, strict=True)
    return peer.eval()


def asteroid_twin(model: ConvTasNet) -> nn.Module:
    """asteroid's model with the weights of `model`; it takes ``[B, 1, T]`` and gives ``[B, S, T]``. See `extend`."""
    from asteroid.models import ConvTasNet as Peer  # not in the requirements: its own would replace half of ours

    a = model.arguments
    peer = Peer(
        len(a["sources"]), n_blocks=a["blocks"], n_repeats=a["repeats"], bn_chan=a["bottleneck"], hid_chan=a["hidden"],
        skip_chan=a["skip"], conv_kernel_size=a["width"], norm_type="cgLN" if a["causal"] else "gLN",
        mask_act=a["mask"], causal=a["causal"], kernel_size=a["kernel"], n_filters=a["basis"], stride=a["kernel"] // 2,
        encoder_activation="relu" if a["encoder_relu"] else None, sample_rate=a["sample_rate"],
    )  # fmt: skip
    names = {"norm": "masker.bottleneck.0", "enter": "masker.bottleneck.1"}
    names |= {"activation": "masker.mask_net.0", "leave": "masker.mask_net.1"}
    names |= {"encoder": "encoder.filterbank", "decoder": "decoder.filterbank"}
    for i in range(len(model.tcn)):
        block = f"masker.TCN.{i}"
        names |= {f"tcn.{i}.{ours}": f"{block}.shared_block.{k}" for k, ours in enumerate(BLOCK)}
        names |= {f"tcn.{i}.residual": f"{block}.res_conv", f"tcn.{i}.skip": f"{block}.skip_conv"}
        if a["causal"]:
            names[f"tcn.{i}.depthwise"] += ".0"  # beside the cut that makes it causal
    weights = {}
    for name, value in model.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if layer in ("encoder", "decoder"):
            kind = "_filters"
        elif "norm" in layer:
            kind, value = {"weight": "gamma", "bias": "beta"}[kind], value.flatten()
        weights[f"{names[layer]}.{kind}"] = value
    missing, unexpected = peer.load_state_dict(weights, strict=False)
    last = f"masker.TCN.{len(model.tcn) - 1}.res_conv"
    assert unexpected == []
    assert missing == ([f"{last}.weight", f"{last}.bias"] if a["skip"] else [])
    return peer.eval()


def extend(mixture: Tensor, hop_length: int) -> Tensor:
    """A hop of zeros before ``[B, 1, T]``; after it, zeros up to a whole hop and one hop more.

    asteroid's first frame begins with the first sample and its last one is the last that fits: on this signal they are
    the frames of our encoder, which adds these zeros itself.
    """
    return nn.functional.pad(mixture, (hop_length, hop_length + -mixture.shape[-1] % hop_length))


def asteroid_separate(peer: nn.Module, mixture: Tensor, hop_length: int) -> Tensor:
    """``[B, 1, T]`` -> ``[B, S, T]`` with asteroid's model on our frames."""
    with torch.no_grad():
        out: Tensor = peer(extend(mixture, hop_length))
    return out[..., hop_length : hop_length + mixture.shape[-1]]
