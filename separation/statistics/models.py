"""Models of ratings: systems, items and listeners at once.

`mixed_model` and `ordinal_model` are what reviewers ask for. Their p-values are for large samples; with the ten or twenty
listeners of a test they are a little too sure, so the tests in `differences` lead and a notice is due where they disagree.
`two_way_bootstrap` answers what neither does: would it be so with other listeners and other music?
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

from separation.statistics.intervals import Interval
from separation.statistics.ratings import AT_ONCE, Numbers, Ratings, expanded_tails, ratio

DRAWS = 10_000
MOST_POINTS = 20
"""Points of a scale up to which it is taken for ordinal."""
FARTHEST = 15.0
"""Log-odds beyond which an effect is no number any more but a sign that there is no end to it."""


@dataclass(frozen=True)
class Wald:
    """A joint test that some coefficients are all zero.

    Args:
        statistic: Wald's.
        freedom: how many coefficients.
        p: of chi-square (`mixed_model`) or of F with the listeners that are left (`ordinal_model`).
    """

    statistic: float
    freedom: int
    p: float


@dataclass(frozen=True)
class MixedModel:
    """What ``rating ~ system * item + (1 | listener)`` says.

    Args:
        formula: what was fitted.
        means: estimated mean of each condition with every item equal, and its interval; NaN for a condition without ratings.
        systems, interaction: whether systems differ, and whether they differ otherwise on other items. Where the second is
            sure, a mean over items hides something. None where it cannot be asked.
        listener_deviation, taste_deviation, residual_deviation: standard deviations between listeners, of one listener's
            taste for systems (None where it is not in the model) and of the rest, in the scale's unit.
        converged: as the optimiser says. If not, nothing else here is to be used.
        messages: what it said on the way, and what was left out.
        ratings, listeners: how many.
        label: what to print beside the numbers.
    """

    formula: str
    means: tuple[Interval, ...]
    systems: Wald | None
    interaction: Wald | None
    listener_deviation: float
    taste_deviation: float | None
    residual_deviation: float
    converged: bool
    messages: tuple[str, ...]
    ratings: int
    listeners: int
    label: str = "large-sample (Wald) tests"


@dataclass(frozen=True)
class OrdinalModel:
    """What a cumulative-link model says of an ordered scale.

    Args:
        effects: of each condition against the mean of all in the model, in log-odds of a better answer, with its interval; NaN
            for those that are not in it.
        systems: whether systems differ.
        converged, messages, ratings, listeners, label: as `MixedModel`.
    """

    effects: tuple[Interval, ...]
    systems: Wald | None
    converged: bool
    messages: tuple[str, ...]
    ratings: int
    listeners: int
    label: str = "errors clustered by listener (sandwich), large-sample"


@dataclass(frozen=True)
class TwoWay:
    """Means and differences that hold for other listeners and other items.

    Args:
        means: of each condition with its interval; NaN for one without ratings.
        differences: of each pair a < b, mean of a − b over the listeners and items where both were rated, with its interval.
        listeners, items: how many were drawn from.
    """

    means: tuple[Interval, ...]
    differences: dict[tuple[int, int], Interval]
    listeners: int
    items: int


def mixed_model(ratings: Ratings, *, slopes: bool = True, confidence: float = 0.95) -> MixedModel:
    """Fit ``rating ~ system * item + (1 | listener)`` by restricted maximum likelihood.

    Laird and Ware, Biometrics 38, 1982, as in statsmodels' `MixedLM`. Items are fixed: the answer is about these items
    (`two_way_bootstrap` is about others). Without ratings in every cell of systems and items, or with one item, there is no
    interaction in the model, and `messages` says so.

    Args:
        slopes: let every listener like every system a little more or less, ``(1 | listener:system)``, where that can be told
            from the residual (several items) and the fit converges. Without it, a taste that several listeners happen to share
            passes for a difference of systems.

    Raises:
        ValueError: fewer than two conditions or two listeners have ratings, or there are too few, or too equal ones, for a fit.
    """
    design = _Design.of(ratings)
    if np.ptp(ratings.values) == 0:
        raise ValueError(f"all ratings are {ratings.values[0]:g}: there is nothing to fit")
    said: tuple[str, ...] = ()
    if slopes and len(np.unique(ratings.item)) > 1:
        try:
            found = _fit_mixed(ratings, design, True, confidence)
        except np.linalg.LinAlgError as error:
            said = (f"no fit with (1 | listener:system): {error}",)
        else:
            if found.converged:
                return found
            said = ("no fit with (1 | listener:system): " + "; ".join(found.messages),)
    try:
        plain = _fit_mixed(ratings, design, False, confidence)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"{len(ratings.values)} ratings have no mixed model ({error}): too few, or too equal"
        ) from error
    return replace(plain, messages=(*said, *plain.messages))


def _fit_mixed(ratings: Ratings, design: "_Design", slopes: bool, confidence: float) -> MixedModel:
    people = np.unique(ratings.listener)
    tastes = None
    if slopes:
        shown = np.eye(ratings.conditions)[:, design.conditions]
        names = [[str(k) for k in design.conditions]] * len(people)
        tastes = VCSpec(
            ["listener:system"], [names], [[shown[ratings.condition[ratings.listener == k]] for k in people]]
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MixedLM(
            ratings.values,
            design.columns,
            groups=ratings.listener,
            exog_re=np.ones(len(ratings.values)),
            exog_vc=tastes,
        )
        fit = model.fit(reml=True, method=["bfgs", "powell"])
    said = sorted({str(warning.message) for warning in caught})
    fixed, covariance = np.asarray(fit.fe_params), np.asarray(fit.cov_params())
    covariance = covariance[: len(fixed), : len(fixed)]
    usable = bool(np.isfinite(fixed).all() and np.isfinite(covariance).all()) and not any(
        "is singular" in s for s in said
    )
    formula = "rating ~ system * item" if design.of_interaction else "rating ~ system + item"
    return MixedModel(
        formula=formula + " + (1 | listener)" + (" + (1 | listener:system)" if slopes else ""),
        means=design.means(fixed, covariance, ratings.conditions, stats.norm.ppf((1 + confidence) / 2)),
        systems=_wald(fixed, covariance, design.of_systems),
        interaction=_wald(fixed, covariance, design.of_interaction),
        listener_deviation=float(np.sqrt(max(float(np.asarray(fit.cov_re)[0, 0]), 0.0))),
        taste_deviation=float(np.sqrt(max(float(fit.vcomp[0]), 0.0))) if slopes else None,
        residual_deviation=float(np.sqrt(fit.scale)),
        converged=bool(fit.converged) and usable,
        messages=(*design.messages, *said),
        ratings=len(ratings.values),
        listeners=len(people),
    )


def ordinal_model(ratings: Ratings, *, confidence: float = 0.95) -> OrdinalModel:
    """Fit a cumulative-link (proportional-odds) model ``answer ~ system + item`` with errors clustered by listener.

    McCullagh, JRSS B 42, 1980; the covariance is Liang and Zeger's (1986) sandwich over listeners with the usual small-sample
    factor; intervals use t, and the joint test Hotelling's F, with as many degrees of freedom as listeners leave. A condition
    that always got the best answer, or always the worst, is infinitely far from the others: it is left out, and `messages`
    says so.

    Raises:
        ValueError: fewer than two conditions or two listeners have ratings (that are not left out), the scale has more than
            `MOST_POINTS` points (use `mixed_model`), all answers are the same, or there are too few.
    """
    points = len(np.unique(ratings.values))
    if not 2 <= points <= MOST_POINTS:
        raise ValueError(f"{points} different answers: an ordinal model wants 2 to {MOST_POINTS}")
    used, said = _without_ends(ratings)
    design = _Design.of(used, crossed=False)
    people = np.unique(used.listener, return_inverse=True)[1]
    listeners = int(people.max()) + 1
    columns = design.columns[:, 1:]  # the thresholds are its constant
    coefficients = columns.shape[1] + len(np.unique(used.values)) - 1
    if len(used.values) <= coefficients:
        raise ValueError(f"{len(used.values)} answers for {coefficients} coefficients: too few")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = OrderedModel(np.unique(used.values, return_inverse=True)[1], columns, distr="logit")
        fit = model.fit(method="bfgs", disp=0, maxiter=500, cov_type="cluster", cov_kwds={"groups": people})
    said += sorted({str(warning.message) for warning in caught})
    count = columns.shape[1]
    fixed, covariance = np.asarray(fit.params)[:count], np.asarray(fit.cov_params())[:count, :count]
    usable = bool(np.isfinite(fixed).all() and np.isfinite(covariance).all())
    if usable and np.abs(fixed).max() > FARTHEST:
        usable = False
        said.append(
            f"an effect of {np.abs(fixed).max():.0f} log-odds: some answers can be told from the system or item alone"
        )
    reach = stats.t.ppf((1 + confidence) / 2, listeners - 1)
    return OrdinalModel(
        effects=design.means(fixed, covariance, ratings.conditions, reach, constant=False),
        systems=_wald(fixed, covariance, [k - 1 for k in design.of_systems], listeners),
        converged=bool(fit.mle_retvals["converged"]) and usable,
        messages=tuple(said),
        ratings=len(used.values),
        listeners=listeners,
    )


def _without_ends(ratings: Ratings) -> tuple[Ratings, list[str]]:
    """Without conditions whose answers are all the best or all the worst one, as long as two others stay."""
    ends = {float(ratings.values.min()): "worst", float(ratings.values.max()): "best"}
    said = []
    for condition in np.unique(ratings.condition):
        answers = np.unique(ratings.values[ratings.condition == condition])
        if len(answers) == 1 and float(answers[0]) in ends:
            said.append(f"condition {condition} always got the {ends[float(answers[0])]} answer and is left out")
            ratings = ratings.where(ratings.condition != condition)
    if len(np.unique(ratings.values)) < 2:
        raise ValueError("all answers to the conditions that are left are the same")
    return ratings, said


@dataclass(frozen=True)
class _Design:
    """Deviation-coded columns: constant, systems, items, and their products.

    Args:
        columns: ``[rating, coefficient]``.
        marginal: ``[condition, coefficient]``: a condition's mean with every item equal.
        conditions: codes of the rows of `marginal`.
        of_systems, of_interaction: which coefficients.
    """

    columns: Numbers
    marginal: Numbers
    conditions: NDArray[np.int64]
    of_systems: list[int]
    of_interaction: list[int]
    messages: tuple[str, ...]

    @classmethod
    def of(cls, ratings: Ratings, *, crossed: bool = True) -> "_Design":
        conditions, system = np.unique(ratings.condition, return_inverse=True)
        items, item = np.unique(ratings.item, return_inverse=True)
        people = len(np.unique(ratings.listener))
        if len(conditions) < 2 or people < 2:
            raise ValueError(f"{len(conditions)} conditions by {people} listeners: two of each are needed")
        systems, songs = _deviations(len(conditions)), _deviations(len(items))
        full = len(np.unique(system * len(items) + item)) == len(conditions) * len(items)
        crossed, wanted = crossed and full and len(items) > 1, crossed
        parts = [np.ones((len(system), 1)), systems[system], songs[item]]
        if crossed:
            parts.append((systems[system][:, :, None] * songs[item][:, None, :]).reshape(len(system), -1))
        columns = np.concatenate(parts, 1)
        marginal = np.zeros((len(conditions), columns.shape[1]))
        marginal[:, 0] = 1.0
        first = len(conditions)  # where the items' columns begin: one constant, one column less than there are systems
        marginal[:, 1:first] = systems
        messages = (
            ()
            if crossed or not wanted
            else ("no interaction in the model: not every system has every item, or one item",)
        )
        return cls(
            columns,
            marginal,
            conditions,
            list(range(1, first)),
            list(range(first + len(items) - 1, columns.shape[1])),
            messages,
        )

    def means(
        self, fixed: Numbers, covariance: Numbers, conditions: int, reach: float, *, constant: bool = True
    ) -> tuple[Interval, ...]:
        """Each condition's mean and `reach` standard errors around it; NaN for conditions that are not in the model."""
        found = [Interval(math.nan, math.nan, math.nan)] * conditions
        rows = self.marginal if constant else self.marginal[:, 1:]
        for k, row in zip(self.conditions, rows, strict=True):
            variance = float(row @ covariance @ row)
            middle, error = float(row @ fixed), math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan
            found[k] = Interval(middle, middle - float(reach) * error, middle + float(reach) * error)
        return tuple(found)


