"""How models are compared on data: which metrics, at which rate, over which windows, and how a track becomes one number.

A protocol is a record, not a program: `scoring.py` follows it. A figure means little without its protocol, so every
table carries the protocol's name and `run.json` all of its fields. The rules for one model on one fixed collection,
behind the figures on the cards, are in `published.py`.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

PerTrack = Literal["median", "mean", "whole", "pooled"]
Average = Literal["median", "mean"]

V4 = tuple(f"bss_eval_v4.{name}" for name in ("SDR", "ISR", "SIR", "SAR"))
V3 = tuple(f"bss_eval_v3.{name}" for name in ("SDR", "SIR", "SAR"))


@dataclass(frozen=True)
class Protocol:
    """One way of comparing models.

    Args:
        name: what the command line and tables call it.
        title: what people read.
        about: what is done, in sentences, with its source.
        metrics: names of `separation.metrics.METRICS`; the first is the headline.
        window: seconds a window; None: every metric is of the whole track.
        hop: seconds from window to window.
        filters: the distortion filters of BSS-eval v4 are fitted to the whole track, or to each window passed alone. In
            the latter case a last, shorter window is dropped, and a window in which any reference or estimate is all
            zero is left out.
        sample_rate: Hz at which estimates and references are compared; None: the recording's own.
        mono: compared as the mean of their channels.
        sources: compared by these names; None: by the sources of the model. An `accompaniment` that a model does not
            give is the sum of its other estimates.
        reported: sources whose values enter the table; None: all.
        of_voices: metrics that are of the vocals only.
        accompaniment: where a model gives vocals and several others, vocals are scored against the sum of the others,
            and that sum is scored too, as museval does.
        per_track: a track's number is the median or the mean over its windows; "pooled": windows of all tracks are one
            heap. Metrics that are of the whole track count as they are: with "whole" there are no others.
        average: what ranks models: the median or the mean over tracks.
        weighted: means over tracks are weighted by duration.
    """

    name: str
    title: str
    about: str
    metrics: tuple[str, ...]
    window: float | None = 1.0
    hop: float = 1.0
    filters: Literal["window", "whole"] = "whole"
    sample_rate: int | None = None
    mono: bool = False
    sources: tuple[str, ...] | None = None
    reported: tuple[str, ...] | None = None
    of_voices: tuple[str, ...] = ()
    accompaniment: bool = False
    per_track: PerTrack = "median"
    average: Average = "median"
    weighted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What decides the numbers, JSON-able; without the words for people."""
        fields = asdict(self)
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in fields.items()
            if key not in ("title", "about")
        }


_ALL = (
    Protocol(
        name="sisec",
        title="SiSEC 2018 (museval)",
        about=(
            "BSS-eval v4 on windows of 1 s, filters fitted once a track, at the recording's own rate and channels; "
            "median over windows, then over tracks. A window in which any source is silent has no value. "
            "Stöter, Liutkus and Ito, LVA/ICA 2018."
        ),
        metrics=V4,
        accompaniment=True,
    ),
    Protocol(
        name="htmd",
        title="HTMD-Net",
        about=(
            "BSS-eval v4 on mono at 22,050 Hz, every window of 1 s passed alone, so that filters are fitted per window; "
            "windows in which any signal is all zero, and the last partial one, are left out. Song-wise: median over "
            "windows, then over songs; segment-wise: all windows as one heap. Beside it the energy that is left where "
            "nobody sings (PES) and the agreement of voice activity. Garoufis, Zlatintsi and Maragos, EUSIPCO 2021."
        ),
        metrics=(*V4, "pes_htmd", "vad_agreement"),
        of_voices=("pes_htmd", "vad_agreement"),
        filters="window",
        sample_rate=22050,
        mono=True,
        sources=("vocals", "accompaniment"),
    ),
    Protocol(
        name="mir1k",
        title="MIR-1K",
        about=(
            "BSS-eval v3 of the voice over whole clips, mono at 16 kHz; NSDR is the SDR's gain over the mixture's own, "
            "GNSDR its mean over clips weighted by their length. Hsu and Jang, IEEE TASLP 18(2), 2010."
        ),
        metrics=("bss_eval_v3.NSDR", *V3, "si_sdr_gain"),
        window=None,
        sample_rate=16000,
        mono=True,
        sources=("vocals", "accompaniment"),
        reported=("vocals",),
        per_track="whole",
        average="mean",
        weighted=True,
    ),
    Protocol(
        name="whole",
        title="Whole tracks",
        about=(
            "SI-SDR and SNR of whole tracks and their gain over the mixture, at the recording's own rate and channels; "
            "mean over tracks. For any sources; the usual one for speech."
        ),
        metrics=("si_sdr_gain", "si_sdr", "snr_gain", "snr"),
        window=None,
        per_track="whole",
        average="mean",
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in _ALL}
"""By name."""
