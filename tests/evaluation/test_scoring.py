"""One separator on one track: rates, channels, permutations, and what museval compares."""

import numpy as np
import pytest
from fakes import Splitter, Swapping
from scipy.signal import butter, sosfilt
from small_data import RATE, make_tracks, noise, write

from separation.datasets import Track
from separation.errors import DataError, ModelError
from separation.evaluation import PROTOCOLS, Protocol, score
from separation.evaluation.protocols import V4
from separation.evaluation.scoring import gathered, scenarios
from separation.metrics import METRICS
from separation.models.oracles import build_oracle


def halves(*sources: str, sample_rate: int = RATE):
    separator = Splitter(*[1 / len(sources)] * len(sources), sample_rate=sample_rate)
    separator.spec = type(separator.spec)(sample_rate, None, sources, 1.0, 0.1)
    return lambda rate: separator


def values_of(scored, metric: str, source: str) -> list[float | None]:
    return [v.value for v in scored.values if (v.metric, v.source) == (metric, source)]


def test_every_protocol_knows_its_metrics_and_name():
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert set(protocol.metrics) <= set(METRICS)


@pytest.mark.parametrize("protocol", ["sisec", "htmd", "mir1k", "whole"])
def test_half_the_mixture_gains_nothing(protocol, tmp_path):
    """The scale-invariant and v3 gains of a scaled mixture are 0; its SNR against one of two equal parts is 3 dB."""
    track = make_tracks(tmp_path, 1)[0]
    scored = score(halves("vocals", "accompaniment"), track, PROTOCOLS[protocol])
    assert scored.sample_rate == (PROTOCOLS[protocol].sample_rate or RATE)
    assert {v.metric for v in scored.values} == set(PROTOCOLS[protocol].metrics)
    if protocol == "mir1k":
        assert values_of(scored, "bss_eval_v3.NSDR", "vocals") == [pytest.approx(0, abs=1e-6)]
        assert {v.source for v in scored.values} == {"vocals"}
    if protocol == "whole":
        assert values_of(scored, "si_sdr_gain", "vocals") == [pytest.approx(0, abs=1e-6)]
    if protocol in ("sisec", "whole"):
        name = "bss_eval_v4.SDR" if protocol == "sisec" else "snr"
        assert values_of(scored, name, "vocals") == [pytest.approx(3, abs=0.3)]
    if protocol == "htmd":
        assert {v.source for v in scored.values if v.metric == "pes_htmd"} == {"vocals"}  # it is a measure of voices


def test_stereo_recordings_at_another_rate_are_compared_as_the_protocol_says(tmp_path):
    stems = {s: write(tmp_path / f"{s}.wav", noise(s, 1.2, channels=2, rate=44100), 44100) for s in ("vocals", "music")}
    scored = score(halves("vocals", "accompaniment"), Track("song", stems), PROTOCOLS["htmd"])
    assert scored.sample_rate == 22050
    assert scored.duration == pytest.approx(1.2)
    assert [v.start for v in scored.values if v.metric == "bss_eval_v4.SDR"] == [0.0, 0.0]  # one whole window a source


def test_a_mono_stem_of_a_stereo_mixture_counts_for_both_channels(tmp_path):
    voice, music = noise("v"), noise("m", channels=2)
    stems = {"vocals": write(tmp_path / "v.wav", voice), "music": write(tmp_path / "m.wav", music)}
    scored = score(halves("vocals", "accompaniment"), Track("song", stems), PROTOCOLS["whole"])
    expected = 10 * np.log10(2 * np.square(voice).sum() / np.square(voice - (voice + music) / 2).sum())
    assert values_of(scored, "snr", "vocals") == [pytest.approx(expected, abs=1e-3)]


