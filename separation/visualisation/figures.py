"""Numbers about models -> pictures as Plotly JSON: spread, track x second, one metric against another, paired differences.

Whoever shows a figure draws it with plotly.js. Colours are names of CSS variables (`var(--earshot-…)`) that the page
resolves when it draws, so that one figure serves the light and the dark page. Every figure comes with the table that it
shows, for screen readers, for CSV, and for those who want the number.

Not statistics: medians, intervals and tests are made elsewhere (`separation.evaluation`) and handed in; only the quartiles
of a box are the picture's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly import __version__ as plotly_version
from plotly.offline import get_plotlyjs

Cell = str | float | None

SERIES = 6
"""Colours that a page must have, `--earshot-series-1` and on; chosen to be told apart by the colour-blind."""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
"""A model's mark beside its colour: nothing means anything by colour alone."""

ROW = 30
"""Pixels of height that a model or a track takes."""

_TEXT, _LINE, _DIM = "var(--earshot-text)", "var(--earshot-line)", "var(--earshot-dim)"
_CLEAR = "rgba(0,0,0,0)"


@dataclass(frozen=True)
class Axis:
    """What a number is.

    Args:
        title: the metric's name, as people read it.
        unit: e.g. ``"dB"``; empty if it has none.
        better: which numbers are good ones.
    """

    title: str
    unit: str = ""
    better: Literal["higher", "lower", "neither"] = "higher"

    @property
    def label(self) -> str:
        """The title with its unit.

        >>> Axis("SI-SDR", "dB").label
        'SI-SDR (dB)'
        """
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Figure:
    """A picture and the table behind it.

    Args:
        spec: Plotly's ``data`` and ``layout``, JSON-able.
        label: one sentence on what it shows, for who cannot see it.
        columns: heads of the table.
        rows: its rows; None where there is no number.
    """

    spec: dict[str, Any]
    label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON holds it; the height in pixels is in ``layout``."""
        return {
            **self.spec,
            "label": self.label,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
        }


def distribution(
    values: Mapping[str, Mapping[str, float]],
    axis: Axis,
    *,
    kind: Literal["box", "violin"] = "box",
    lines: Mapping[str, float] = {},
    looks: Mapping[str, int] = {},
) -> Figure:
    """How one number is spread over tracks, a row a model, and every track a dot.

    Args:
        values: model -> track -> value; what has no value is left out before.
        lines: bounds to draw across all rows, by name: oracles and the floor.
        looks: a number a model, for its colour and mark, so that it looks the same in every figure; else its place.
    """
    traces = []
    for place, (model, tracks) in enumerate(values.items()):
        index = looks.get(model, place)
        x, names, colour = list(tracks.values()), [escape(name) for name in tracks], series(index)
        common: dict[str, Any] = {
            "x": x,
            "y": [escape(model)] * len(x),
            "name": escape(model),
            "text": names,
            "orientation": "h",
            "pointpos": 0,
            "jitter": 0.35,
            "marker": {"color": colour, "symbol": symbol(index), "size": 7, "opacity": 0.75},
            "line": {"color": colour, "width": 1.6},
            "fillcolor": _CLEAR,
            "hovertemplate": f"%{{text}}<br>%{{x:.2f}} {escape(axis.unit)}<extra>{escape(model)}</extra>",
        }
        if kind == "box":
            traces.append(go.Box(**common, boxpoints="all", hoveron="points"))
        else:
            traces.append(
                go.Violin(**common, points="all", hoveron="points", meanline={"visible": True}, spanmode="hard")
            )
    figure = go.Figure(traces, layout(height=110 + len(values) * 2 * ROW + 15 * len(lines)))
    figure.update_xaxes(title_text=axis.label)
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    low, high = _ends([*lines.values(), *(value for tracks in values.values() for value in tracks.values())])
    figure.update_xaxes(range=[low, high])  # Plotly's own would make room for the words
    for level, (name, value) in enumerate(sorted(lines.items(), key=lambda line: line[1])):
        figure.add_vline(value, line={"color": _DIM, "width": 1.2, "dash": "dash"})
        figure.add_annotation(
            x=value, y=1, yref="paper", yanchor="bottom", yshift=2 + 15 * level, showarrow=False,
            xanchor="left" if value < (low + high) / 2 else "right", text=f"{escape(name)} {round(value, 1) + 0.0:.1f}",
            font={"size": 12, "color": _DIM},
        )  # fmt: skip
    figure.update_layout(margin_t=16 + 15 * len(lines))
    rows = [(model, track, value) for model, tracks in values.items() for track, value in tracks.items()]
    rows += [(name, "median over tracks", value) for name, value in lines.items()]
    label = f"{axis.label} of {len(values)} models, a {kind} each over tracks"
    return _figure(figure, label, ("model", "track", axis.label), rows)


def track_by_second(
    tracks: Sequence[str],
    starts: Sequence[float],
    values: NDArray[np.floating],
    axis: Axis,
    *,
    duration: float = 1.0,
    reasons: Mapping[tuple[int, int], str] = {},
) -> Figure:
    """A heat map: where, and when, a model is good or bad.

    Args:
        tracks: names of the rows.
        starts: seconds at which the columns start, evenly spaced.
        values: ``[track, second]``; NaN where there is no value.
        duration: seconds that a column covers.
        reasons: why there is no value, by row and column.

    The colours span the 2nd to the 98th percentile: one silent second of -60 dB must not flatten all others.
    """
    assert values.shape == (len(tracks), len(starts))
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 1.0)
    texts = [[_told(values, axis, reasons, row, column) for column in range(len(starts))] for row in range(len(tracks))]
    step = float(np.diff(starts).min()) if len(starts) > 1 else duration
    shown = np.where(np.isfinite(values), values, np.nan)
    heat = go.Heatmap(
        z=[[None if np.isnan(value) else float(value) for value in row] for row in shown],
        x=[start + step / 2 for start in starts],
        y=list(range(len(tracks))),
        dx=step,
        text=texts,
        customdata=[[[escape(name), start] for start in starts] for name in tracks],
        zmin=float(low),
        zmax=float(high if high > low else low + 1),
        colorscale="Viridis",
        reversescale=axis.better == "lower",
        xgap=1,
        ygap=2,
        hoverongaps=True,
        hovertemplate=f"%{{customdata[0]}}<br>second %{{customdata[1]}} to +{duration:g}<br>%{{text}}<extra></extra>",
        colorbar={
            "title": {"text": axis.unit or axis.title, "side": "top", "font": {"size": 12}},
            "thickness": 12, "outlinewidth": 0, "tickfont": {"color": _TEXT}, "x": 1.01, "xpad": 4,
        },
    )  # fmt: skip
    figure = go.Figure(heat, layout(height=96 + ROW * max(2, len(tracks))))
    end = (starts[-1] if len(starts) else 0) + step
    figure.update_xaxes(
        title_text="second", showgrid=False, range=[starts[0] if len(starts) else 0, end], zeroline=False
    )
    figure.update_yaxes(
        autorange=False,
        range=[len(tracks) - 0.5, -0.5],
        tickvals=list(range(len(tracks))),
        ticktext=[escape(_short(name)) for name in tracks],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    figure.update_layout(plot_bgcolor="var(--earshot-raised)", dragmode=False, margin={"r": 56})
    rows = [
        (name, start, None if np.isnan(shown[i, j]) else float(shown[i, j]), reasons.get((i, j), ""))
        for i, name in enumerate(tracks)
        for j, start in enumerate(starts)
    ]
    label = f"{axis.label} of {len(tracks)} tracks by second"
    return _figure(figure, label, ("track", "second", axis.label, "why there is no value"), rows)


def scatter(
    points: Mapping[str, Mapping[str, tuple[float, float]]], across: Axis, up: Axis, *, looks: Mapping[str, int] = {}
) -> Figure:
    """One metric against another: a dot a track, colour and mark a model.

    Args:
        points: model -> track -> (value across, value up).
        looks: as in `distribution`.
    """
    traces = [
        go.Scatter(
            x=[point[0] for point in tracks.values()],
            y=[point[1] for point in tracks.values()],
            text=[escape(name) for name in tracks],
            mode="markers",
            name=escape(model),
            marker={
                "color": series(looks.get(model, place)),
                "symbol": symbol(looks.get(model, place)),
                "size": 9,
                "opacity": 0.85,
            },
            hovertemplate=f"%{{text}}<br>{escape(across.title)} %{{x:.2f}}<br>{escape(up.title)} %{{y:.2f}}"
            f"<extra>{escape(model)}</extra>",
        )
        for place, (model, tracks) in enumerate(points.items())
    ]
    figure = go.Figure(traces, layout(height=380))
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(title_text=across.label)
    figure.update_yaxes(title_text=up.label, automargin=True)
    rows = [(model, track, *point) for model, tracks in points.items() for track, point in tracks.items()]
    label = f"{up.label} against {across.label}, a dot a track"
    return _figure(figure, label, ("model", "track", across.label, up.label), rows)


def differences(
    first: str, second: str, values: Mapping[str, float], axis: Axis, *, looks: Mapping[str, int] = {}
) -> Figure:
    """Two models head to head: a bar a track, sorted, in the colour of the model that is ahead there.

    Args:
        values: track -> value of `first` minus value of `second`.
        looks: as in `distribution`.
    """
    colours = series(looks.get(first, 0)), series(looks.get(second, 1))
    ordered = sorted(values.items(), key=lambda item: item[1])
    ahead = [value <= 0 if axis.better == "lower" else value >= 0 for _, value in ordered]
    bars = go.Bar(
        x=[value for _, value in ordered],
        y=[escape(_short(track)) for track, _ in ordered],
        orientation="h",
        width=0.6,
        marker={
            "color": [colours[0] if first_is else colours[1] for first_is in ahead],
            "pattern": {"shape": ["" if first_is else "/" for first_is in ahead], "fgcolor": "var(--earshot-surface)"},
        },
        hovertemplate=f"%{{y}}<br>%{{x:+.2f}} {escape(axis.unit)}<extra></extra>",
    )
    figure = go.Figure(bars, layout(height=120 + ROW * max(3, len(ordered))))
    unit = f" ({axis.unit})" if axis.unit else ""
    figure.update_xaxes(title_text=f"{escape(first)} minus<br>{escape(second)}{unit}", zerolinecolor=_TEXT)
    figure.update_layout(margin_b=66)
    figure.update_yaxes(showgrid=False, automargin=True, type="category", range=[-0.5, len(ordered) - 0.5])
    label = f"{axis.label}, {first} minus {second}, by track"
    return _figure(figure, label, ("track", f"{first} minus {second}"), ordered)


class Curve(Protocol):
    """Values at rising steps, as `separation.hub.Curve` keeps them; errors are standard errors."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def steps(self) -> Sequence[int]: ...
    @property
    def values(self) -> Sequence[float | None]: ...
    @property
    def errors(self) -> Sequence[float | None] | None: ...


