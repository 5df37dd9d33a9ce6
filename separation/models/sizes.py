"""Every architecture at the size of its paper, and how many parameters that makes. Nothing is allocated to count them."""

from collections.abc import Mapping
from typing import Any

import torch

from separation.models import build

PAPER_SIZES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "conv-tasnet": (
        "conv_tasnet",
        {
            "basis": 512,
            "kernel": 16,
            "bottleneck": 128,
            "hidden": 512,
            "skip": 128,
            "width": 3,
            "blocks": 8,
            "repeats": 3,
        },
    ),
    "conv-tasnet/htmd": (  # the comparison in the HTMD-Net paper re-implements it in its own style
        "htmd_net",
        {"basis": 512, "kernel": 16, "bottleneck": 128, "hidden": 512, "blocks": 9, "repeats": 3, "denoiser": False},
    ),
    "htmd-net": ("htmd_net", {"idle_residual": True}),
    "htmd-net/masking": ("htmd_net", {"idle_residual": True, "denoiser": False}),
    "two-step-tdcn": ("two_step", {"basis": 256, "kernel": 21}),
    "two-step-residual-tdcn": ("two_step", {"basis": 256, "kernel": 21, "separator": "residual"}),
    "umss": ("umss", {}),
    "wave-u-net": ("wave_u_net", {"sources": ["vocals"]}),
    "wave-u-net/m5": (
        "wave_u_net",
        {"difference": True, "input_context": True, "channels": 2, "upsampling": "learned"},
    ),
}
"""``{name: (architecture, arguments)}``."""


def parameters(name: str) -> int:
    """How many parameters `name` of `PAPER_SIZES` has."""
    architecture, arguments = PAPER_SIZES[name]
    with torch.device("meta"):
        model = build(architecture, arguments)
    return sum(parameter.numel() for parameter in model.parameters())
