"""The report of a study, as HTML in one file and as Markdown: findings, pictures, who was left out, and how it was made.

Both are the same list of blocks, written twice. Everything that somebody needs to do it again is named: the study's hash, every
rule with its numbers, every anchor and gain, versions and seeds. It computes nothing; `analysis` did.
"""

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from separation import __version__
from separation.listening.findings import Analysis, Judged, Pair, Span
from separation.listening.plans import Plan
from separation.listening.prepared import Prepared
from separation.listening.study import Study, items_of, words
from separation.statistics import FEWEST
from separation.visualisation.figures import Axis
from separation.visualisation.rating_figures import Chart, Row, inline_svg, picture

PACKAGES = ("numpy", "scipy", "statsmodels", "krippendorff", "matplotlib")
BANDS = ("Bad", "Poor", "Fair", "Good", "Excellent")
ATTRIBUTES = {
    "overall": "overall quality",
    "target": "target preserved",
    "others": "other sounds suppressed",
    "artefacts": "no artefacts",
    "sig": "SIG, the signal",
    "bak": "BAK, the background",
    "ovrl": "OVRL, overall",
}
KINDS = {"t": "t", "studentised": "studentised", "bca": "BCa", "percentile": "percentile"}
"""Intervals as people call them."""
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1a1e28; background: #fff; max-width: 68rem; margin: 0 auto; padding: 2rem 1rem; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.5em; border-top: 1px solid #e4e7ed; padding-top: 1em; }
.table { overflow-x: auto; margin: 1em 0; } table { border-collapse: collapse; font-size: .9em; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .7em; border-bottom: 1px solid #e4e7ed; text-align: right; vertical-align: top; white-space: nowrap; }
.words { white-space: normal; min-width: 6rem; }
th:first-child, td:first-child, td.words, th.words { text-align: left; } th { border-bottom-color: #8a92a1; }
figure { margin: 1.5em 0; } figure svg { width: 100%; height: auto; max-width: 42rem; } figcaption { color: #586071; font-size: .9em; }
.notice { border-left: 4px solid #d55e00; background: #fff6f0; padding: .5em 1em; margin: .7em 0; } code { font-size: .9em; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""  # noqa: E501


@dataclass(frozen=True)
class Heading:
    level: Literal[1, 2, 3]
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str
    notice: bool = False


@dataclass(frozen=True)
class Bullets:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    name: str
    chart: Chart


Block = Heading | Paragraph | Bullets | Table | Picture


def html(study: Study, analysis: Analysis, *, prepared: Prepared | None = None, plan: Plan | None = None) -> str:
    """The report as one HTML file, pictures inside. Arguments as for `blocks`."""
    made = list(blocks(study, analysis, prepared=prepared, plan=plan))
    title = escape(f"{analysis.title}: report")
    body = "\n".join(_html(block) for block in made)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def markdown(
    study: Study,
    analysis: Analysis,
    *,
    prepared: Prepared | None = None,
    plan: Plan | None = None,
    figures: str | None = None,
) -> str:
    """The report as Markdown. Arguments as for `blocks`.

    Args:
        figures: folder of the pictures as the file sees it; None: without pictures, which are tables anyway.
    """
    texts = (_markdown(block, figures) for block in blocks(study, analysis, prepared=prepared, plan=plan))
    return "\n\n".join(text for text in texts if text) + "\n"


def write_report(
    folder: Path, study: Study, analysis: Analysis, *, prepared: Prepared | None = None, plan: Plan | None = None
) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``analysis.json`` and ``figures/*.{svg,pdf,png}`` into `folder`; their paths."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.html": html(study, analysis, prepared=prepared, plan=plan),
        "report.md": markdown(study, analysis, prepared=prepared, plan=plan, figures="figures"),
        "analysis.json": json.dumps(analysis.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    written = []
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    for judged in analysis.questions:
        for name, chart in charts(judged).items():
            for format in ("svg", "pdf", "png"):
                path = figures / f"{_name(judged, name)}.{format}"
                path.write_bytes(picture(chart, format))
                written.append(path)
    return written


def charts(judged: Judged) -> dict[str, Chart]:
    """The pictures of a question: ``box``, ``violin``, ``interval`` and ``forest`` of grades, ``strength`` of votes."""
    title = heading_of(judged)
    made: dict[str, Chart] = {}
    if judged.lines:
        bands = BANDS if judged.kind in ("mushra", "scale") else ()
        axis = Axis(judged.scale, better="lower" if judged.better == "lower" else "higher")
        ends = judged.lowest, judged.highest
        spread = tuple(Row(line.label, values=line.values, systematic=line.role == "system") for line in judged.lines)
        means = tuple(
            Row(line.label, point=line.mean, low=line.low, high=line.high, systematic=line.role == "system")
            for line in judged.lines
        )
        made["box"] = Chart("box", title, axis, spread, ends, bands)
        made["violin"] = Chart("violin", title, axis, spread, ends, bands)
        made["interval"] = Chart("interval", title, axis, means, ends, bands)
    if judged.pairs:
        names = labels_of(judged)
        rows = tuple(
            Row(
                f"{names[pair.a]} − {names[pair.b]}",
                point=pair.difference.value,
                low=pair.difference.low,
                high=pair.difference.high,
                note="" if pair.p_holm is None else _is(pair.p_holm),
            )
            for pair in judged.pairs
        )
        made["forest"] = Chart("forest", title, Axis(f"difference, {judged.scale}"), rows)
    if judged.votes is not None and judged.votes.ranking:
        rows = tuple(
            Row(
                one.label,
                point=one.strength.value,
                low=one.strength.low,
                high=one.strength.high,
                note=_ranks(one.best, one.worst),
            )
            for one in judged.votes.ranking
        )
        made["strength"] = Chart("forest", title, Axis("strength, log odds against the mean"), rows)
    return made


def heading_of(judged: Judged) -> str:
    """What was asked, in a line."""
    attribute = ATTRIBUTES.get(judged.attribute, judged.attribute)
    return f"{judged.title} ({judged.kind}, {attribute})"


def labels_of(judged: Judged) -> dict[str, str]:
    """Conditions as people call them."""
    return {line.condition: line.label for line in judged.lines}


def blocks(
    study: Study, analysis: Analysis, *, prepared: Prepared | None = None, plan: Plan | None = None
) -> Iterator[Block]:
    """The report as a list of blocks.

    Args:
        study, analysis: what was asked and what was found.
        prepared: the study's audio, for gains, anchors and versions.
        plan: for its seed and slots.
    """
    yield Heading(1, analysis.title)
    yield Paragraph(
        f"{analysis.kept} of {analysis.listeners} listeners count. Study {analysis.study}, hash {analysis.hash[:12]}; "
        f"analysed by Earshot {__version__}, seed {analysis.seed}."
    )
    for warning in analysis.warnings:
        yield Paragraph(warning, notice=True)
    for judged in analysis.questions:
        yield from _question(judged)
    yield from _screening(analysis)
    yield from _made(study, prepared, plan)
    yield from _method(analysis)


# A question


def _question(judged: Judged) -> Iterator[Block]:
    yield Heading(2, heading_of(judged))
    yield Paragraph(
        f"{judged.listeners} listeners, {judged.trials} trials, {judged.answers} answers. Scale: {judged.scale}."
    )
    if judged.interaction:
        yield Paragraph(judged.interaction, notice=True)
    for caution in judged.cautions:
        yield Paragraph(caution, notice=True)
    drawn = charts(judged)
    if judged.lines:
        yield from _lines(judged)
    for name in ("box", "interval"):
        if name in drawn:
            yield Picture(_name(judged, name), drawn[name])
    if judged.pairs:
        yield from _pairs(judged)
        yield Picture(_name(judged, "forest"), drawn["forest"])
    yield from _votes(judged)
    if "strength" in drawn:
        yield Picture(_name(judged, "strength"), drawn["strength"])
    yield from _told(judged)
    yield from _reliability(judged)
    if len({line.item for line in judged.cells}) > 1:
        yield Heading(3, "By item")
        yield Table(
            ("item", "condition", "ratings", "median", "Q1 to Q3", "mean", "95 % by t"),
            tuple(
                (
                    line.item,
                    line.label,
                    str(line.ratings),
                    _n(line.median),
                    f"{_n(line.q1)} to {_n(line.q3)}",
                    _n(line.mean),
                    _ends(line),
                )
                for line in judged.cells
            ),
        )
    yield from _beside(judged)


def _lines(judged: Judged) -> Iterator[Block]:
    head = ("condition", "listeners", "ratings", "median", "Q1 to Q3", "mean", "95 % by t", "studentised", "BCa", "sd")
    yield Table(
        head,
        tuple(
            (
                line.label,
                str(line.listeners),
                str(line.ratings),
                _n(line.median),
                f"{_n(line.q1)} to {_n(line.q3)}",
                _n(line.mean),
                _ends(line),
                _ends(line.studentised),
                _ends(line.bca),
                _n(line.deviation),
            )
            for line in judged.lines
        ),
    )
    yield Paragraph(
        "Medians and quartiles are over ratings; means, intervals and sd over listeners' means. Quartiles are medians of "
        "halves (BS.1534-3)."
    )
    if judged.coverage:
        told = ", ".join(
            f"{KINDS[one.kind]} {100 * one.share:.1f} % (± {200 * one.error:.1f})" for one in judged.coverage
        )
        yield Paragraph(
            f"With so few listeners intervals are worth what simulation says, not 95 %: {told}. The t interval leads.",
            notice=True,
        )


def _pairs(judged: Judged) -> Iterator[Block]:
    names = labels_of(judged)
    yield Heading(3, "Differences")
    yield Paragraph(
        f"Family: {judged.family}, {len(judged.pairs)} in all, declared before. Main test: paired sign-flip permutation of "
        "listeners' means, corrected by Holm."
        + ("" if judged.friedman is None else f" Friedman's test over all conditions: {_is(judged.friedman)}.")
        + (
            ""
            if all(pair.wilcoxon for pair in judged.pairs)
            else f" Below {FEWEST} listeners Wilcoxon's test has no p."
        )
    )
    head = (
        "pair",
        "listeners",
        "difference",
        "95 % by t",
        "p",
        "p, Holm",
        "other songs, 95 %",
        "Wilcoxon, Holm",
        "BS.1534-3",
        "effect",
    )
    yield Table(head, tuple(_pair(pair, names) for pair in judged.pairs))
    for pair in judged.pairs:
        if pair.notice:
            yield Paragraph(f"{names[pair.a]} and {names[pair.b]}: {pair.notice}.", notice=True)
    if judged.power is not None:
        power = judged.power
        yield Paragraph(
            f"What this many could see: with {power.listeners} listeners and a deviation of {power.deviation:.2g} of paired "
            f"differences, {power.smallest_80:.3g} with 80 % chance and {power.smallest_90:.3g} with 90 %; "
            f"{power.reference:g} would need {power.needed} listeners. "
            "A difference that was not found may be there if it is smaller."
        )
    for model in judged.models:
        said = [f"systems {_is(model.systems)}"] if model.systems is not None else []
        said += [f"system × item {_is(model.interaction)}"] if model.interaction is not None else []
        yield Paragraph(f"Second opinion, {model.formula}: {', '.join(said) or 'no test'}. {model.note}.")
        yield Table(
            ("condition", "estimate", "95 %"), tuple((term.label, _n(term.value), _ends(term)) for term in model.terms)
        )


def _pair(pair: Pair, names: Mapping[str, str]) -> tuple[str, ...]:
    return (
        f"{names[pair.a]} − {names[pair.b]}",
        str(pair.listeners),
        _n(pair.difference.value),
        _ends(pair.difference),
        _p(pair.p),
        _p(pair.p_holm),
        _ends(pair.songs),
        _p(pair.wilcoxon_holm),
        _p(pair.bs1534),
        _n(pair.effect, 2),
    )


def _votes(judged: Judged) -> Iterator[Block]:
    votes = judged.votes
    if votes is None:
        return
    yield Heading(3, "Ranking from pairs")
    yield Paragraph(
        f"{votes.votes} votes, {votes.ties} of them ties; {votes.both_bad} times both were called bad, which is no vote for "
        "either. Bradley-Terry with ties (Davidson)"
        + (" and a side" if votes.side else "")
        + "; intervals over listeners."
    )
    if votes.ranking:
        yield Table(
            ("condition", "strength", "95 %", "rank", "wins", "losses", "ties"),
            tuple(
                (
                    one.label,
                    _n(one.strength.value, 2),
                    _ends(one.strength, 2),
                    _ranks(one.best, one.worst),
                    str(one.wins),
                    str(one.losses),
                    str(one.ties),
                )
                for one in votes.ranking
            ),
        )
    if votes.side is not None:
        yield Paragraph(
            f"Left or first one beyond its quality: {_n(votes.side.value, 2)} log odds, 95 % {_ends(votes.side, 2)}."
        )


def _told(judged: Judged) -> Iterator[Block]:
    if judged.told:
        yield Heading(3, "Told apart")
        yield Table(
            ("pair", "listeners", "correct", "share", "95 %", "p, exact binomial"),
            tuple(
                (
                    f"{one.condition} and {one.other}",
                    str(one.listeners),
                    f"{one.correct} of {one.trials}",
                    _n(one.share.value, 2),
                    _ends(one.share, 2),
                    _p(one.p),
                )
                for one in judged.told
            ),
        )


def _reliability(judged: Judged) -> Iterator[Block]:
    told = judged.agreement
    if told is None:
        return
    yield Heading(3, "Agreement and reliability")
    if told.alpha is None:
        alpha = (
            "Krippendorff's alpha cannot be computed: too few things were judged by several, or all answers are alike."
        )
    else:
        alpha = f"Krippendorff's alpha ({told.level}): {_n(told.alpha, 2)}" + (
            "." if told.low is None or told.high is None else f", 95 % {_n(told.low, 2)} to {_n(told.high, 2)}."
        )
    again = "Nothing was asked twice."
    if told.retest_pairs:
        again = (
            f"{told.retest_pairs} answers were given twice by {told.retest_listeners} listeners: "
            f"{_n(told.retest_difference, 2)} apart on average, correlation {_n(told.retest_correlation, 2)}. "
            "Repeats are in no mean."
        )
    yield Paragraph(f"{alpha} {again}")


def _beside(judged: Judged) -> Iterator[Block]:
    if judged.correlations:
        yield Heading(3, "Beside objective metrics")
        yield Table(
            ("metric", "item and condition", "Spearman", "95 %", "Kendall", "95 %", "within items", "95 %"),
            tuple(
                (
                    one.metric,
                    str(one.cells),
                    _value(one.spearman),
                    _ends(one.spearman, 2),
                    _value(one.kendall),
                    _ends(one.kendall, 2),
                    _value(one.within),
                    _ends(one.within, 2),
                )
                for one in judged.correlations
            ),
        )
    if judged.marks:
        yield Heading(3, "Marked regions")
        yield Table(
            ("condition", "mark", "times", "listeners", "seconds", "metric", "inside", "outside"),
            tuple(
                (
                    one.condition,
                    one.label,
                    str(one.count),
                    str(one.listeners),
                    _n(one.seconds),
                    one.metric,
                    _n(one.inside, 2),
                    _n(one.outside, 2),
                )
                for one in judged.marks
            ),
        )
    if judged.outliers:
        yield Heading(3, "Grades far from the others")
        yield Paragraph(
            "Outside Q1 − 1.5 IQR to Q3 + 1.5 IQR of their condition and item. All of them are in every figure above: look "
            "for the cause, and remove only what is a proven error (BS.1534-3)."
        )
        yield Table(
            ("listener", "item", "condition", "grade", "usual"),
            tuple(
                (one.listener, one.item, one.condition, _n(one.value), f"{_n(one.low)} to {_n(one.high)}")
                for one in judged.outliers
            ),
        )
    if judged.texts:
        yield Heading(3, "In words")
        yield Bullets(tuple(f"{about}: {text}" for about, text in judged.texts))


# How it was made


def _screening(analysis: Analysis) -> Iterator[Block]:
    found = analysis.screening
    yield Heading(2, "Screening")
    if not found["said"]:
        yield Paragraph("No rule: every listener counts.")
        return
    yield Table(
        ("rule", "leaves out", "alone", "listeners"),
        tuple(
            (rule, said, str(analysis.alone.get(rule, 0)), ", ".join(found["per_rule"][rule]) or "nobody")
            for rule, said in found["said"].items()
        ),
    )
    yield Paragraph("Every rule looks at everybody's answers, so their order does not matter. Nothing is deleted.")
    notes = [f"{rule}: {note}" for rule, given in found["guards"].items() for note in given]
    if notes:
        yield Bullets(tuple(notes))
    if found["excluded"]:
        yield Table(("listener", "why"), tuple((who, "; ".join(reasons)) for who, reasons in found["excluded"].items()))


def _made(study: Study, prepared: Prepared | None, plan: Plan | None) -> Iterator[Block]:
    yield Heading(2, "How the test was made")
    versions = prepared.versions if prepared is not None else {}
    yield Table(
        ("system", "what", "version"),
        tuple(
            (system.label or system.id, system.model or "files", versions.get(system.id, "not recorded"))
            for system in study.systems
        ),
    )
    if study.anchors:
        said = prepared.anchors if prepared is not None else {}
        yield Table(
            ("anchor", "kind", "how it was made"),
            tuple((anchor.id, anchor.kind, said.get(anchor.id) or _numbers(anchor)) for anchor in study.anchors),
        )
    yield Table(
        ("question", "kind", "asked", "items", "open references", "switching"),
        tuple(
            (
                question.id,
                question.kind,
                words(question.title, study.languages[0]) or "the default text",
                str(len(items_of(study, question))),
                ", ".join(question.references) or "none",
                question.switching,
            )
            for question in study.questions
        ),
    )
    assignment = study.assignment
    yield Paragraph(
        f"Assignment: {assignment.design}, planned for {assignment.listeners} listeners, {100 * assignment.repeats:g} % "
        f"repeated; seed {study.seed if plan is None else plan.seed}."
        + ("" if plan is None else f" {len(plan.slots)} orders, of study {plan.hash[:12]}.")
    )
    loudness = {
        "target": "matched to the target component by least squares",
        "bs1770": "matched by BS.1770",
        "none": "as produced",
    }[study.loudness]
    if prepared is None:
        yield Paragraph(f"Loudness: {loudness}. The gains were not handed to this report.")
        return
    yield Paragraph(f"Loudness: {loudness}; one common gain of {prepared.gain_db:.2f} dB against clipping.")
    yield Table(
        ("item", "condition", "gain, dB", "LUFS", "lag, samples", "bandwidth, Hz", "flags", "SHA-256"),
        tuple(
            (
                one.item,
                one.condition,
                f"{one.gain_db:+.2f}",
                "–" if one.lufs is None else f"{one.lufs:.1f}",
                str(one.lag),
                f"{one.bandwidth_hz:.0f}",
                "; ".join(one.flags),
                one.sha256[:12],
            )
            for one in prepared.stimuli
        ),
    )


def _numbers(anchor: object) -> str:
    names = ("cut_hz", "level_db", "share")
    said = [f"{name} {value:g}" for name in names if (value := getattr(anchor, name)) is not None]
    return ", ".join(said) or "by its kind"


def _method(analysis: Analysis) -> Iterator[Block]:
    yield Heading(2, "How it was computed")
    yield Bullets(
        (
            "The listener is the unit: every interval and test works on one mean a listener; bootstraps draw listeners.",
            "Main test: paired sign-flip permutation, exact up to 16 listeners, else 10,000 draws or as many as were asked "
            "for; Holm's correction over the declared family.",
            "Beside it: Wilcoxon's signed ranks with Holm, the permutation of pooled scores of BS.1534-3 (attachment 3), "
            "Friedman, a mixed model by restricted maximum likelihood (large-sample), for scales of five words an ordinal "
            "model with errors clustered by listener.",
            "Other songs: listeners and songs are both drawn (Owen's pigeonhole bootstrap), on the safe side.",
            "Rules of the standards are implemented as others quote them; check the standards before claiming to follow them.",
        )
    )
    yield Table(
        ("what", "version or seed"),
        (
            ("Earshot", __version__),
            ("Python", platform.python_version()),
            *((name, version(name)) for name in PACKAGES),
            ("seed of the analysis", str(analysis.seed)),
            ("study, SHA-256", analysis.hash),
        ),
    )


# Words and numbers


def _name(judged: Judged, chart: str) -> str:
    return f"{judged.question}-{judged.attribute}-{chart}"


def _n(value: float | None, digits: int = 1) -> str:
    """A number with a true minus and no minus zero; – for none."""
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _value(span: Span | None) -> str:
    return "–" if span is None else _n(span.value, 2)


def _p(value: float | None) -> str:
    """A p-value for a table."""
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _is(value: float) -> str:
    """A p-value in a sentence."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _ends(span: object, digits: int = 1) -> str:
    """The interval of a `Span`, `Line` or `Term`."""
    low, high = (getattr(span, name, None) for name in ("low", "high"))
    return "–" if low is None or high is None else f"{_n(low, digits)} to {_n(high, digits)}"


def _ranks(best: int, worst: int) -> str:
    return str(best) if best == worst else f"{best} to {worst}"


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p{' class=notice' if block.notice else ''}>{escape(block.text)}</p>"
    if isinstance(block, Bullets):
        return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in block.texts) + "</ul>"
    if isinstance(block, Picture):
        caption = f"<figcaption>{escape(block.chart.label)}</figcaption>"
        return f"<figure>{inline_svg(block.chart, block.name)}{caption}</figure>"
    wordy = [_wordy(block, column) for column in range(len(block.head))]
    return (
        '<div class="table" tabindex="0"><table><thead><tr>'
        + _cells("th", block.head, wordy)
        + "</tr></thead><tbody>"
        + "".join(f"<tr>{_cells('td', row, wordy)}</tr>" for row in block.rows)
        + "</tbody></table></div>"
    )


def _cells(tag: str, texts: Iterable[str], wordy: Sequence[bool]) -> str:
    return "".join(
        f"<{tag}{' class=words' if words else ''}>{escape(text)}</{tag}>"
        for text, words in zip(texts, wordy, strict=True)
    )


def _wordy(table: Table, column: int) -> bool:
    """Whether a column holds words, which stand on the left."""
    return any(row[column][:1].isalpha() for row in table.rows)


def _markdown(block: Block, figures: str | None) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_safe(block.text)}"
    if isinstance(block, Paragraph):
        return f"> **Note.** {_safe(block.text)}" if block.notice else _safe(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {_safe(text)}" for text in block.texts)
    if isinstance(block, Picture):
        return "" if figures is None else f"![{_safe(block.chart.label)}]({figures}/{block.name}.svg)"
    rows = [block.head, tuple("---" for _ in block.head), *block.rows]
    return "\n".join("| " + " | ".join(_safe(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def _safe(text: str) -> str:
    """One line that Markdown takes as it is: what listeners write is no markup."""
    line = " ".join(text.split())
    for mark in "\\`*_[]<>#":
        line = line.replace(mark, f"\\{mark}")
    return line
