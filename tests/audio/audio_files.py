"""Recordings for the tests of `audio`, made by the encoders themselves and not by the code under test."""

from pathlib import Path

import av
import numpy as np
import soundfile as sf

from separation.signals import Samples

IN_PLACE = ("wav16", "wav24", "wav32f", "wav8", "rf64", "aiff", "caf", "flac16", "flac24")
DECODED = ("mp3", "vorbis", "opus", "m4a", "alac", "webm", "mp4", "mkv", "adpcm")

_SOUNDFILE = {
    "wav16": ("wav", "WAV", "PCM_16"),
    "wav24": ("wav", "WAV", "PCM_24"),
    "wav32f": ("wav", "WAV", "FLOAT"),
    "wav8": ("wav", "WAV", "PCM_U8"),
    "rf64": ("wav", "RF64", "PCM_16"),
    "aiff": ("aiff", "AIFF", "PCM_24"),
    "caf": ("caf", "CAF", "PCM_16"),
    "flac16": ("flac", "FLAC", "PCM_16"),
    "flac24": ("flac", "FLAC", "PCM_24"),
    "mp3": ("mp3", "MP3", "MPEG_LAYER_III"),
    "vorbis": ("ogg", "OGG", "VORBIS"),
    "opus": ("opus", "OGG", "OPUS"),
    "adpcm": ("wav", "WAV", "MS_ADPCM"),
}
_FFMPEG = {
    "m4a": ("m4a", "aac", False),
    "alac": ("m4a", "alac", False),
    "webm": ("webm", "libopus", False),
    "mp4": ("mp4", "aac", True),
    "mkv": ("mkv", "libopus", True),
}


def music(length: int, channels: int = 2, sample_rate: int = 48000, seed: int = 0) -> Samples:
    """Gliding tones and noise below 0.5 of full scale, different in every channel: float32 ``[C, length]``."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) / sample_rate
    tones = [np.sin(2 * np.pi * (220 + 110 * channel + 200 * time) * time) for channel in range(channels)]
    return (0.3 * np.array(tones).reshape(channels, length) + 0.02 * rng.standard_normal((channels, length))).astype(
        np.float32
    )


def make(folder: Path, kind: str, samples: Samples, sample_rate: int = 48000) -> Path:
    """A file of that kind holding `samples` as its encoder keeps them."""
    if kind in _SOUNDFILE:
        suffix, container, subtype = _SOUNDFILE[kind]
        path = folder / f"{kind}.{suffix}"
        sf.write(path, samples.T, sample_rate, format=container, subtype=subtype)
    else:
        suffix, codec, video = _FFMPEG[kind]
        path = folder / f"{kind}.{suffix}"
        _by_ffmpeg(path, codec, samples, sample_rate, video)
    return path


def _by_ffmpeg(path: Path, codec: str, samples: Samples, sample_rate: int, video: bool) -> None:
    layout = {1: "mono", 2: "stereo"}[len(samples)]
    with av.open(str(path), "w") as container:
        if video:
            picture = container.add_stream("mpeg4", rate=25)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream(codec, rate=sample_rate, layout=layout)
        if video:
            for _ in range(10):
                image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                container.mux(picture.encode(image))
            container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = sample_rate, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
