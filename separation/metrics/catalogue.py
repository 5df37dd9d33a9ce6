"""Every metric by name, with its card: what it measures, in what unit, which way is better, what it needs, who defined it.

`measure` computes them; `docs/metrics.md` holds the same cards for reading, and a test holds both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from separation.errors import ShapeError

Direction = Literal["higher", "lower", "neither"]

BSS_EVAL_2006 = (
    "Vincent, Gribonval and Févotte, Performance measurement in blind audio source separation, IEEE TASLP 14(4), 2006"
)
SISEC_2018 = "Stöter, Liutkus and Ito, The 2018 signal separation evaluation campaign, LVA/ICA 2018 (arXiv:1804.06267)"
HALF_BAKED = "Le Roux, Wisdom, Erdogan and Hershey, SDR – half-baked or well done?, ICASSP 2019 (arXiv:1811.02508)"
WIASS = "Schulze-Forster, Doire, Richard and Badeau, Weakly informed audio source separation, WASPAA 2019"
HTMD = "Garoufis, Zlatintsi and Maragos, HTMD-Net, EUSIPCO 2021"
EARSHOT = "ours"

REASONS = {
    "silent reference": "the reference is exactly zero there",
    "silent estimate": "the estimate is exactly zero there",
    "silent mixture": "the mixture is exactly zero there",
    "another source is silent": "BSS-eval gives no source a score where any reference or any estimate is zero",
    "constant signal": "nothing is left without the mean",
    "no error": "the ratio is infinite: nothing of what it counts as error is in the estimate",
    "nothing of the reference": "the ratio is minus infinity",
    "perfect mixture": "a gain over a mixture that is the reference already",
    "reference sounds": "a measure of silence, and the reference is not silent there",
    "estimate sounds": "a measure of silence, and the estimate is not silent there",
    "shorter than one window": "the signal ends before the first of the metric's own windows does",
    "too little speech": "fewer than 30 frames of speech",
    "no utterance": "PESQ's own detector found no speech",
    "no reference": "none was given",
    "no mixture": "none was given",
    "one source only": "there is nobody to be mixed up with",
    "needs masks": "masks are seen while a model runs: attach MaskEntropy to the run",
    "undefined": "no number is defined there, for none of the other reasons",
}
"""Why a value is missing."""


@dataclass(frozen=True)
class Metric:
    """The card of a metric.

    Args:
        name: as in `measure`; a part of a family after a dot.
        title: as people write it.
        unit: "dB", "%", "MOS" or "" for a bare number.
        direction: which way is better; "neither" for facts about the material.
        range: the values it can take, in words.
        needs: of "reference", "mixture", "sources" (two references, or one and the mixture), "masks", "pesq" (the package).
        per_window: `measure` gives a series, too.
        about: what it measures, in one or two sentences.
        paper: who defined it.
    """

    name: str
    title: str
    unit: str
    direction: Direction
    range: str
    needs: tuple[str, ...]
    per_window: bool
    about: str
    paper: str


_CARDS = (
    Metric(
        "si_sdr", "SI-SDR", "dB", "higher", "any; infinite if perfect", ("reference",), True,
        "Energy of the estimate's part that is the reference, scaled, over everything else in it. Level is "
        "forgiven; delay and colouration are not.",
        HALF_BAKED,
    ),
    Metric(
        "si_sir", "SI-SIR", "dB", "higher", "at least SI-SDR; infinite without interference",
        ("reference", "sources"), True,
        "The part of SI-SDR's error that is other sources, scaled.",
        HALF_BAKED,
    ),
    Metric(
        "si_sar", "SI-SAR", "dB", "higher", "at least SI-SDR; infinite without artefacts",
        ("reference", "sources"), True,
        "The part of SI-SDR's error that no scaled source explains: noise, filtering, delay.",
        HALF_BAKED,
    ),
    Metric(
        "si_sdr_gain", "SI-SDR gain (SI-SDRi)", "dB", "higher", "any", ("reference", "mixture"), True,
        "SI-SDR of the estimate minus SI-SDR of the mixture as the estimate: what the separation has brought.",
        HALF_BAKED,
    ),
    Metric(
        "snr", "SNR", "dB", "higher", "any; 0 for a silent estimate, infinite if perfect", ("reference",), True,
        "Energy of the reference over energy of the difference. Nothing is forgiven, nor is level. Also called "
        "uSDR, new SDR.",
        "Mitsufuji et al., Music demixing challenge 2021, Frontiers in Signal Processing 1, 2022 (1e-7 in both "
        "energies)",
    ),
    Metric(
        "snr_gain", "SNR gain", "dB", "higher", "any", ("reference", "mixture"), True,
        "SNR of the estimate minus SNR of the mixture as the estimate.",
        EARSHOT,
    ),
    Metric(
        "bss_eval_v4.SDR", "SDR (BSS-eval v4)", "dB", "higher", "any; infinite if perfect", ("reference",), True,
        "What SiSEC 2018 and most papers on music call SDR: the plain SNR of a window, then the median over windows "
        "of 1 s.",
        SISEC_2018,
    ),
    Metric(
        "bss_eval_v4.ISR", "ISR (BSS-eval v4)", "dB", "higher", "any", ("reference",), True,
        "Image to spatial distortion: how far the estimate's target is from the reference by filtering and panning.",
        SISEC_2018,
    ),
    Metric(
        "bss_eval_v4.SIR", "SIR (BSS-eval v4)", "dB", "higher", "any", ("reference", "sources"), True,
        "Target over what 512-tap filters can make of the other sources.",
        SISEC_2018,
    ),
    Metric(
        "bss_eval_v4.SAR", "SAR (BSS-eval v4)", "dB", "higher", "any", ("reference", "sources"), True,
        "All that filters of the sources explain, over the rest.",
        SISEC_2018,
    ),
    Metric(
        "bss_eval_v3.SDR", "SDR (BSS-eval v3)", "dB", "higher", "any", ("reference",), False,
        "The target is what a 512-tap filter can make of the reference: level, delays below 512 samples and "
        "colouration are forgiven. What mir_eval and papers on speech and MIR-1K call SDR; over the whole signal.",
        BSS_EVAL_2006,
    ),
    Metric(
        "bss_eval_v3.SIR", "SIR (BSS-eval v3)", "dB", "higher", "any", ("reference", "sources"), False,
        "Filtered reference over what filters can make of the other sources.",
        BSS_EVAL_2006,
    ),
    Metric(
        "bss_eval_v3.SAR", "SAR (BSS-eval v3)", "dB", "higher", "any", ("reference", "sources"), False,
        "All that filters of the sources explain, over the rest.",
        BSS_EVAL_2006,
    ),
    Metric(
        "bss_eval_v3.NSDR", "SDR gain (BSS-eval v3; NSDR, SDRi)",
        "dB", "higher", "any", ("reference", "mixture"), False,
        "BSS-eval v3's SDR of the estimate minus that of the mixture as the estimate.",
        "Ozerov, Philippe, Bimbot and Gribonval, Adaptation of Bayesian models for single-channel source "
        "separation, IEEE TASLP 15(5), 2007",
    ),
    Metric(
        "pes_wiass", "PES (WIASS)", "dB", "lower", "at least -120", ("reference",), True,
        "Predicted energy at silence: total energy of the estimate in frames of 1 s in which the reference is "
        "exactly zero; the mean over frames. Depends on the sample rate and the channels, which add up.",
        WIASS,
    ),
    Metric(
        "eps_wiass", "EPS (WIASS)", "dB", "lower", "at least -120", ("reference",), True,
        "Energy at predicted silence: total energy of the reference in frames of 1 s in which the estimate is "
        "exactly zero; the mean over frames.",
        WIASS,
    ),
    Metric(
        "pes_htmd", "PES (HTMD-Net)", "dB", "lower", "at least -2000, which is exact silence", ("reference",), True,
        "Predicted energy at silence: RMS level of the estimate in windows of 0.186 s (4,096 samples at 22,050 Hz) "
        "of which a voice detector gives the reference at most half; the median over windows. For voices.",
        HTMD,
    ),
    Metric(
        "vad_agreement", "VAD agreement", "%", "higher", "0 to 100", ("reference",), False,
        "Share of 20 ms frames in which WebRTC's voice detector (16 kHz, mode 3) says the same of reference and "
        "estimate. For voices.",
        HTMD,
    ),
    Metric(
        "silent_share", "Silent windows", "%", "neither", "0 to 100", ("reference",), False,
        "Share of windows in which the reference is exactly zero: what every SDR leaves out.",
        EARSHOT,
    ),
    Metric(
        "stoi", "STOI", "", "higher", "about 0 to 1", ("reference",), False,
        "Intelligibility: correlation of envelopes in third-octave bands up to 4.3 kHz over 0.4 s. Speech only.",
        "Taal, Hendriks, Heusdens and Jensen, An algorithm for intelligibility prediction of time-frequency "
        "weighted noisy speech, IEEE TASLP 19(7), 2011",
    ),
    Metric(
        "pesq", "PESQ", "MOS", "higher", "1 to 4.64", ("reference", "pesq"), False,
        "Quality of telephone speech as listeners would rate it, wide band (16 kHz) for rates from 16 kHz, else "
        "narrow band (8 kHz); pieces of 10 s, averaged. Speech only.",
        "ITU-T P.862 (2001), P.862.1 (2003), P.862.2 (2007)",
    ),
    Metric(
        "log_spectral_distance", "Log-spectral distance", "dB", "lower", "at least 0", ("reference",), False,
        "Root mean square of the level differences of all bins (2,048 samples, hop 512), averaged over frames. "
        "Phase does not count; what lies 100 dB below a sine of the reference's peak is not told apart.",
        "Gray and Markel, Distance measures for speech processing, IEEE TASSP 24(5), 1976",
    ),
    Metric(
        "multi_resolution_spectral_distance", "Multi-resolution spectral distance",
        "", "lower", "at least 0", ("reference",), False,
        "Spectral convergence plus log-magnitude difference, averaged over windows of 512, 1,024 and 2,048 samples. "
        "Phase does not count.",
        "Yamamoto, Song and Kim, Parallel WaveGAN, ICASSP 2020 (arXiv:1910.11480)",
    ),
    Metric(
        "logwmse", "logWMSE", "", "higher", "at most 73.68", ("reference", "mixture"), False,
        "Error weighted as ears weigh frequencies, relative to the mixture, so that it is defined for silent "
        "references.",
        "torch-log-wmse, Landschoot, 2024, after log-wmse-audio-quality, Nomono, 2023 (software, no paper)",
    ),
    Metric(
        "reference_db", "Level of the reference", "dBFS", "neither", "any", ("reference",), True,
        "Mean square, channels averaged.",
        EARSHOT,
    ),
    Metric(
        "estimate_db", "Level of the estimate", "dBFS", "neither", "any", (), True,
        "Mean square, channels averaged.",
        EARSHOT,
    ),
    Metric(
        "stem_similarity", "Similarity of stems", "", "lower", "0 to 1", (), True,
        "Largest correlation of a stem with another one, sign ignored: 1 for a copy. Sources that play together are "
        "alike, too.",
        EARSHOT,
    ),
    Metric(
        "residual_db", "Residual", "dB", "lower", "at least -200", ("mixture",), True,
        "Energy of the residual track, or of mixture minus stems if there is none, relative to the mixture.",
        EARSHOT,
    ),
    Metric(
        "null_db", "Null test", "dB", "lower", "at least -200", ("mixture",), False,
        "Energy of mixture minus all stems relative to the mixture: whether what was written adds up. Some -140 dB "
        "is 24-bit rounding.",
        EARSHOT,
    ),
    Metric(
        "mask_entropy", "Mask entropy", "", "lower", "0 to 1", ("masks",), False,
        "How undecided the masks of a latent model were, weighted by energy: 0 if each basis function went to one "
        "source, 1 for equal shares. Sure is not right.",
        EARSHOT,
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {card.name: card for card in _CARDS}
DEFAULT = ("si_sdr", "snr", "bss_eval_v4", "bss_eval_v3.SDR", "bss_eval_v3.SIR", "bss_eval_v3.SAR", "silent_share")
"""What `measure` computes unless told otherwise."""


def resolve(names: Sequence[str]) -> tuple[str, ...]:
    """Names of metrics and families, such as "bss_eval_v4", -> names of metrics, each once, in the given order.

    Raises:
        ShapeError: no metric has such a name.

    >>> resolve(["snr", "bss_eval_v4"])
    ('snr', 'bss_eval_v4.SDR', 'bss_eval_v4.ISR', 'bss_eval_v4.SIR', 'bss_eval_v4.SAR')
    """
    found: dict[str, None] = {}
    for name in names:
        members = [known for known in METRICS if name in (known, known.partition(".")[0])]
        if not members:
            near = get_close_matches(name, METRICS, 3) or list(METRICS)
            raise ShapeError("Measure a separation", f"no metric is called {name!r}", f"Try {', '.join(near)}")
        found |= dict.fromkeys(members)
    return tuple(found)
