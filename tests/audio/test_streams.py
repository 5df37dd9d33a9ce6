"""Containers with several sound streams: the one that is asked for, or a message that says how many there are."""

from pathlib import Path

import numpy as np
import pytest

from separation.audio import open_reader, probe
from separation.errors import UnreadableAudio
from tests.audio.audio_files import make, music
from tests.datasets.tiny_sets import write_streams

LEVELS = (0.1, 0.2, 0.3)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    time = np.arange(22_050) / 44_100
    tone = np.stack([np.sin(2 * np.pi * 440 * time)] * 2).astype(np.float32)
    path = tmp_path_factory.mktemp("streams") / "three.stem.mp4"
    return write_streams(path, [level * tone for level in LEVELS])


@pytest.mark.parametrize("stream", range(3))
def test_each_stream_is_decoded_by_its_number(stream: int, container: Path, tmp_path: Path) -> None:
    with open_reader(container, stream=stream, scratch=tmp_path) as reader:
        assert reader.info.name == f"three.stem.mp4#{stream}"
        assert (reader.channels, reader.sample_rate) == (2, 44_100)
        assert reader.length == pytest.approx(22_050, abs=1024)
        assert np.abs(reader.read(8000, 4000)).max() == pytest.approx(LEVELS[stream], rel=0.05)
    assert not list(tmp_path.iterdir())
    assert probe(container, stream=stream).name == f"three.stem.mp4#{stream}"


def test_without_a_number_it_is_the_first(container: Path) -> None:
    with open_reader(container) as reader:
        assert reader.info.name == "three.stem.mp4"
        assert np.abs(reader.read(8000, 4000)).max() == pytest.approx(LEVELS[0], rel=0.05)


@pytest.mark.parametrize("opened", [open_reader, probe])
def test_a_stream_that_is_not_there_is_refused_with_their_number(
    opened: object, container: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnreadableAudio, match="it holds 3 sound streams, 0 to 2"):
        opened(container, stream=3)  # type: ignore[operator]
    with pytest.raises(UnreadableAudio, match="it holds one sound stream, 0"):
        opened(make(tmp_path, "m4a", music(4800)), stream=1)  # type: ignore[operator]


def test_stream_0_of_a_plain_file_is_the_file(tmp_path: Path) -> None:
    samples = music(4800)
    path = make(tmp_path, "wav32f", samples)
    with open_reader(path, stream=0) as reader:
        assert np.array_equal(reader.read(0, reader.length), samples)
