"""Files in: every format, exact reads, and a clear message for every file that cannot be used."""

import struct
import threading
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from audio_files import DECODED, IN_PLACE, make, music

from separation.audio import AudioInfo, Reader, open_reader, probe, scan
from separation.audio import decode as decode_module
from separation.errors import (
    AudioError,
    Cancelled,
    DiskFull,
    EmptyAudio,
    SeparationError,
    ShapeError,
    UnreadableAudio,
)

LENGTH = 70_001


@pytest.mark.parametrize("kind", IN_PLACE + DECODED)
def test_every_format_is_read_exactly_at_any_position(kind: str, tmp_path: Path) -> None:
    path = make(tmp_path, kind, music(LENGTH))
    rng = np.random.default_rng(1)
    with open_reader(path, scratch=tmp_path / "scratch") as reader:
        whole = reader.read(0, reader.length)
        assert isinstance(reader, Reader) and whole.dtype == np.float32 and whole.flags.c_contiguous
        assert whole.shape == (2, reader.length) == (reader.channels, reader.info.length)
        assert (reader.sample_rate, reader.info.name, reader.info.exact) == (48000, path.name, True)
        for _ in range(40):
            start = int(rng.integers(0, reader.length))
            length = int(rng.integers(0, min(9000, reader.length - start) + 1))
            np.testing.assert_array_equal(reader.read(start, length), whole[:, start : start + length])


@pytest.mark.parametrize("kind", IN_PLACE + DECODED)
def test_what_is_read_is_what_was_recorded(kind: str, tmp_path: Path) -> None:
    sound = music(LENGTH)
    with open_reader(make(tmp_path, kind, sound)) as reader:
        padding = reader.length - LENGTH
        assert not reader.info.notes
        assert reader.info.lossy == (kind not in (*IN_PLACE, "alac"))
        assert 0 <= padding < (2100 if reader.info.lossy else 1), "an encoder may fill its last block, no more"
        error = reader.read(0, LENGTH) - sound
        # Half a step of the bit depth for what is lossless. Coders keep this waveform to about 20 dB; a shift by an
        # encoder's delay, some hundreds of samples, would leave nothing of it.
        bounds = {"wav8": 1 / 128, "wav16": 2**-15, "rf64": 2**-15, "caf": 2**-15, "flac16": 2**-15, "wav32f": 0}
        if reader.info.lossy:
            assert np.square(error).mean() < 0.03 * np.square(sound).mean()
        else:
            assert np.abs(error).max() <= bounds.get(kind, 2**-15 if kind == "alac" else 2**-23)


@pytest.mark.parametrize(
    ("kind", "container", "codec", "bit_depth"),
    [
        ("wav16", "wav", "pcm_16", "16"),
        ("wav24", "wav", "pcm_24", "24"),
        ("wav32f", "wav", "float", "32f"),
        ("flac24", "flac", "pcm_24", "24"),
        ("mp3", "mp3", "mp3", "24"),
        ("opus", "ogg", "opus", "24"),
        ("mp4", "mov,mp4,m4a,3gp,3g2,mj2", "aac", "24"),
    ],
)
def test_probe_says_what_a_file_is(kind: str, container: str, codec: str, bit_depth: str, tmp_path: Path) -> None:
    info = probe(make(tmp_path, kind, music(LENGTH)))
    assert (info.container, info.codec, info.bit_depth) == (container, codec, bit_depth)
    assert (info.sample_rate, info.channels) == (48000, 2)
    assert info.exact == (kind in IN_PLACE)
    assert info.duration == pytest.approx(LENGTH / 48000, rel=0.03)


