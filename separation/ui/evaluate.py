"""The Evaluate page: choose models, recordings and a protocol, press Run, and see where and why models fail.

The page only makes a run and hands its id to the browser (`figures/evaluate.js`), which follows it, ranks, draws and plays.
So a run outlives the tab, and a reload finds it again by ``?run=ID``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from separation.errors import JobError
from separation.evaluation import PROTOCOLS
from separation.ui.frame import DEFAULT_MODEL, Services, quiet, spoken, step, with_toasts
from separation.ui.measuring import EXAMPLES, ORACLE, UPLOAD, Measuring

STYLE = Path(__file__).parent / "figures" / "evaluate.css"

_MARKUP = Path(__file__).parent / "figures" / "evaluate.html"
_SCRIPT = """
const root = new URL("./", document.baseURI);
const script = import(new URL("earshot/evaluate/evaluate.js", root));
const page = script.then(({ Evaluation }) => new Evaluation(element, root));
page.catch(() => {
  const text = "This page's script could not be loaded. Check the connection and load the page again.";
  element.querySelector(".run-empty").textContent = text;
});
watch("value", () => props.value && page.then((evaluation) => evaluation.open(props.value)));
"""
_BOUNDS = (f"{ORACLE}mixture", f"{ORACLE}irm2")
"""Ticked at the start: a number means little without the floor below and a bound above it."""

_ON_BOUNDS = (
    "Bounds are no models. The floor is what a separator scores that does nothing; an ideal mask is told the true sources, and "
    "shows how far its kind of masking can go."
)

_MOST_TRACKS = 200


class EvaluatePage:
    """The page's components and what happens between them.

    Args:
        services: what every page works with.
        measuring: the runs, and what may be measured.
    """

    def __init__(self, services: Services, measuring: Measuring) -> None:
        self._services = services
        self._measuring = measuring

    # What is on the page

    def build(self, page: gr.Blocks) -> None:
        """Put the components into `page`, which is being built."""
        with gr.Row(elem_classes=["earshot-steps"], equal_height=True):
            with gr.Column(scale=5, min_width=300, elem_classes=["earshot-card"]):
                step(1, "Choose models")
                models, more = self._model_controls()
            with gr.Column(scale=6, min_width=320, elem_classes=["earshot-card"]):
                step(2, "Choose recordings and rules")
                data, upload, protocol, about, tracks = self._data_controls()
                with gr.Column(elem_classes=["earshot-go", "earshot-plain"]):
                    button = gr.Button("Run", variant="primary", size="lg", elem_id="earshot-run")
                    estimate = gr.HTML(
                        elem_id="earshot-run-estimate", elem_classes=["earshot-plain"], apply_default_css=False
                    )
        result = gr.HTML(
            "",
            html_template=_MARKUP.read_text(encoding="utf-8"),
            js_on_load=_SCRIPT,
            apply_default_css=False,
            elem_classes=["earshot-plain", "earshot-evaluation"],
        )
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        told = [models, data, protocol, tracks]
        more.submit(self.add_model, [more, models], [models, more], **private).success(
            self.tell_estimate, told, estimate, **private
        )
        data.change(lambda chosen: gr.update(visible=chosen == UPLOAD), data, upload, **private)
        protocol.change(self.tell_protocol, protocol, about, **private)
        for part in (models, data, protocol, tracks):
            part.change(self.tell_estimate, told, estimate, **private)
        page.load(self.tell_estimate, told, estimate, **private)
        button.click(
            self.start,
            [models, more, data, upload, protocol, tracks],
            result,
            api_visibility="private",
            show_progress_on=button,
        )
        self._interface()

    def _model_controls(self) -> tuple[gr.CheckboxGroup, gr.Textbox]:
        choices = self._measuring.models()
        names = [name for _, name in choices]
        bundled = [name for name in names if not name.startswith(ORACLE)]
        first = [DEFAULT_MODEL] if DEFAULT_MODEL in bundled else bundled[:1]
        ticked = [name for name in (*first, *_BOUNDS) if name in names]
        models = gr.CheckboxGroup(choices, value=ticked, label="Models and bounds", elem_id="earshot-run-models")
        gr.HTML(quiet(_ON_BOUNDS), apply_default_css=False, elem_classes=["earshot-plain"])
        more = gr.Textbox(
            label="Add a model from the Hub",
            placeholder="owner/name, then Enter",
            max_lines=1,
            elem_id="earshot-run-more",
        )
        return models, more

    def _data_controls(self) -> tuple[gr.Radio, gr.File, gr.Radio, gr.HTML, gr.Number]:
        offers = [(offer.title, key) for key, offer in self._measuring.offers.items()]
        choices = [("The bundled examples", EXAMPLES), *offers, ("Your own recordings", UPLOAD)]
        data = gr.Radio(choices, value=EXAMPLES, label="Recordings", elem_id="earshot-run-data")
        upload = gr.File(
            label="A zip of folders, one a track, each with a file a stem: TRACK/vocals.wav, TRACK/accompaniment.wav",
            file_types=[".zip"],
            visible=False,
            height=132,
            elem_id="earshot-run-upload",
        )
        first = next(iter(PROTOCOLS))
        named = [(protocol.title, name) for name, protocol in PROTOCOLS.items()]
        protocol = gr.Radio(named, value=first, label="Protocol", elem_id="earshot-run-protocol")
        about = gr.HTML(
            quiet(PROTOCOLS[first].about),
            apply_default_css=False,
            elem_classes=["earshot-plain"],
            elem_id="earshot-run-about",
        )
        tracks = gr.Number(
            20, label="Tracks, at most", minimum=1, maximum=_MOST_TRACKS, precision=0, elem_id="earshot-run-tracks"
        )
        return data, upload, protocol, about, tracks

    # What happens on the page

    @with_toasts
    def add_model(self, name: str, ticked: Sequence[str]) -> tuple[Any, str]:
        """A repository of the Hub joins the choice, ticked."""
        name = name.strip()
        if not name:
            return gr.skip(), ""
        self._measuring.check_model(name)
        choices = self._measuring.models()
        known = [one for _, one in choices]
        added = [one for one in (*ticked, name) if one not in known]
        choices += [(one, one) for one in dict.fromkeys(added)]
        return gr.update(choices=choices, value=list(dict.fromkeys([*ticked, name]))), ""

    def tell_protocol(self, protocol: str) -> str:
        """What a protocol does, in words."""
        return quiet(PROTOCOLS[protocol].about)

    @with_toasts
    def tell_estimate(self, models: Sequence[str], data: str, protocol: str, tracks: float | None) -> str:
        """What the button will take, in words."""
        if not models:
            return quiet("Tick at least one model.")
        limit = _limit(tracks)
        seconds = self._measuring.estimate(len(models), data, protocol, limit)
        if seconds is None:
            return quiet("The time left shows as soon as the first track is measured.")
        count = min(self._measuring.track_count(data) or 0, limit)
        what = f"{len(models)} {'model' if len(models) == 1 else 'models'} on {count} {'track' if count == 1 else 'tracks'}"
        return quiet(f"{what}: about {spoken(seconds)} on this machine. You may close the page meanwhile.")

    @with_toasts
    def start(
        self, models: Sequence[str], more: str, data: str, upload: str | None, protocol: str, tracks: float | None
    ) -> str:
        """Queue a run; returns its id, with which the browser goes on. A name still in the field counts as ticked."""
        named = [*models, *filter(None, [(more or "").strip()])]
        file = None if upload is None else Path(upload)
        return self._measuring.create(named, data, protocol, tracks=_limit(tracks), upload=file).id

    # The HTTP interface

    def _interface(self) -> None:
        """An endpoint for `gradio_client`, with hidden components that give its types."""
        models, protocol = gr.JSON(visible=False), gr.Textbox(next(iter(PROTOCOLS)), visible=False)
        upload, answer = gr.File(visible=False), gr.JSON(visible=False)
        gr.Button(visible=False).click(self.evaluate, [models, protocol, upload], answer, api_name="evaluate")

    @with_toasts
    def evaluate(
        self, models: list[str] | None = None, protocol: str = "sisec", file: str | None = None
    ) -> dict[str, Any]:
        """Measure models on the examples, or on a zip of TRACK/STEM.wav: where to follow the run and fetch its table."""
        if models is not None and not all(isinstance(name, str) for name in models):
            raise JobError("Measure models", "the models are not a list of names", 'Send a list such as ["vocals"]')
        upload = None if file is None else Path(file)
        data = EXAMPLES if upload is None else UPLOAD
        run = self._measuring.create(models or [DEFAULT_MODEL, *_BOUNDS], data, protocol, upload=upload)
        base = f"earshot/runs/{run.id}"
        return {"run": run.id, "state": base, "csv": f"{base}/table.csv", "parquet": f"{base}/table.parquet"}


def _limit(tracks: float | None) -> int:
    """Tracks to measure at most, whatever was typed."""
    return max(1, min(int(tracks or _MOST_TRACKS), _MOST_TRACKS))
