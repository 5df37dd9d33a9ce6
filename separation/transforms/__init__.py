"""Tensors <-> tensors: the STFT that maskers stand on, and resampling inside the graph of nothing else."""

from separation.transforms.stft import STFT as STFT
