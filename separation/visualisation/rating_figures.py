"""Pictures of ratings, as people put them in papers: boxes, violins, means with intervals, and a forest of differences.

One `Chart` says what is shown, and is drawn twice: by Plotly for the page (`interactive`), by Matplotlib for paper (`picture`:
SVG, PDF or PNG). Means, intervals and tests are made elsewhere and handed in; only the quartiles of a box are the picture's
own, as BS.1534-3 takes them. Nothing is said by colour alone: every row has its name and its own mark.
"""

import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import plotly.graph_objects as go

from separation.statistics import quartiles
from separation.visualisation.figures import ROW, Axis, Cell, Figure, layout, series, symbol

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ChartKind = Literal["box", "violin", "interval", "forest"]
FORMATS = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
"""What `picture` draws, with media types."""

INK, FAINT = "#1a1e28", "#8a92a1"
COLOURS = ("#0072b2", "#d55e00", "#008a64", "#a6478a", "#8a6600", "#5a5d66")
"""The page's series colours on paper."""
MARKS = ("o", "s", "D", "^", "P", "*")
"""The page's marks, as Matplotlib calls them."""
WIDTH, DPI = 6.3, 300
"""Inches of a text column, and dots an inch of a PNG."""
_NEUTRAL = "#5a5d66"
_DRAWING = threading.Lock()
"""Matplotlib's settings and fonts are the whole process's: one picture at a time."""


@dataclass(frozen=True)
class Row:
    """One row of a chart.

    Args:
        name: as people read it.
        values: single ratings, for boxes and violins, and as dots behind intervals.
        point, low, high: a mean or difference with its interval; None where there is none.
        systematic: False for references and anchors, which are drawn in grey.
        note: in words, beside a forest's row, e.g. ``p = 0.03``.
    """

    name: str
    values: tuple[float, ...] = ()
    point: float | None = None
    low: float | None = None
    high: float | None = None
    systematic: bool = True
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """What a picture shows.

    Args:
        kind: ``box``, ``violin`` (ratings), ``interval`` (means) or ``forest`` (differences, with a line at zero).
        title: what it is, one line.
        axis: what the numbers are.
        rows: from the top.
        ends: of the scale; None: as the numbers say.
        bands: words of equal parts of the scale, from the lowest up.
    """

    kind: ChartKind
    title: str
    axis: Axis
    rows: tuple[Row, ...]
    ends: tuple[float, float] | None = None
    bands: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """One sentence on what it shows, for who cannot see it."""
        what = {
            "box": "box plots of ratings",
            "violin": "violin plots of ratings",
            "interval": "means with 95 % intervals",
            "forest": "differences with 95 % intervals",
        }[self.kind]
        return f"{self.title}: {what}, {self.axis.label}, {len(self.rows)} rows"

    def limits(self) -> tuple[float, float]:
        """Ends of the axis of numbers, with room for a mark at either end."""
        numbers = [x for row in self.rows for x in (*row.values, row.point, row.low, row.high) if x is not None]
        low, high = self.ends or (min(numbers, default=0.0), max(numbers, default=1.0))
        if self.kind == "forest":
            low, high = min(low, 0.0), max(high, 0.0)
        room = 0.03 * ((high - low) or 1.0)
        return low - room, high + room


def interactive(chart: Chart) -> Figure:
    """The chart for the page, with the table behind it."""
    traces: list[Any] = []
    for place, row in enumerate(chart.rows):
        traces += _traces(chart, row, place)
    figure = go.Figure(
        traces, layout(height=96 + len(chart.rows) * (2 if chart.kind in ("box", "violin") else 1) * ROW)
    )
    low, high = chart.limits()
    figure.update_xaxes(title_text=escape(chart.axis.label), range=[low, high])
    names = [escape(row.name) for row in chart.rows]
    figure.update_yaxes(
        automargin=True, showgrid=False, zeroline=False, tickvals=list(range(len(names))), ticktext=names,
        range=[len(names) - 0.4, -0.6],
    )  # fmt: skip
    if chart.kind == "forest":
        figure.add_vline(0, line={"color": "var(--earshot-text)", "width": 1})
    for edge in _edges(chart)[1:-1]:
        figure.add_vline(edge, line={"color": "var(--earshot-line)", "width": 1, "dash": "dot"}, layer="below")
    return Figure(figure.to_plotly_json(), chart.label, *_table(chart))


