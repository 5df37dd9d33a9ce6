"""Stems find their sources by name, or nobody guesses."""

import numpy as np
import pytest
from small_data import make_tracks, noise, write

from separation.datasets import Track
from separation.errors import DataError
from separation.evaluation import references_of


def heard(reader) -> np.ndarray:
    with reader:
        return reader.read(0, reader.length)


@pytest.fixture
def song(tmp_path) -> Track:
    return make_tracks(tmp_path, 1, stems=("vocals", "drums", "bass"))[0]


def test_a_source_is_the_stem_of_its_name(song):
    found = references_of(song, ("bass", "vocals"))
    assert list(found) == ["bass", "vocals"]
    np.testing.assert_array_equal(heard(found["bass"]), noise("0 bass", 1.5))


def test_accompaniment_is_the_sum_of_what_nobody_claims(song):
    found = references_of(song, ("vocals", "accompaniment"))
    np.testing.assert_allclose(heard(found["accompaniment"]), noise("0 drums", 1.5) + noise("0 bass", 1.5), atol=1e-7)
    found = references_of(song, ("vocals", "drums", "accompaniment"))
    np.testing.assert_allclose(heard(found["accompaniment"]), noise("0 bass", 1.5), atol=1e-7)


def test_the_mixture_is_nobodys_stem(tmp_path):
    files = {name: write(tmp_path / f"{name}.wav", noise(name)) for name in ("mixture", "vocals", "drums")}
    found = references_of(Track("song", files), ("vocals", "accompaniment"))
    np.testing.assert_allclose(heard(found["accompaniment"]), noise("drums"), atol=1e-7)


@pytest.mark.parametrize(
    ("stem", "source"),
    [("Voice", "vocals"), ("music", "accompaniment"), ("Instrumental", "accompaniment"), ("s1", "speaker 1"),
     ("speaker-2", "speaker 2"), ("Lead Guitar", "lead_guitar")],
)  # fmt: skip
def test_aliases_and_spelling(stem, source, tmp_path):
    track = Track("song", {stem: write(tmp_path / "a.wav", noise("a")), "x": write(tmp_path / "x.wav", noise("x"))})
    np.testing.assert_array_equal(heard(references_of(track, (source,))[source]), noise("a"))


def test_a_missing_stem_is_named_with_what_there_is(song):
    with pytest.raises(DataError, match=r"no stem for piano; its stems are vocals, drums, bass"):
        references_of(song, ("vocals", "piano"))


def test_two_stems_that_mean_the_same_are_not_chosen_between(tmp_path):
    track = Track("song", {name: write(tmp_path / f"{name}.wav", noise(name)) for name in ("voice", "Vocal")})
    with pytest.raises(DataError, match="no stem for vocals"):
        references_of(track, ("vocals",))


def test_meaningless_names_take_stems_in_order_if_they_are_as_many(tmp_path):
    track = make_tracks(tmp_path, 1, stems=("woman", "man"))[0]
    found = references_of(track, ("speaker 1", "speaker 2"), in_order=True)
    np.testing.assert_array_equal(heard(found["speaker 2"]), noise("0 man", 1.5))
    with pytest.raises(DataError, match="no stem for speaker 1, speaker 2"):
        references_of(track, ("speaker 1", "speaker 2"))
    with pytest.raises(DataError, match="no stem for one, two, three"):
        references_of(track, ("one", "two", "three"), in_order=True)