def test_probe_counts_packets_where_a_browser_wrote_no_duration(tmp_path: Path) -> None:
    path = make(tmp_path, "webm", music(96_000))
    data = path.read_bytes()
    # EBML id 0x4489 is the segment's duration; an empty element (0xEC, void) of the same size takes its place.
    place = data.index(b"\x44\x89\x88")
    path.write_bytes(data[:place] + b"\xec\x89" + data[place + 2 + 0 : place + 2] + bytes(9) + data[place + 11 :])
    with av.open(str(path)) as container:
        assert container.duration is None
    assert probe(path).duration == pytest.approx(2.0, abs=0.05)
    with open_reader(path, max_duration=2.1) as reader:
        assert reader.info.duration == pytest.approx(2.0, abs=0.03)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("kind", ["wav24", "flac24"])
def test_one_to_eight_channels(kind: str, channels: int, tmp_path: Path) -> None:
    sound = music(1000, channels)
    with open_reader(make(tmp_path, kind, sound)) as reader:
        assert reader.channels == channels
        np.testing.assert_allclose(reader.read(0, 1000), sound, atol=2**-23)


@pytest.mark.parametrize("kind", ["wav16", "flac16", "wav32f"])
def test_one_sample_is_a_recording(kind: str, tmp_path: Path) -> None:
    with open_reader(make(tmp_path, kind, np.full((1, 1), 0.25, np.float32), 44100)) as reader:
        assert reader.read(0, 1).tolist() == [[0.25]]


@pytest.mark.parametrize("kind", ["wav16", "mp3"])
def test_silence_is_a_recording(kind: str, tmp_path: Path) -> None:
    with open_reader(make(tmp_path, kind, np.zeros((2, 48000), np.float32))) as reader:
        assert scan(reader).silent


@pytest.mark.parametrize("sample_rate", [7999, 11025, 44099, 96000, 192000])
def test_any_rate(sample_rate: int, tmp_path: Path) -> None:
    with open_reader(make(tmp_path, "wav16", music(100), sample_rate)) as reader:
        assert reader.sample_rate == sample_rate


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, 1001), (1000, 1), (0, -1)])
def test_reading_outside_raises(start: int, length: int, tmp_path: Path) -> None:
    with (
        open_reader(make(tmp_path, "wav16", music(1000))) as reader,
        pytest.raises(ShapeError, match="samples 0 to 1000"),
    ):
        reader.read(start, length)