def test_a_shorter_stem_is_silent_after_its_end(tmp_path):
    stems = {"vocals": write(tmp_path / "v.wav", noise("v", 1.0)), "music": write(tmp_path / "m.wav", noise("m", 2.0))}
    scored = score(halves("vocals", "accompaniment"), Track("song", stems), PROTOCOLS["sisec"])
    windows = [v for v in scored.values if (v.metric, v.source) == ("bss_eval_v4.SDR", "vocals")]
    assert [v.value is None for v in windows] == [False, True]
    assert "silent" in windows[1].reason


def test_a_stem_longer_than_the_mixture_is_refused(tmp_path):
    files = {"mixture": noise("m", 1.0), "vocals": noise("v", 1.0), "music": noise("a", 2.0)}
    track = Track("song", {name: write(tmp_path / f"{name}.wav", x) for name, x in files.items()})
    with pytest.raises(DataError, match=r"music.wav: it is 8,000 samples \(1.00 s\) longer than the mixture"):
        score(halves("vocals", "accompaniment"), track, PROTOCOLS["whole"])


def test_one_permutation_a_track_even_if_it_flips_in_every_chunk(tmp_path):
    white = [noise(name, 6.0)[0] for name in ("low", "high")]
    low = sosfilt(butter(8, 800, fs=RATE, output="sos"), white[0])
    high = sosfilt(butter(8, 1200, "high", fs=RATE, output="sos"), white[1])
    for stems in ({"s1": low, "s2": high}, {"s1": high, "s2": low}):
        track = Track(
            "pair", {name: write(tmp_path / f"{name}.wav", x.astype(np.float32)) for name, x in stems.items()}
        )
        scored = score(lambda rate: Swapping(seed=1), track, PROTOCOLS["whole"])
        assert {v.source for v in scored.values} == {"one", "two"}
        assert all(v.value > 15 for v in scored.values if v.metric == "si_sdr")


def test_an_oracle_is_told_the_references(tmp_path):
    track = make_tracks(tmp_path, 1)[0]
    sources = ("vocals", "accompaniment")
    scored = score(lambda rate: build_oracle("irm2", sources=sources, sample_rate=rate), track, PROTOCOLS["whole"])
    assert all(value > 3 for value in values_of(scored, "si_sdr_gain", "vocals"))


def test_four_sources_are_compared_as_museval_does():
    four = ("drums", "vocals", "bass", "other")
    assert scenarios(four, PROTOCOLS["sisec"]) == [
        (four, ("drums", "bass", "other")),
        (("vocals", "accompaniment"), ("vocals", "accompaniment")),
    ]
    assert scenarios(("vocals", "accompaniment"), PROTOCOLS["sisec"]) == [(("vocals", "accompaniment"),) * 2]
    assert scenarios(four, PROTOCOLS["whole"]) == [(four, four)]
    assert scenarios(four, PROTOCOLS["mir1k"]) == [(("vocals", "accompaniment"), ("vocals",))]


def test_four_sources_on_a_track(tmp_path):
    four = ("vocals", "drums", "bass", "other")
    track = make_tracks(tmp_path, 1, stems=four)[0]
    scored = score(halves(*four), track, PROTOCOLS["sisec"])
    assert {v.source for v in scored.values} == {*four, "accompaniment"}
    assert {v.metric for v in scored.values} == set(V4)


def test_an_accompaniment_that_is_not_given_is_the_sum_of_the_others():
    estimates = {name: np.full((1, 2), i, np.float32) for i, name in enumerate(("Voice", "drums", "bass"), 1)}
    got = gathered(estimates, ("vocals", "accompaniment"))
    assert [float(x[0, 0]) for x in got.values()] == [1.0, 5.0]
    with pytest.raises(ModelError, match="the model gives Voice, drums, bass, not piano"):
        gathered(estimates, ("piano",))


def test_a_protocol_is_json_able_without_its_words():
    fields = Protocol("x", "A title", "About.", ("snr",), sources=("a", "b")).to_dict()
    assert fields["sources"] == ["a", "b"]
    assert not {"title", "about"} & set(fields)