def picture(chart: Chart, format: Literal["svg", "pdf", "png"] = "svg") -> bytes:
    """The chart for paper, black on white, one text column wide. The same chart gives the same bytes.

    Raises:
        ValueError: there is no such format.
    """
    if format not in FORMATS:
        raise ValueError(f"pictures are {', '.join(FORMATS)}, not {format}")
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    look: Any = {
        "svg.hashsalt": "earshot", "svg.fonttype": "none", "pdf.fonttype": 42, "font.family": "sans-serif", "font.size": 9,
        "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    }  # fmt: skip
    with _DRAWING, matplotlib.rc_context(look):
        canvas = Canvas(figsize=(WIDTH, 0.75 + 0.3 * max(2, len(chart.rows))), layout="constrained")
        axes = canvas.add_subplot()
        _draw(chart, axes)
        stream = io.BytesIO()
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
        canvas.savefig(stream, format=format, dpi=DPI, metadata=dates[format])
    return stream.getvalue()


def inline_svg(chart: Chart, identity: str) -> str:
    """The picture as an ``<svg>`` element for a page that holds several.

    Args:
        identity: unlike that of every other picture of the page; letters, digits and hyphens.
    """
    text = picture(chart).decode()
    text = text[text.index("<svg") :]
    for mark in ('id="', 'href="#', "url(#"):
        text = text.replace(mark, f"{mark}{identity}-")
    label = f'<svg role="img" aria-label="{escape(chart.label)}"'
    return text.replace("<svg", label, 1).strip()


# Plotly


def _traces(chart: Chart, row: Row, place: int) -> list[Any]:
    colour = series(place) if row.systematic else "var(--earshot-dim)"
    name, unit = escape(row.name), escape(chart.axis.unit)
    if chart.kind in ("box", "violin"):
        if not row.values:
            return []
        common: dict[str, Any] = {
            "x": list(row.values), "y0": place, "name": name, "orientation": "h", "pointpos": 0, "jitter": 0.5,
            "marker": {"color": colour, "symbol": symbol(place), "size": 5, "opacity": 0.5},
            "line": {"color": colour, "width": 1.6}, "fillcolor": "rgba(0,0,0,0)", "hoveron": "points",
            "hovertemplate": f"%{{x:g}} {unit}<extra>{name}</extra>",
        }  # fmt: skip
        if chart.kind == "box":
            return [go.Box(**common, boxpoints="all", quartilemethod="inclusive")]
        return [go.Violin(**common, points="all", meanline={"visible": True}, spanmode="hard")]
    if row.point is None:
        return []
    error = None
    if row.low is not None and row.high is not None:
        error = {
            "type": "data", "symmetric": False, "array": [row.high - row.point], "arrayminus": [row.point - row.low],
            "color": colour, "thickness": 2, "width": 5,
        }  # fmt: skip
    told = f"%{{x:.2f}} {unit}" + (f" [{row.low:.2f}, {row.high:.2f}]" if error else "") + f"<br>{escape(row.note)}"
    return [
        go.Scatter(
            x=[row.point], y=[place], error_x=error, mode="markers", name=name,
            marker={"color": colour, "symbol": symbol(place), "size": 10},
            hovertemplate=f"{told}<extra>{name}</extra>",
        )
    ]  # fmt: skip


def _table(chart: Chart) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:
    if chart.kind in ("box", "violin"):
        columns = ("condition", "ratings", "lowest", "first quartile", "median", "third quartile", "highest")
        rows: list[tuple[Cell, ...]] = []
        for row in chart.rows:
            numbers: Sequence[float | None] = [None] * 5
            if row.values:
                first, third = quartiles(row.values)
                numbers = [min(row.values), first, float(np.median(row.values)), third, max(row.values)]
            rows.append((row.name, len(row.values), *numbers))
        return columns, tuple(rows)
    head = "difference" if chart.kind == "forest" else "mean"
    return ("condition" if head == "mean" else "pair", head, "low", "high", "note"), tuple(
        (row.name, row.point, row.low, row.high, row.note) for row in chart.rows
    )


# Matplotlib


def _draw(chart: Chart, axes: "Axes") -> None:
    for edge in _edges(chart)[1:-1]:
        axes.axvline(edge, color=FAINT, lw=0.5, ls=":", zorder=0)
    if chart.kind == "forest":
        axes.axvline(0, color=INK, lw=0.8, zorder=0)
    for place, row in enumerate(chart.rows):
        colour = COLOURS[place % len(COLOURS)] if row.systematic else _NEUTRAL
        if chart.kind in ("box", "violin"):
            if row.values:
                (_draw_box if chart.kind == "box" else _draw_violin)(axes, row, place, colour)
        elif row.point is not None:
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place, place], color=colour, lw=1.6, solid_capstyle="butt")
            axes.plot([row.point], [place], MARKS[place % len(MARKS)], color=colour, ms=5)
            if row.note:
                axes.annotate(
                    row.note, (1.0, place), xycoords=("axes fraction", "data"), xytext=(4, 0), color=INK, fontsize=7.5,
                    textcoords="offset points", va="center", annotation_clip=False,
                )  # fmt: skip
    axes.set_yticks(range(len(chart.rows)), [row.name for row in chart.rows])
    axes.set_ylim(len(chart.rows) - 0.4, -0.6)
    axes.set_xlim(*chart.limits())
    axes.set_xlabel(chart.axis.label)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    edges = _edges(chart)
    for word, left, right in zip(chart.bands, edges, edges[1:], strict=False):
        axes.annotate(
            word, ((left + right) / 2, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2), fontsize=7.5, color=INK,
            textcoords="offset points", ha="center", annotation_clip=False,
        )  # fmt: skip


