"""Tensors <-> tensors: the STFT that maskers stand on, and the filters of a constant-Q transform."""

from separation.transforms.cqt import Octave as Octave
from separation.transforms.cqt import constant_q_octaves as constant_q_octaves
from separation.transforms.stft import STFT as STFT
