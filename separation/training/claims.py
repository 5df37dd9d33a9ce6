"""What the papers claim, tested here: both ways trained on the same data from the same seeds, and a verdict with an interval.

A claim compares runs of `small`. Every run sees the same number of seconds of audio as the run it is compared with; each is
trained with several seeds; the interval of a difference is over seeds and clusters of test material together (songs, pairs
of speakers), never over segments. A verdict needs `SEEDS` seeds and flat curves on both sides; else it is "undecided", and
says why.

Runs and their scores lie in a folder, one a run; what is there already is not trained again, so `check` can be stopped at any
time. Not here: the figures of shipped models (`evaluation.published`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from separation.errors import DataError
from separation.metrics import latent_si_sdr, measure
from separation.models import build, build_oracle, own_ceiling
from separation.models.two_step import TwoStep, oracle_masks
from separation.statistics import Interval, crossed_bootstrap
from separation.training.data import DATA, Sides
from separation.training.loop import train
from separation.training.objectives import estimates
from separation.training.recipe import Recipe
from separation.training.small import AFTER, SMALL

SEEDS = 3
SCORES = 3
"""Version of what is kept in scores.json."""
TEST_SEED = 30_000_000  # far from those of training and validation
TEST_EXAMPLES = 60
"""Of all clusters together, as evenly as possible, at least one each."""
STILL_DB = 0.25
"""A curve that rises by more in its last fifth is still rising."""
METRICS = ("si_sdr", "bss_eval_v4.SIR", "bss_eval_v4.SDR", "pes_htmd")

Verdict = Literal["holds", "does not hold here", "undecided"]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Claim:
    """One sentence that can be wrong.

    Args:
        name: of the claim.
        says: the sentence.
        paper: who says it.
        first, second: runs whose sources together are compared, `first` being the one that is said to be better.
        metric: of `METRICS`, of which more is better unless it is energy at silence.
        source: the one source looked at; None for the mean over all.
        margin: 0 for "better"; otherwise for "at most this much worse".
    """

    name: str
    says: str
    paper: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    metric: str = "si_sdr"
    source: str | None = None
    margin: float = 0.0

    @property
    def sign(self) -> int:
        """1 where more is better."""
        return -1 if self.metric == "pes_htmd" else 1


TWO_STEP = "Tzinis et al. 2020"
HTMD = "Garoufis et al. 2021"
INTERLEAVED = "Doire and Okubadejo 2019"
DISENTANGLED = "Helwani et al. 2024, in our formulas"
CLAIMS: tuple[Claim, ...] = (
    *(
        Claim(
            f"latent-{data}", f"training on latent targets beats training end to end ({words})", TWO_STEP,
            (f"two-step/latent@{data}",), (f"two-step/joint@{data}",),
        )
        for data, words in (
            ("speakers", "two speakers"), ("speech_music", "speech against music"), ("sounds", "other sounds"),
        )
    ),
    Claim(
        "deep-supervision-sir", "deep supervision raises the SIR of the voice", HTMD,
        ("htmd-net/mse-mse@vocals",), ("htmd-net/none-mse@vocals",), "bss_eval_v4.SIR", "vocals",
    ),
    Claim(
        "deep-supervision-pes", "deep supervision lowers the energy left where nobody sings", HTMD,
        ("htmd-net/mse-mse@vocals",), ("htmd-net/none-mse@vocals",), "pes_htmd", "vocals",
    ),
    Claim(
        "absolute-error-pes", "absolute error leaves less than squared error where nobody sings", HTMD,
        ("htmd-net/mae-mae@vocals",), ("htmd-net/mse-mse@vocals",), "pes_htmd", "vocals",
    ),
    Claim(
        "htmd-beats-wave-u-net", "HTMD-Net beats Wave-U-Net", HTMD,
        ("htmd-net/mse-mse@vocals",), ("wave-u-net/m2@vocals",), "bss_eval_v4.SDR", "vocals",
    ),
    Claim(
        "htmd-near-conv-tasnet", "HTMD-Net is within 1.5 dB of Conv-TasNet of its size", HTMD,
        ("htmd-net/mse-mse@vocals",), ("conv-tasnet/htmd@vocals",), "bss_eval_v4.SDR", "vocals", 1.5,
    ),
    Claim(
        "interleaved-near-independent", "one encoder in turn is within 0.5 dB of a model a source", INTERLEAVED,
        ("interleaved/in-turn@vocals",),
        ("interleaved/only-vocals@vocals", "interleaved/only-accompaniment@vocals"), "si_sdr", None, 0.5,
    ),
    Claim(
        "interleaved-sir", "sources in turn give a better SIR than all at once", INTERLEAVED,
        ("interleaved/in-turn@vocals",), ("interleaved/simultaneous@vocals",), "bss_eval_v4.SIR",
    ),
    *(
        Claim(
            f"disentangled-{variant}", f"{words} separates unseen speakers better", DISENTANGLED,
            ("disentangled/full@conversations",), (f"disentangled/{variant}@conversations",),
        )
        for variant, words in (
            ("pit", "all of the disentanglement, rather than plain PIT,"), ("no-kl", "the variational prior"),
            ("no-dependence", "the penalty on dependence between blocks"), ("no-memory", "training with the memory"),
        )
    ),
    Claim(
        "encoder-transfers", "a frozen encoder serves a new source within 1 dB of one trained for it", INTERLEAVED,
        ("interleaved/transferred@speech_music",), ("interleaved/from-scratch@speech_music",), "si_sdr", None, 1.0,
    ),
)  # fmt: skip


class Curve(NamedTuple):
    """The validation curve of a run, and how much it rose in its last fifth (dB; None before its end)."""

    points: list[tuple[int, float]]
    rise_db: float | None

    @property
    def flat(self) -> bool:
        return self.rise_db is not None and self.rise_db <= STILL_DB


@dataclass(frozen=True)
class Outcome:
    """A claim and what was found.

    Args:
        difference: of the metric, first minus second; None until there are runs of both.
        seeds: how many both sides have.
        verdict, why: with the reason where it is undecided.
        means: of each side.
    """

    claim: Claim
    difference: Interval | None
    seeds: int
    verdict: Verdict
    why: str
    means: tuple[float, float] | None


def runs_of(claims: Sequence[Claim]) -> list[str]:
    """The runs that claims need, each after the one it starts from."""
    ordered: dict[str, None] = {}
    for claim in claims:
        for run in (*claim.first, *claim.second):
            if run in AFTER:
                ordered.setdefault(AFTER[run][0])
            ordered.setdefault(run)
    return list(ordered)


def check(
    claims: Sequence[Claim],
    data: Path,
    folder: Path,
    *,
    seeds: int = SEEDS,
    device: str = "auto",
    report: Report | None = None,
) -> list[Outcome]:
    """Train and measure what is missing in `folder`, seed after seed, then judge.

    Raises:
        DataError: the data folder is broken, or `folder` holds runs of other recipes.
    """
    for seed in range(seeds):
        for run in runs_of(claims):
            if report is not None:
                report(f"{run}, seed {seed}")
            train_run(run, seed, data, folder, device=device)
            scores_of(run, seed, data, folder, device=device)
    return judge(claims, folder, seeds=seeds)


def judge(claims: Sequence[Claim], folder: Path, *, seeds: int = SEEDS) -> list[Outcome]:
    """Judge claims by what `folder` holds; nothing is trained."""
    return [_judge(claim, folder, seeds) for claim in claims]


def train_run(run: str, seed: int, data: Path, folder: Path, *, device: str = "auto") -> Path:
    """Train a run of `small` to its end, or go on; returns its folder."""
    recipe = SMALL[run].with_changes(seed=seed)
    output = run_folder(run, seed, folder)
    if curve_of(output, recipe).rise_db is None:
        initial = None
        if run in AFTER:
            before, part = AFTER[run]
            initial = _part(run_folder(before, seed, folder) / "best.safetensors", part, output)
        train(recipe, data, output, device=device, initial=initial)
    return output


def run_folder(run: str, seed: int, folder: Path) -> Path:
    return folder / f"{run.replace('/', '.')}.{seed}"


def curve_of(output: Path, recipe: Recipe) -> Curve:
    """The validation curve that a run has written so far."""
    log = output / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    points = [(line["step"], line["si_sdr_gain_db"]) for line in lines if line["event"] == "validate"]
    late = [value for step, value in points if step > 0.8 * recipe.steps]
    early = [value for step, value in points if step <= 0.8 * recipe.steps]
    done = bool(points) and points[-1][0] >= recipe.steps
    return Curve(points, max(late) - max(early) if done and early and late else None)


def scores_of(run: str, seed: int, data: Path, folder: Path, *, device: str = "auto") -> list[dict[str, Any]]:
    """``{cluster, example, source, metric, value}`` of a finished run on its test side; kept beside its weights.

    Beside the estimates stand what others make of the same mixtures, as ``WHAT:SOURCE``: the mixture itself, the ceiling of
    masks in the model's own latent space (`own_ceiling`), and the STFT's ideal ratio mask of powers. Two-Step models also
    have the two sides of the paper's bound, ``latent_si_sdr`` and ``decoded_si_sdr`` (see `_bound`).
    """
    output = run_folder(run, seed, folder)
    weights = output / "best.safetensors"
    mark = hashlib.sha256(weights.read_bytes()).hexdigest()
    kept = output / "scores.json"
    if (
        kept.exists()
        and (known := json.loads(kept.read_text()))["weights"] == mark
        and (known.get("version") == SCORES)
    ):
        scores: list[dict[str, Any]] = known["scores"]
        return scores
    recipe = SMALL[run]
    model: Any = build(recipe.architecture, recipe.arguments)
    model.load_state_dict(load_file(weights))
    sides = DATA[recipe.data](recipe, data, folder / "cache")
    chosen = "cpu" if device == "auto" and not torch.cuda.is_available() else device.replace("auto", "cuda")
    scores = [{**row} for row in _measured(model.eval().to(chosen), recipe, sides, chosen)]
    kept.write_text(json.dumps({"version": SCORES, "weights": mark, "scores": scores}) + "\n")
    return scores


@torch.no_grad()
def _measured(model: Any, recipe: Recipe, sides: Sides, device: str) -> Iterator[dict[str, Any]]:
    names = model.spec.sources
    each = max(1, round(TEST_EXAMPLES / len(sides.test)))
    for cluster, mixer in sides.test.items():
        for example in range(each):
            stems = torch.from_numpy(mixer.example(TEST_SEED, 0, example)).unsqueeze(1)
            mixture = stems.sum(0)
            references = {name: stems[mixer.sources.index(name)] for name in names}
            told = stems[[mixer.sources.index(name) for name in names]]
            heard, ceiling, irm2 = _heard(model, mixture.to(device), told.to(device), recipe.arguments["sample_rate"])
            found = []
            for what, made, metrics in (
                ("", heard, METRICS), ("mixture:", mixture.expand_as(heard), METRICS), ("ceiling:", ceiling, METRICS[:1]),
                ("irm2:", irm2, METRICS[:1]),
            ):  # fmt: skip
                values = measure(
                    references, dict(zip(names, made, strict=True)), recipe.arguments["sample_rate"], mixture=mixture,
                    metrics=metrics, window=None, taps=128, permutation=model.spec.permutation_invariant and not what,
                )  # fmt: skip
                found += [
                    (what + v.source, v.metric, v.value) for v in values if v.value is not None and v.source in names
                ]
            if isinstance(model, TwoStep):
                found += _bound(model, mixture.to(device), told.to(device))
            for source, metric, number in found:
                yield {
                    "cluster": cluster, "example": example, "source": source, "metric": metric, "value": round(number, 3),
                }  # fmt: skip


def _heard(model: Any, mixture: Tensor, told: Tensor, sample_rate: int) -> tuple[Tensor, Tensor, Tensor]:
    """``[C, T]``, ``[S, C, T]`` -> the estimates, the ceiling of the model's own space, the STFT's ideal ratio mask."""
    everything = torch.cat([told, (mixture - told.sum(0))[None]])[None].cpu()
    oracle = build_oracle("irm2", sources=[*model.spec.sources, "the rest"], sample_rate=sample_rate)
    return (
        estimates(model, mixture[None], told[None])[0].float().cpu(),
        own_ceiling(model, mixture[None], told[None])[0].float().cpu(),
        oracle.separate(mixture[None].cpu(), {"references": everything})[0][0, :-1],
    )


def _bound(model: TwoStep, mixture: Tensor, told: Tensor) -> list[tuple[str, str, float]]:
    """Both sides of "latent SI-SDR is at most time-domain SI-SDR" (Tzinis et al. 2020): of the masked latents against the
    targets that step 2 is trained on, and of what the decoder makes of the ones against what it makes of the others."""
    z = model.encode(mixture[None])
    truth = oracle_masks(torch.stack([model.encode(one[None]) for one in told], 1), "softmax") * z.unsqueeze(1)
    made = model.masks(z) * z.unsqueeze(1)
    if model.spec.permutation_invariant:
        orders = [made[:, list(order)] for order in permutations(range(len(told)))]
        made = max(orders, key=lambda ordered: float(latent_si_sdr(truth[0, :, 0], ordered[0, :, 0]).sum()))
    heard, expected = (model.decode(latents, mixture.shape[-1])[0] for latents in (made, truth))
    sides = {
        "latent_si_sdr": latent_si_sdr(truth[0, :, 0], made[0, :, 0]),
        "decoded_si_sdr": latent_si_sdr(expected, heard),
    }
    return [
        (name, metric, float(x)) for metric, xs in sides.items() for name, x in zip(model.spec.sources, xs, strict=True)
    ]


def _judge(claim: Claim, folder: Path, wanted: int) -> Outcome:
    pairs, names, rising = [], [], set()
    for seed in range(wanted):
        sides = [_side(runs, seed, folder, claim) for runs in (claim.first, claim.second)]
        if any(side is None for side in sides):
            continue
        first, second = (side for side in sides if side is not None)
        pairs += [(seed, key, first[key], second[key]) for key in first if key in second]
        names.append(seed)
        for run in (*claim.first, *claim.second):
            if not curve_of(run_folder(run, seed, folder), SMALL[run]).flat:
                rising.add(run)
    if not pairs:
        return Outcome(claim, None, 0, "undecided", "no run of both sides is finished", None)
    differences = [a - b for _, _, a, b in pairs]
    interval = crossed_bootstrap(differences, [str(pair[0]) for pair in pairs], [pair[1][0] for pair in pairs])
    means = (fmean(pair[2] for pair in pairs), fmean(pair[3] for pair in pairs))
    if len(names) < SEEDS:
        verdict: tuple[Verdict, str] = ("undecided", f"{len(names)} of {SEEDS} seeds")
    elif rising:
        verdict = ("undecided", f"still improving at the end: {', '.join(sorted(rising))}")
    else:
        verdict = decided(interval, claim)
    return Outcome(claim, interval, len(names), *verdict, means)


def decided(difference: Interval, claim: Claim) -> tuple[Verdict, str]:
    """What an interval says of a claim.

    >>> decided(Interval(1.0, 0.5, 1.5), CLAIMS[0])
    ('holds', '')
    >>> decided(Interval(0.2, -0.3, 0.7), CLAIMS[0])[0]
    'undecided'
    """
    low, high = sorted((claim.sign * difference.low, claim.sign * difference.high))
    if low > -claim.margin:
        return "holds", ""
    if high < -claim.margin:
        return "does not hold here", ""
    return "undecided", "the interval has both in it"


def _side(runs: Sequence[str], seed: int, folder: Path, claim: Claim) -> dict[tuple[str, int], float] | None:
    """The metric of each test example, the mean over the sources that all runs of a side give together."""
    found: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        kept = run_folder(run, seed, folder) / "scores.json"
        if not kept.exists():
            return None
        for row in json.loads(kept.read_text())["scores"]:
            wanted = row["source"] == claim.source if claim.source else ":" not in row["source"]
            if row["metric"] == claim.metric and wanted:
                found.setdefault((row["cluster"], row["example"]), []).append(row["value"])
    return {key: fmean(values) for key, values in found.items()}


def _part(weights: Path, beginning: str, output: Path) -> Path:
    """The tensors whose names begin so, as a file of their own in `output`."""
    if not weights.exists():
        raise DataError(f"Train {output.name}", f"{weights.parent.name} is not finished", "Train it first")
    output.mkdir(parents=True, exist_ok=True)
    part = {name: tensor for name, tensor in load_file(weights).items() if name.startswith(beginning)}
    path = output / "initial.safetensors"
    save_file(part, path)
    return path


def as_record(outcomes: Sequence[Outcome]) -> list[Mapping[str, Any]]:
    """JSON-able, for the results page."""
    return [{**asdict(outcome), "difference": outcome.difference} for outcome in outcomes]