def learning(loss: Curve, validation: Curve, step: int) -> Figure:
    """How a model was trained: the validation above, the loss below, on one axis of steps.

    Args:
        loss: of training; lower is better.
        validation: with a band of one standard error, where there is one.
        step: at which the weights were taken; a dashed line.
    """
    up = Axis(validation.name, validation.unit)
    traces = [_band(validation)] if validation.errors is not None else []
    for curve, axis, colour, marks in ((validation, "y", 0, "lines+markers"), (loss, "y2", 1, "lines")):
        unit = f" {escape(curve.unit)}" if curve.unit else ""
        traces.append(
            go.Scatter(
                x=list(curve.steps), y=list(curve.values), yaxis=axis, mode=marks, name=escape(curve.name),
                line={"color": series(colour), "width": 2}, marker={"size": 6},
                hovertemplate=f"step %{{x}}<br>%{{y:.2f}}{unit}<extra>{escape(curve.name)}</extra>",
            )
        )  # fmt: skip
    figure = go.Figure(traces, layout(height=330))
    axis = figure.layout.yaxis.to_plotly_json()
    title = {"standoff": 6, "font": {"size": 12}}
    figure.update_layout(
        yaxis={**axis, "domain": [0.5, 1], "automargin": True, "title": {**title, "text": escape(up.label)}},
        yaxis2={**axis, "domain": [0, 0.4], "automargin": True, "title": {**title, "text": "training loss"}},
        hovermode="closest",
    )
    figure.update_xaxes(title_text="optimiser step", rangemode="tozero", anchor="y2")
    figure.add_vline(step, line={"color": _DIM, "width": 1.2, "dash": "dash"})
    figure.add_annotation(
        x=step, y=1, yref="paper", yanchor="bottom", showarrow=False, text="these weights",
        xanchor="right", font={"size": 12, "color": _DIM},
    )  # fmt: skip
    figure.update_layout(margin_t=22)
    rows = [(validation.name, at, value) for at, value in zip(validation.steps, validation.values, strict=True)]
    rows += [(loss.name, at, value) for at, value in zip(loss.steps, loss.values, strict=True)]
    label = f"{up.label} on the validation examples and training loss over {max(loss.steps, default=0)} steps"
    return _figure(figure, label, ("curve", "step", "value"), rows)


