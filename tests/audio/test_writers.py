"""Files out: bit-exact round trips, limits instead of wrapping, RF64, and names that appear only when complete."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from audio_files import music
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.audio import BLOCK, ArrayReader, Writer, export, open_reader
from separation.audio import writers as writers_module
from separation.errors import AudioError, DiskFull, NonFiniteAudio, SeparationError, ShapeError
from separation.signals import Samples, Signal

LOSSLESS = [("wav", "16"), ("wav", "24"), ("wav", "32f"), ("flac", "16"), ("flac", "24")]


def _write(path: Path, samples: Samples, sample_rate: int = 44100, **arguments: object) -> Path:
    with Writer(path, sample_rate, len(samples), **arguments) as writer:  # type: ignore[arg-type]
        writer.write(samples)
    return path


def _codes(bit_depth: str, channels: int, length: int, seed: int) -> Samples:
    """Samples that the bit depth can hold, its extremes among them."""
    rng = np.random.default_rng(seed)
    if bit_depth == "32f":
        return (4 * rng.standard_normal((channels, length))).astype(np.float32)
    half = 1 << (int(bit_depth) - 1)
    codes = rng.integers(-half, half, (channels, length))
    codes[0, : min(2, length)] = [-half, half - 1][: min(2, length)]
    return (codes / half).astype(np.float32)


@pytest.mark.parametrize(("format", "bit_depth"), LOSSLESS)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    channels=st.integers(1, 8), sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=4), seed=st.integers(0, 99)
)
def test_what_is_written_is_read_bit_for_bit(
    format: str, bit_depth: str, channels: int, sizes: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sound = _codes(bit_depth, channels, max(1, sum(sizes)), seed)
    path = tmp_path_factory.mktemp("round") / f"take.{format}"
    with Writer(path, 44099, channels, format=format, bit_depth=bit_depth) as writer:
        for block in np.split(sound, np.cumsum(sizes)[:-1], axis=1):
            writer.write(block)
        assert (writer.length, writer.peak) == (sound.shape[1], np.abs(sound).max())
    with open_reader(path) as reader:
        assert (reader.sample_rate, reader.info.bit_depth, reader.info.notes) == (44099, bit_depth, ())
        np.testing.assert_array_equal(reader.read(0, reader.length), sound)
        again = export(reader, path.with_stem("again"), format=format, bit_depth=bit_depth)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("format", "bit_depth"), [("wav", "16"), ("wav", "24"), ("flac", "16"), ("flac", "24")])
def test_values_beyond_full_scale_are_limited_and_others_rounded(format: str, bit_depth: str, tmp_path: Path) -> None:
    half = 1 << (int(bit_depth) - 1)
    wanted = np.array([[1.0, 1.5, 100.0, -1.0, -1.5, -100.0, 0.6 / half, 0.4 / half, -0.6 / half]], np.float32)
    path = _write(tmp_path / f"loud.{format}", wanted, format=format, bit_depth=bit_depth)
    codes = sf.read(path, dtype="int32")[0] >> (32 - int(bit_depth))
    assert codes.tolist() == [half - 1] * 3 + [-half] * 3 + [1, 0, -1]


def test_float_keeps_values_beyond_full_scale(tmp_path: Path) -> None:
    sound = np.array([[3.0, -2.5, 1e-30]], np.float32)
    np.testing.assert_array_equal(
        sf.read(_write(tmp_path / "a.wav", sound, bit_depth="32f"), dtype="float32")[0], sound[0]
    )


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_one_gain_for_all_channels_and_an_untouched_input(format: str, tmp_path: Path) -> None:
    sound = music(20_000)
    before = sound.copy()
    with Writer(tmp_path / "quiet", 44100, 2, format=format, gain=0.25) as writer:
        writer.write(sound)
    np.testing.assert_array_equal(sound, before)
    assert writer.peak == np.float32(0.25) * np.abs(sound).max()
    written = sf.read(writer.path, always_2d=True)[0].T[:, 5000:15_000]
    ratio = np.sqrt(np.square(written).mean() / np.square(sound[:, 5000:15_000]).mean())
    assert ratio == pytest.approx(0.25, rel=0.02)


# WAV headers


@pytest.mark.parametrize("bit_depth", ["16", "24", "32f"])
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_past_the_limit_a_wav_is_rf64(bit_depth: str, channels: int, tmp_path: Path) -> None:
    length, width = 333, {"16": 2, "24": 3, "32f": 4}[bit_depth]
    sound = _codes(bit_depth, channels, length, 1)
    size = length * channels * width
    for limit, container in ((size, "WAV"), (size - 1, "RF64")):
        path = _write(tmp_path / f"{container}.wav", sound, bit_depth=bit_depth, riff_limit=limit)
        info = sf.info(path)
        assert (info.format.removesuffix("EX"), info.frames, info.channels) == (container, length, channels)
        with open_reader(path) as reader:
            assert reader.info.notes == ()
            np.testing.assert_array_equal(reader.read(0, length), sound)


def test_the_rf64_header_says_what_ebu_tech_3306_asks(tmp_path: Path) -> None:
    path = _write(tmp_path / "long.wav", music(101), bit_depth="24", riff_limit=0)
    data = path.read_bytes()
    assert data[:4] == b"RF64" and data[8:16] == b"WAVEds64" and len(data) % 2 == 0
    assert struct.unpack_from("<I", data, 4) == (0xFFFFFFFF,)
    size, riff_size, data_size, frames, table = struct.unpack_from("<IQQQI", data, 16)
    assert (size, riff_size, data_size, frames, table) == (28, len(data) - 8, 101 * 6, 101, 0)
    place = data.index(b"data")
    assert data[place + 4 : place + 8] == b"\xff\xff\xff\xff" and len(data) - place - 8 == 101 * 6


def test_sizes_beyond_four_gigabytes_fit_the_header(tmp_path: Path) -> None:
    sink = writers_module._WavSink(tmp_path / "huge.wav", 44100, 2, "32f", writers_module.RIFF_LIMIT)
    sink._bytes = 8 * 44100 * 3600 * 10
    header = sink._header()
    sink.discard()
    assert header[:4] == b"RF64"
    assert struct.unpack_from("<QQ", header, 28) == (sink._bytes, 44100 * 3600 * 10)
    assert header[header.index(b"fact") + 8 :][:4] == struct.pack("<I", 44100 * 3600 * 10)


def test_an_odd_number_of_bytes_is_padded(tmp_path: Path) -> None:
    data = _write(tmp_path / "odd.wav", music(1, 1), bit_depth="24").read_bytes()
    assert len(data) % 2 == 0 and struct.unpack_from("<I", data, 4)[0] == len(data) - 8


# MP3


@pytest.mark.parametrize(("sample_rate", "written"), [(44100, 44100), (48000, 48000), (96000, 48000), (7999, 8000)])
def test_mp3_keeps_time_at_every_rate(sample_rate: int, written: int, tmp_path: Path) -> None:
    length = sample_rate // 2
    sound = (0.3 * np.sin(2 * np.pi * 440 * np.arange(length) / sample_rate))[None].astype(np.float32)
    with Writer(tmp_path / "tone.mp3", sample_rate, 1, format="mp3") as writer:
        for block in np.array_split(sound, 7, axis=1):
            writer.write(block)
    with open_reader(writer.path) as reader:
        assert reader.sample_rate == written and 0 <= reader.length - -(-length * written // sample_rate) < 2400
        middle = slice(written // 8, 3 * written // 8)
        heard = reader.read(0, reader.length)[0, middle]
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(reader.length) / written)[middle]
        assert np.square(heard - tone).mean() < 0.01 * np.square(tone).mean()


# What cannot be written


@pytest.mark.parametrize(
    ("format", "bit_depth", "channels", "sample_rate", "match"),
    [
        ("flac", "32f", 2, 44100, "whole numbers only"),
        ("flac", "24", 9, 44100, "up to 8 channels"),
        ("flac", "24", 2, 700_000, "655,350 Hz"),
        ("mp3", "16", 3, 44100, "one or two channels"),
        ("ogg", "16", 2, 44100, "Use one of wav, flac, mp3"),
        ("wav", "32", 2, 44100, "16, 24, 32f"),
        ("wav", "16", 0, 44100, "below 1"),
        ("wav", "16", 2000, 44100, "WAV header"),
    ],
)
def test_what_a_format_cannot_hold_is_said_before_a_file_is_made(
    format: str, bit_depth: str, channels: int, sample_rate: int, match: str, tmp_path: Path
) -> None:
    with pytest.raises(AudioError, match=match):
        Writer(tmp_path / "new" / "a", sample_rate, channels, format=format, bit_depth=bit_depth)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_nan_is_never_written(format: str, tmp_path: Path) -> None:
    with (
        pytest.raises(NonFiniteAudio, match=r"from 1\.00 s on"),
        Writer(tmp_path / "a", 8000, 1, format=format) as writer,
    ):
        writer.write(np.zeros((1, 8000), np.float32))
        writer.write(np.array([[0, np.nan]], np.float32))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(8,), (1, 8), (3, 8), (2, 8, 1)])
def test_blocks_of_another_shape_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="block of shape"), Writer(tmp_path / "a.wav", 8000, 2) as writer:
        writer.write(np.zeros(shape, np.float32))


# Names


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_a_file_has_its_name_only_when_complete(format: str, tmp_path: Path) -> None:
    path = tmp_path / "folder" / f"take.{format}"
    writer = Writer(path, 44100, 2, format=format)
    writer.write(music(5000))
    assert not path.exists()
    writer.close()
    writer.close()
    writer.abort()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_an_aborted_file_leaves_the_old_one(format: str, tmp_path: Path) -> None:
    path = tmp_path / "take"
    path.write_text("old")
    writer = Writer(path, 44100, 2, format=format)
    writer.write(music(5000))
    writer.abort()
    writer.close()
    with pytest.raises(RuntimeError, match="mine"), Writer(path, 44100, 2, format=format):
        raise RuntimeError("mine")
    assert [file.name for file in tmp_path.iterdir()] == ["take"] and path.read_text() == "old"


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_an_empty_recording_can_be_written(format: str, tmp_path: Path) -> None:
    with Writer(tmp_path / "none", 44100, 2, format=format) as writer:
        writer.write(np.zeros((2, 0), np.float32))
    assert writer.path.exists() and (writer.length, writer.peak) == (0, 0.0)


def test_a_disk_that_is_too_small_is_named_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DiskFull, match="Free"):
        Writer(tmp_path / "a.wav", 44100, 2, length=10**15)
    writer = Writer(tmp_path / "a.wav", 44100, 2)

    def full(block: Samples) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._sink, "write", full)
    with pytest.raises(DiskFull, match=r"disk is full after 0\.0 s"):
        writer.write(music(10))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which this system lacks")
def test_a_really_full_disk_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers_module, "temporary_name", lambda path: path.with_name("part"))
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(SeparationError, match="disk is full"), Writer(tmp_path / "a.wav", 44100, 2) as writer:
        writer.write(music(100_000))


@pytest.mark.parametrize(("format", "bit_depth"), LOSSLESS)
def test_export_is_the_reader_to_the_sample(format: str, bit_depth: str, tmp_path: Path) -> None:
    sound = _codes(bit_depth, 2, BLOCK + 77, 3)
    path = export(ArrayReader(Signal(sound, 48000)), tmp_path / "out", format=format, bit_depth=bit_depth)
    with open_reader(path) as reader:
        np.testing.assert_array_equal(reader.read(0, reader.length), sound)
