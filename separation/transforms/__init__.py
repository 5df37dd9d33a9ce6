"""Tensors <-> tensors: the STFT that maskers stand on."""

from separation.transforms.stft import STFT as STFT