def test_two_readers_and_four_threads_read_the_same_file(tmp_path: Path) -> None:
    path = make(tmp_path, "flac16", music(50_000))
    wrong: list[int] = []
    with open_reader(path) as one, open_reader(path) as other:
        whole = one.read(0, 50_000)

        def work(reader: Reader, seed: int) -> None:
            rng = np.random.default_rng(seed)
            for start in rng.integers(0, 49_000, 100).tolist():
                if not np.array_equal(reader.read(start, 1000), whole[:, start : start + 1000]):
                    wrong.append(start)

        threads = [
            threading.Thread(target=work, args=(reader, seed)) for seed, reader in enumerate([one, one, other, other])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.parametrize("kind", ["wav16", "webm"])
def test_the_decoded_copy_goes_with_the_reader(kind: str, tmp_path: Path) -> None:
    path, scratch = make(tmp_path, kind, music(5000)), tmp_path / "scratch"
    scratch.mkdir()
    reader = open_reader(path, scratch=scratch)
    assert len(list(scratch.iterdir())) == (kind in DECODED)
    reader.close()
    reader.close()
    assert not list(scratch.iterdir()) and path.exists()


# Files that are cut short


@pytest.mark.parametrize("kind", ["wav16", "wav24", "wav32f", "aiff"])
def test_a_truncated_uncompressed_file_is_used_to_its_last_whole_sample(kind: str, tmp_path: Path) -> None:
    sound = music(LENGTH)
    path = make(tmp_path, kind, sound)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_reader(path) as reader:
        assert 0.49 * LENGTH < reader.length < 0.5 * LENGTH
        assert "cut short" in reader.info.notes[0] and f"{reader.info.duration:.2f} s" in reader.info.notes[0]
        np.testing.assert_allclose(reader.read(0, reader.length), sound[:, : reader.length], atol=2**-15)


def test_a_truncated_flac_is_used_to_its_last_whole_frame(tmp_path: Path) -> None:
    sound = music(LENGTH)
    path = make(tmp_path, "flac16", sound)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_reader(path) as reader:
        assert 0.3 * LENGTH < reader.length < 0.6 * LENGTH
        assert any("cut short" in note for note in reader.info.notes)
        np.testing.assert_allclose(reader.read(0, reader.length), sound[:, : reader.length], atol=2**-15)


@pytest.mark.parametrize("kind", ["mp3", "webm", "mkv"])
def test_a_truncated_lossy_file_is_used_with_a_note(kind: str, tmp_path: Path) -> None:
    path = make(tmp_path, kind, music(LENGTH))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_reader(path) as reader:
        assert 0.2 * LENGTH < reader.length < 0.7 * LENGTH
        assert any("cut short" in note for note in reader.info.notes)


def test_a_wav_that_was_streamed_without_a_length_is_used(tmp_path: Path) -> None:
    sound = music(1000)
    path = make(tmp_path, "wav16", sound)
    data = path.read_bytes()
    for length in (0, 0xFFFFFFFF):
        path.write_bytes(data[:40] + struct.pack("<I", length) + data[44:])
        with open_reader(path) as reader:
            np.testing.assert_allclose(reader.read(0, reader.length), sound, atol=2**-15)


def test_damage_inside_a_flac_is_named_with_its_time(tmp_path: Path) -> None:
    path = make(tmp_path, "flac16", music(480_000))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(data)
    with open_reader(path) as reader, pytest.raises(UnreadableAudio, match=r"from \d\.\d\d s to .* damaged there"):
        scan(reader)


# Files that cannot be used


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()
    for ask in (probe, open_reader):
        with pytest.raises(EmptyAudio, match="0 bytes"):
            ask(path)


@pytest.mark.parametrize("kind", ["wav16", "wav32f", "aiff"])
def test_a_header_without_samples(kind: str, tmp_path: Path) -> None:
    path = make(tmp_path, kind, np.zeros((2, 0), np.float32))
    for ask in (probe, open_reader):
        with pytest.raises(EmptyAudio, match="no samples"):
            ask(path)


def _png() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("notes.txt", b"Dear diary, today I recorded nothing. " * 100),
        ("song.mp3", b"<html><body>404 Not Found</body></html>" * 50),
        ("cover.png", _png()),
        ("noise.wav", np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes()),
        ("one-byte.flac", b"f"),
        ("header.wav", b"RIFF\xff\xff\xff\xffWAVE"),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.mp3\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile 'other.mp3'\n"),
    ],
)
def test_what_is_not_audio_is_refused_with_every_way_tried(name: str, data: bytes, tmp_path: Path) -> None:
    # A playlist must not reach the recording beside it, which may be somebody else's.
    make(tmp_path, "mp3", music(48_000)).rename(tmp_path / "other.mp3")
    path = tmp_path / name
    path.write_bytes(data)
    for ask in (probe, open_reader):
        with pytest.raises(UnreadableAudio) as caught:
            ask(path)
        assert caught.value.asked == f"Read {name}"
        assert "FFmpeg: " in caught.value.found and "libsndfile: " in caught.value.found
        assert "WAV" in caught.value.advice and str(tmp_path) not in str(caught.value)


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    path = tmp_path / "silent-film.mp4"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(picture.encode(None))
    with pytest.raises(UnreadableAudio, match="holds video, but no sound"):
        open_reader(path)


@pytest.mark.parametrize("name", ["missing.wav", "."])
def test_a_missing_file_and_a_folder(name: str, tmp_path: Path) -> None:
    for ask in (probe, open_reader):
        with pytest.raises(UnreadableAudio, match="no such file"):
            ask(tmp_path / name)