def _draw_box(axes: "Axes", row: Row, place: int, colour: str) -> None:
    values = np.array(row.values)
    first, third = quartiles(values)
    reach = 1.5 * (third - first)
    inside = values[(values >= first - reach) & (values <= third + reach)]
    box = {
        "med": float(np.median(values)), "q1": first, "q3": third, "whislo": float(inside.min()),
        "whishi": float(inside.max()), "fliers": values[(values < first - reach) | (values > third + reach)],
    }  # fmt: skip
    line = {"color": colour, "lw": 1.2}
    axes.bxp(
        [box], positions=[place], widths=0.5, orientation="horizontal", manage_ticks=False, boxprops=line,
        medianprops={"color": colour, "lw": 2.4}, whiskerprops=line, capprops=line,
        flierprops={"marker": MARKS[place % len(MARKS)], "ms": 3.5, "mec": colour, "mfc": "none"},
    )  # fmt: skip


def _draw_violin(axes: "Axes", row: Row, place: int, colour: str) -> None:
    values = np.array(row.values)
    if len(values) > 1 and np.ptp(values) > 0:
        body = axes.violinplot([values], positions=[place], widths=0.8, orientation="horizontal", showextrema=False)
        for part in _bodies(body):
            part.set(facecolor=colour, edgecolor=colour, alpha=0.35)
    axes.plot(quartiles(values), [place, place], color=colour, lw=2.4, solid_capstyle="butt")
    axes.plot([np.median(values)], [place], MARKS[place % len(MARKS)], color=colour, ms=5, mec="white", mew=0.6)


def _bodies(parts: Mapping[str, Any]) -> Sequence[Any]:
    bodies: Sequence[Any] = parts["bodies"]
    return bodies


def _edges(chart: Chart) -> list[float]:
    """Where the scale's bands begin and end."""
    if not chart.bands or chart.ends is None:
        return []
    return [float(edge) for edge in np.linspace(*chart.ends, len(chart.bands) + 1)]