def curves(runs: Mapping[str, Sequence[Sequence[tuple[int, float]]]], up: Axis) -> Figure:
    """How several models learned: a colour a model, a line a seed.

    Args:
        runs: model -> seed after seed -> (step, value).
        up: what the value is.
    """
    figure = go.Figure(layout=layout(height=380))
    for place, (name, seeds) in enumerate(runs.items()):
        for seed, points in enumerate(seeds):
            figure.add_scatter(
                x=[step for step, _ in points], y=[value for _, value in points], mode="lines+markers",
                name=escape(name), legendgroup=name, showlegend=seed == 0, opacity=1 - 0.25 * seed,
                line={"color": series(place), "width": 2}, marker={"symbol": symbol(place), "size": 6},
                hovertemplate=f"step %{{x}}<br>%{{y:.2f}} {escape(up.unit)}<extra>{escape(name)}, seed {seed}</extra>",
            )  # fmt: skip
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(title_text="optimiser step", rangemode="tozero")
    figure.update_yaxes(title_text=escape(up.label), automargin=True)
    rows = [
        (name, seed, *point)
        for name, seeds in runs.items() for seed, points in enumerate(seeds) for point in points
    ]  # fmt: skip
    return _figure(figure, f"{up.label} by optimiser step", ("model", "seed", "step", up.label), rows)


