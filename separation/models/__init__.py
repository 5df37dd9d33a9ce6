"""Architectures by name. A model is built from JSON-able keyword arguments and nothing else.

Oracles are built by name too, but for one recording's sources and rate: see `oracles`.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from separation.errors import ConfigError, ShapeError
from separation.models.ccae import CCAE
from separation.models.conv_tasnet import ConvTasNet
from separation.models.convolutive_nmf import ConvolutiveNMF
from separation.models.disentangled import Disentangled
from separation.models.htmd_net import HTMDNet
from separation.models.interleaved import SharedEncoder
from separation.models.nae import NAE
from separation.models.nmf import NMF
from separation.models.oracles import ORACLES as ORACLES
from separation.models.oracles import build_oracle as build_oracle
from separation.models.oracles import oracle_name as oracle_name
from separation.models.oracles import own_ceiling as own_ceiling
from separation.models.pitch_nmf import PitchNMF
from separation.models.protocol import InsideSeparator as InsideSeparator
from separation.models.protocol import LatentSeparator as LatentSeparator
from separation.models.protocol import Separator as Separator
from separation.models.protocol import Spec as Spec
from separation.models.rcae import RCAE
from separation.models.two_step import LearnedTransform, TwoStep
from separation.models.umss import UMSS
from separation.models.unet import UNet
from separation.models.voices import PITCH as PITCH
from separation.models.voices import PitchSeparator as PitchSeparator
from separation.models.voices import with_voices as with_voices
from separation.models.wave_u_net import WaveUNet

ARCHITECTURES: dict[str, type[nn.Module]] = {
    "ccae": CCAE,
    "conv_tasnet": ConvTasNet,
    "convolutive_nmf": ConvolutiveNMF,
    "disentangled": Disentangled,
    "htmd_net": HTMDNet,
    "interleaved": SharedEncoder,
    "learned_transform": LearnedTransform,
    "nae": NAE,
    "nmf": NMF,
    "pitch_nmf": PitchNMF,
    "rcae": RCAE,
    "two_step": TwoStep,
    "umss": UMSS,
    "unet": UNet,
    "wave_u_net": WaveUNet,
}


def build(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A model with random weights.

    Raises:
        ConfigError: the architecture is not on the list, or it does not take these arguments.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            f"Build a model of architecture {architecture!r}",
            "it is not on the list of architectures that may be built",
            f"Use one of {', '.join(sorted(ARCHITECTURES))}",
        )
    try:
        model = ARCHITECTURES[architecture](**arguments)
        assert model.spec is not None  # made from the arguments on each call, which checks them
    except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError, ShapeError) as error:
        raise ConfigError(
            f"Build {architecture} with {dict(arguments)}", str(error), "Correct `arguments` in config.json"
        ) from error
    return model
