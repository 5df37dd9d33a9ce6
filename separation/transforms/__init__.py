"""Tensors <-> tensors: the STFT that maskers stand on, the filters of a constant-Q transform, and pitch tracks."""

from separation.transforms.cqt import Octave as Octave
from separation.transforms.cqt import constant_q_octaves as constant_q_octaves
from separation.transforms.multipitch import MOST_VOICES as MOST_VOICES
from separation.transforms.multipitch import MixtureTracker as MixtureTracker
from separation.transforms.multipitch import track_mixture as track_mixture
from separation.transforms.multipitch import voice_names as voice_names
from separation.transforms.pitch import PitchTrack as PitchTrack
from separation.transforms.pitch import read_track as read_track
from separation.transforms.pitch import track_stem as track_stem
from separation.transforms.pitch import write_track as write_track
from separation.transforms.stft import STFT as STFT