def equals(figure: Figure) -> Figure:
    """A scatter of two metrics of one unit with the line on which both are equal."""
    spec = go.Figure(figure.spec)
    values = [float(value) for row in figure.rows for value in row[2:4] if isinstance(value, float)]
    ends = list(_ends(values)) if values else [0.0, 1.0]
    spec.add_scatter(x=ends, y=ends, mode="lines", line={"color": _DIM, "dash": "dash", "width": 1.2}, name="equal")
    return Figure(spec.to_plotly_json(), figure.label, figure.columns, figure.rows)


def _band(curve: Curve) -> "go.Scatter":
    """One standard error to each side, as a filled outline."""
    there = [
        (step, value, error)
        for step, value, error in zip(curve.steps, curve.values, curve.errors or (), strict=True)
        if value is not None and error is not None
    ]
    return go.Scatter(
        x=[step for step, _, _ in there] + [step for step, _, _ in reversed(there)],
        y=[value + error for _, value, error in there] + [value - error for _, value, error in reversed(there)],
        fill="toself", fillcolor=series(0), opacity=0.18, line={"width": 0}, mode="lines", hoverinfo="skip",
    )  # fmt: skip


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """An axis that holds all values, with a little room."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def layout(height: int) -> go.Layout:
    """What all figures have in common: the page's colours by name, no legend, thin axes; `height` in pixels."""
    axis = {
        "color": _TEXT,
        "gridcolor": _LINE,
        "linecolor": _LINE,
        "zerolinecolor": _LINE,
        "tickfont": {"color": _TEXT},
    }
    return go.Layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 16, "t": 16, "b": 48},
        paper_bgcolor="var(--earshot-surface)",
        plot_bgcolor="var(--earshot-surface)",
        font={"color": _TEXT, "size": 13},
        showlegend=False,
        xaxis=axis,
        yaxis=axis,
        hoverlabel={"bgcolor": "var(--earshot-surface)", "bordercolor": _LINE, "font": {"color": _TEXT}},
    )


def _figure(figure: "go.Figure", label: str, columns: tuple[str, ...], rows: Sequence[tuple[Cell, ...]]) -> Figure:
    return Figure(figure.to_plotly_json(), label, columns, tuple(rows))


def series(index: int) -> str:
    """The page's colour of a model by its number."""
    return f"var(--earshot-series-{index % SERIES + 1})"


def symbol(index: int) -> str:
    """The mark of a model by its number; together with its colour no two of the first 36 are alike."""
    return SYMBOLS[(index + index // SERIES) % len(SYMBOLS)]


def _told(
    values: NDArray[np.floating], axis: Axis, reasons: Mapping[tuple[int, int], str], row: int, column: int
) -> str:
    value = float(values[row, column])
    if np.isfinite(value):
        return f"{value:.2f} {escape(axis.unit)}".strip()
    if np.isinf(value):
        return "infinite"
    return f"no value: {escape(reasons[row, column])}" if (row, column) in reasons else "no value"


def _short(name: str, longest: int = 26) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def plotly_script() -> tuple[bytes, str]:
    """plotly.js as the Python package brings it, and the package's version: what draws these figures.

    Gradio's own copy is of another major version than what Python's Plotly writes for.
    """
    return get_plotlyjs().encode(), plotly_version