def _deviations(count: int) -> Numbers:
    """``[count, count - 1]``: each level as its deviation from the mean of all."""
    return np.concatenate([np.eye(count - 1), -np.ones((1, count - 1))])


def _wald(fixed: Numbers, covariance: Numbers, which: Sequence[int], clusters: int | None = None) -> Wald | None:
    """Joint test; with a covariance from few `clusters`, Hotelling's F of it; None where there is nothing to test, or with."""
    freedom = len(which)
    if not which or not np.isfinite(covariance).all() or (clusters is not None and clusters <= freedom):
        return None
    chosen = np.ix_(list(which), list(which))
    part = fixed[list(which)]
    statistic = float(part @ np.linalg.pinv(covariance[chosen], hermitian=True) @ part)
    if clusters is None:
        return Wald(statistic, freedom, float(stats.chi2.sf(statistic, freedom)))
    scaled = statistic * (clusters - freedom) / (freedom * (clusters - 1))
    return Wald(statistic, freedom, float(stats.f.sf(scaled, freedom, clusters - freedom)))


def two_way_bootstrap(ratings: Ratings, *, draws: int = DRAWS, confidence: float = 0.95, seed: int = 0) -> TwoWay:
    """Means and differences of conditions with listeners and items drawn at once.

    Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2), 2007, as `crossed_bootstrap`, of the means of cells
    (repeats averaged), with `expanded_tails` for whichever are fewer. The intervals are on the safe side: those of few items
    are wide, because few items say little about others. With one listener, or one item, only the other is drawn.
    """
    cells = ratings.cells()
    heard = np.isfinite(cells)
    cells = cells[heard.any((1, 2))][:, :, heard.any((0, 1))]
    listeners, conditions, items = cells.shape
    if not cells.size:
        return TwoWay((), {}, 0, 0)
    pairs = list(combinations(range(conditions), 2))
    columns = [cells[:, k] for k in range(conditions)] + [cells[:, a] - cells[:, b] for a, b in pairs]
    table = np.stack(columns)  # [what, listener, item]
    known = np.isfinite(table)
    filled = np.where(known, table, 0.0)
    drawn = _two_way_draws(filled, known.astype(np.float64), draws, np.random.default_rng(seed))
    count = known.sum((1, 2))
    means = ratio(filled.sum((1, 2)), count)
    fewest = min((count for count in (listeners, items) if count > 1), default=0)
    tails = expanded_tails(fewest, confidence) if fewest else (0.5, 0.5)
    intervals = []
    for mean, column in zip(means, drawn.T, strict=True):
        usable = column[np.isfinite(column)]
        certain = fewest and len(usable) >= 0.95 * draws
        low, high = np.quantile(usable, tails) if certain else (np.nan, np.nan)
        intervals.append(Interval(float(mean), float(low), float(high)))
    return TwoWay(
        tuple(intervals[:conditions]), dict(zip(pairs, intervals[conditions:], strict=True)), listeners, items
    )


def _two_way_draws(filled: Numbers, known: Numbers, draws: int, rng: np.random.Generator) -> Numbers:
    """Weighted means ``[draw, what]``; NaN where a draw misses every cell."""
    what, listeners, items = filled.shape
    flat = [np.moveaxis(array, 1, 0).reshape(listeners, what * items) for array in (filled, known)]
    together = max(1, AT_ONCE // (what * items))
    parts = []
    for start in range(0, draws, together):
        size = min(together, draws - start)
        people = rng.multinomial(listeners, np.full(listeners, 1 / listeners), size=size).astype(np.float64)
        songs = rng.multinomial(items, np.full(items, 1 / items), size=size).astype(np.float64)
        total, weight = (((people @ x).reshape(size, what, items) @ songs[:, :, None])[..., 0] for x in flat)
        parts.append(ratio(total, weight))
    return np.concatenate(parts)