@pytest.mark.parametrize("kind", ["wav16", "mp3", "webm"])
def test_an_overlong_file_is_refused_with_both_numbers(kind: str, tmp_path: Path) -> None:
    path, scratch = make(tmp_path, kind, music(3 * 48_000)), tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(AudioError, match=r"3\.0 s; 2\.0 s are allowed"):
        open_reader(path, scratch=scratch, max_duration=2.0)
    assert not list(scratch.iterdir())
    with open_reader(path, max_duration=3.2) as reader:
        assert reader.length >= 3 * 48_000


def test_a_file_longer_than_it_claims_is_stopped_while_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path, "mp3", music(6 * 48_000))
    honest = decode_module._probe_ffmpeg

    def lying(path: Path, index: int | None = None) -> AudioInfo:
        info = honest(path, index)
        return AudioInfo(**{**vars(info), "length": 1})

    monkeypatch.setattr(decode_module, "_probe_ffmpeg", lying)
    with pytest.raises(AudioError, match=r"2\.0 s are allowed"):
        open_reader(path, scratch=tmp_path / "scratch", max_duration=2.0)
    assert not list((tmp_path / "scratch").iterdir())


def test_decoding_can_be_cancelled(tmp_path: Path) -> None:
    path, scratch = make(tmp_path, "mp3", music(48_000)), tmp_path / "scratch"
    with pytest.raises(Cancelled):
        open_reader(path, scratch=scratch, cancelled=lambda: True)
    assert not list(scratch.iterdir())


def test_disk_is_checked_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, scratch = make(tmp_path, "mp3", music(48_000)), tmp_path / "scratch"
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1_000_000})())
    with pytest.raises(DiskFull, match="1 MB are free"):
        open_reader(path, scratch=scratch)
    assert not list(scratch.iterdir())


def test_tags_in_any_encoding_do_not_matter(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "tagged.m4a"), "w") as container:
        container.metadata["title"] = "Titel: Grosse Worte"
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(music(4800, 1), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path = tmp_path / "tagged.m4a"
    path.write_bytes(path.read_bytes().replace(b"Grosse", b"Gro\xdfe\xff"))
    with open_reader(path) as reader:
        assert reader.length >= 4800


@pytest.mark.parametrize(
    ("second", "note"),
    [((2, 44100), "changes to 2 channels at 44100 Hz"), ((1, 48000), "changes to 1 channels at 48000 Hz")],
)
def test_a_file_that_changes_its_rate_or_channels_is_used_up_to_there(
    second: tuple[int, int], note: str, tmp_path: Path
) -> None:
    path = tmp_path / "joined.mp3"
    parts = []
    for channels, rate in ((2, 48000), second):
        sf.write(path, music(rate * 2, channels).T, rate, format="MP3")
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    with open_reader(path) as reader:
        assert (reader.sample_rate, reader.channels) == (48000, 2)
        assert reader.info.duration == pytest.approx(2.0, abs=0.06)
        assert [note in text and "what comes before is used" in text for text in reader.info.notes] == [True]


@pytest.mark.parametrize("kind", ["wav16", "flac16", "caf", "mp3", "vorbis", "m4a", "webm", "alac"])
def test_whatever_is_in_a_file_only_our_errors_come_out(kind: str, tmp_path: Path) -> None:
    data = make(tmp_path, kind, music(20_000)).read_bytes()
    path = tmp_path / f"broken-{kind}"
    rng = np.random.default_rng(5)
    for _ in range(25):
        broken = bytearray(data[: int(rng.integers(4, len(data)))] if rng.random() < 0.5 else data)
        for place in rng.integers(0, min(len(broken), 600), int(rng.integers(1, 15))).tolist():
            broken[place] = int(rng.integers(256))
        path.write_bytes(broken)
        try:
            with open_reader(path, scratch=tmp_path, max_duration=600) as reader:
                assert reader.read(0, reader.length).shape == (reader.channels, reader.length)
        except SeparationError as error:
            assert error.asked and error.found and error.advice
