"""From a track to samples: every form of a stem, sums, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from separation.audio import ArrayReader
from separation.datasets import Track, open_mixture, open_path, open_stem
from separation.datasets.stems import ChannelReader, Part, SumReader, parts
from separation.errors import DataError, ShapeError, UnreadableAudio
from separation.signals import Signal
from tests.datasets.tiny_sets import noise, write


def reader(values: list[list[float]], sample_rate: int = 8000, name: str = "memory") -> ArrayReader:
    return ArrayReader(Signal(np.array(values, np.float32), sample_rate), name)


def test_the_forms_of_a_stem(tmp_path: Path) -> None:
    for name in ("b.wav", "a.flac"):
        write(tmp_path / "folder" / name, noise(name))
    (tmp_path / "folder" / "notes.txt").touch()
    assert parts(tmp_path / "x.wav") == [Part(tmp_path / "x.wav")]
    assert parts(tmp_path / "folder") == [Part(tmp_path / "folder" / "a.flac"), Part(tmp_path / "folder" / "b.wav")]
    assert parts(tmp_path / "x.stem.mp4#3") == [Part(tmp_path / "x.stem.mp4", stream=3)]
    assert parts(tmp_path / "x.wav#left") == [Part(tmp_path / "x.wav", channel=0)]


def test_a_file_whose_name_looks_like_a_fragment_is_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "take.no#1.wav", noise("x"))
    assert parts(path) == [Part(path)]
    odd = path.rename(tmp_path / "take.v#1")
    assert parts(odd) == [Part(odd)]


def test_a_sum_goes_on_to_the_end_of_the_longest(tmp_path: Path) -> None:
    one, two = reader([[1, 2, 3]]), reader([[10, 20, 30, 40, 50]])
    with SumReader([one, two], "both") as both:
        assert (both.length, both.channels, both.sample_rate) == (5, 1, 8000)
        assert both.read(0, 5).tolist() == [[11, 22, 33, 40, 50]]
        assert both.read(2, 2).tolist() == [[33, 40]]
        assert both.read(3, 1).tolist() == [[40]]
        assert both.read(5, 0).shape == (1, 0)
        assert both.read(0, 5).dtype == np.float32
        with pytest.raises(ShapeError):
            both.read(3, 3)


def test_mono_is_added_to_every_channel() -> None:
    both = SumReader([reader([[1, 2]]), reader([[10, 20], [30, 40]])], "both")
    assert both.read(0, 2).tolist() == [[11, 22], [31, 42]]


def test_mixed_rates_and_channels_are_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"Sum both: a has 8,000 Hz, b has 16,000 Hz\."):
        SumReader([reader([[1]], 8000, "a"), reader([[1]], 16000, "b")], "both")
    with pytest.raises(DataError, match=r"a has 2 channels, c has 3 channels"):
        SumReader([reader([[1]] * 2, name="a"), reader([[1]], name="b"), reader([[1]] * 3, name="c")], "both")


def test_the_mixture_is_the_file_or_else_the_sum(tmp_path: Path) -> None:
    stems = {name: write(tmp_path / f"{name}.wav", noise(name)) for name in ("a", "b")}
    samples = {name: sf.read(path, dtype="float32")[0] for name, path in stems.items()}
    with open_mixture(Track("t", stems)) as mixture:
        assert mixture.info.name == "the mixture of t" and not mixture.info.lossy
        assert np.array_equal(mixture.read(0, mixture.length)[0], samples["a"] + samples["b"])
    with open_mixture(Track("t", {**stems, "mixture": stems["b"]})) as mixture:
        assert np.array_equal(mixture.read(0, mixture.length)[0], samples["b"])


def test_the_sum_of_stems_of_two_rates_is_refused_and_closed(tmp_path: Path) -> None:
    stems = {"a": write(tmp_path / "a.wav", noise("a")), "b": write(tmp_path / "b.wav", noise("b"), 16_000)}
    with pytest.raises(DataError, match="a has 8,000 Hz, b has 16,000 Hz"):
        open_mixture(Track("t", stems))


def test_channels_of_a_stereo_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", noise("x", channels=2))
    samples = sf.read(path, dtype="float32")[0].T
    for name, channel in (("left", 0), ("right", 1)):
        with open_path(Path(f"{path}#{name}")) as one:
            assert one.channels == 1 and np.array_equal(one.read(10, 50)[0], samples[channel, 10:60])
    mono = write(tmp_path / "mono.wav", noise("x"))
    with pytest.raises(DataError, match=r"the right channel of mono\.wav: it has 1 channel\."):
        open_path(Path(f"{mono}#right"))
    with pytest.raises(DataError, match="has 1 channel"):
        ChannelReader(reader([[1]]), 1)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    track = Track("t", {"a": tmp_path / "a.wav", "folder": tmp_path / "empty"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"Read b of t: its stems are a, folder"):
        open_stem(track, "b")
    with pytest.raises(UnreadableAudio, match="no such file"):
        open_stem(track, "a")
    with pytest.raises(DataError, match="no audio file is in this folder"):
        open_stem(track, "folder")
    with pytest.raises(DataError, match="it has no stems"):
        open_mixture(Track("t", {}))


def test_decoded_copies_go_when_the_sum_is_closed(tmp_path: Path) -> None:
    stems = {name: write(tmp_path / f"{name}.ogg", noise(name, length=8000)) for name in ("a", "b")}
    scratch = tmp_path / "scratch"
    with open_mixture(Track("t", stems), scratch=scratch) as mixture:
        assert len(list(scratch.iterdir())) == 2 and mixture.info.lossy
    assert not list(scratch.iterdir())
    (tmp_path / "b.ogg").write_text("not audio")
    with pytest.raises(UnreadableAudio):
        open_mixture(Track("t", stems), scratch=scratch)
    assert not list(scratch.iterdir())
