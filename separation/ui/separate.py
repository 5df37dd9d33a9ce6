"""The Separate page: choose audio, see and hear it, choose what to hear, press one button.

Whatever is chosen becomes a draft, which the page's first player shows; `recording.js` adds which part of it the visitor
wants. The button makes a job and hands its id to the second player, which does all watching, playing and downloading. Functions
with names are also the HTTP interface (`/separate`, `/models`, `/estimate`); all others are private to the page.
"""

import json
import math
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from gradio.utils import get_upload_folder

from separation.audio import AudioInfo, export, open_reader, probe
from separation.engine.jobs import Job, Request
from separation.engine.mixes import Mix
from separation.engine.options import Options
from separation.engine.pitches import VOICES
from separation.engine.references import check_told
from separation.engine.workers import PREVIEW, PREVIEW_FROM
from separation.errors import AudioError, JobError, SeparationError
from separation.hub import Card
from separation.models import ORACLES, oracle_name
from separation.ui import gpu
from separation.ui.examples import Example, cards, credits_list, read_examples
from separation.ui.frame import DEFAULT_MODEL, Services, clock, quiet, spoken, step, with_toasts
from separation.ui.reference_routes import wanted
from separation.ui.voices import VoiceControls

VOCALS = "vocals"
"""The source that karaoke leaves out."""

ORACLE = "irm2"
"""The ideal mask that a mixture of stems is offered beside the models: the bound of all that share out a spectrogram."""

_SCRIPT = Path(__file__).with_name("page.js")
_RECORDING_SCRIPT = Path(__file__).with_name("recording.js")
_MIXING_SCRIPT = Path(__file__).with_name("mixing.js")

_RECORDING = f"""
<div class="earshot-recording">
  <earshot-player draft=""></earshot-player>
  <div class="earshot-part" role="group" aria-label="What to separate"
    data-preview="{PREVIEW:g}" data-preview-from="{PREVIEW_FROM:g}">
    <label class="earshot-pick"><input type="radio" name="earshot-part" value="everything" checked>Everything</label>
    <label class="earshot-pick"><input type="radio" name="earshot-part" value="selection" disabled>Only the selection</label>
    <span class="earshot-times">
      <label>From<input name="from" type="text" autocomplete="off" placeholder="0:00" size="7"></label>
      <label>to<input name="to" type="text" autocomplete="off" placeholder="end" size="7"></label>
      <button type="button" class="earshot-clear" disabled aria-label="Clear the selection" title="Clear">×</button>
    </span>
    <p class="earshot-tip" role="status" data-text="@tip">@tip</p>
  </div>
</div>
""".replace("@tip", "Drag over the waveform to select a part, or type its times.")

_RESULT = """
<section class="earshot-result" aria-label="Result" hidden>
  <earshot-player></earshot-player>
  <earshot-references></earshot-references>
  <earshot-views></earshot-views>
  <earshot-rating></earshot-rating>
  <div class="earshot-after">
    <div class="earshot-share">
      <label>Link to this separation<input type="text" readonly></label>
      <button type="button" class="earshot-button earshot-copy">Copy link</button>
    </div>
    <p class="earshot-note" role="status"></p>
  </div>
</section>
<div class="earshot-below">
  <section aria-label="What happens to my upload">
    <h2>What happens to my upload?</h2>
    <p class="earshot-quiet">@upload</p>
    <details class="earshot-credits"><summary>Who made the examples?</summary>@credits</details>
  </section>
  <section class="earshot-earlier" aria-label="My earlier separations" hidden>
    <h2>My earlier separations</h2>
    <ul></ul>
  </section>
  <earshot-my-ratings></earshot-my-ratings>
</div>
"""

_PICK = """
element.addEventListener("click", (event) => {
  const card = event.target.closest("[data-example]");
  if (!card) return;
  props.value = card.dataset.example;
  trigger("select", { id: card.dataset.example });
});
"""


@dataclass(frozen=True)
class Chosen:
    """The recording that the button would separate.

    Args:
        path: where it is.
        info: what is known of it.
        name: what it is called on the page and in downloads.
        example: id of the bundled example that it is, or an empty text.
        references: true sources by name.
        about: a sentence on it, or an empty text.
        draft: id of what the page shows of it before it is separated, or an empty text.
        mixed: it is a mixture of stems, whose id is the draft's.
    """

    path: Path
    info: AudioInfo
    name: str
    example: str = ""
    references: dict[str, Path] = field(default_factory=dict)
    about: str = ""
    draft: str = ""
    mixed: bool = False


@dataclass(frozen=True)
class Part:
    """What of a recording is to be separated.

    Args:
        begin, end: seconds; None for the recording's own.
        preview_at: seconds in the recording that the preview is laid around; None for no preview.
    """

    begin: float | None = None
    end: float | None = None
    preview_at: float | None = None

    @classmethod
    def read(cls, said: str | None, chosen: Chosen) -> "Part":
        """What `recording.js` says of the chosen recording; of another one it counts for nothing.

        Raises:
            JobError: the part does not lie inside the recording.
        """
        fields = json.loads(said or "{}")
        if fields.get("draft") != chosen.draft:
            fields = {}
        begin, end, at = (_seconds(fields.get(name)) for name in ("begin", "end", "preview_at"))
        duration = chosen.info.duration
        # The length of a compressed file is a claim until it has been read: its real end may lie behind the claimed one.
        limit = duration if chosen.info.exact else math.inf
        start, stop = begin or 0.0, duration if end is None else min(end, limit)
        if not 0 <= start < stop:
            raise JobError(
                f"Separate {chosen.name} from {start:g} s to {stop:g} s",
                f"the recording lasts {duration:.2f} s",
                "Select a part inside the recording, or choose Everything",
            )
        return cls(begin or None, None if end is None else stop, (start + stop) / 2 if at is None else at)

    def duration(self, chosen: Chosen) -> float:
        """Seconds that are to be separated."""
        return (chosen.info.duration if self.end is None else self.end) - (self.begin or 0.0)


class SeparatePage:
    """The page's components and what happens between them.

    Args:
        services: what it works with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._examples = {example.id: example for example in read_examples(services.examples)}
        self._cards = services.bundled()
        self._voices = VoiceControls(services)
        # On ZeroGPU the GPU is there only inside this call; everywhere else it is an ordinary function.
        self._on_gpu = gpu.with_gpu(self._gpu_seconds)(self._run_here)

    # What is on the page

    def build(self, page: gr.Blocks) -> None:
        """Put the components into `page`, which is being built."""
        first = next(iter(self._examples.values()), None)
        # When a visitor has been gone for an hour, so is what was chosen and not separated.
        chosen = gr.State(None if first is None else self._from_example(first), delete_callback=self._drop)
        with gr.Row(elem_classes=["earshot-steps"], equal_height=True):
            with gr.Column(scale=7, min_width=320, elem_classes=["earshot-card"]):
                step(1, "Choose audio")
                examples, file, microphone, mixer, summary, recording = self._audio_controls(first)
            with gr.Column(scale=5, min_width=320, elem_classes=["earshot-card"]):
                step(2, "Choose what to hear")
                model, about, sources, karaoke = self._model_controls(first)
                singing, tracks = self._voices.build()
                with gr.Accordion("More settings", open=False, elem_classes=["earshot-more"]):
                    band, consistency, device = self._settings_controls()
                with gr.Column(elem_classes=["earshot-go", "earshot-plain"]):
                    button = gr.Button("Separate", variant="primary", size="lg", elem_id="earshot-separate")
                    estimate = gr.HTML(
                        elem_id="earshot-estimate", elem_classes=["earshot-plain"], apply_default_css=False
                    )
        result = self._result()

        shown = [chosen, examples, summary, recording]
        told = [chosen, model, device, recording]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        for event, handler, source, others in (
            (file.upload, self.take_file, file, [microphone, mixer]),
            (microphone.stop_recording, self.take_recording, microphone, [file, mixer]),
        ):
            took = event(handler, [chosen, source], [*shown, *others], **private)
            took.success(self.tell_estimate, told, estimate, **private)
            took.failure(lambda: None, None, source, **private)
        mixer.select(
            self.take_mix, [chosen, mixer], [*shown, file, microphone], trigger_mode="always_last", **private
        ).success(self.tell_estimate, told, estimate, **private)
        summary.change(self.offer_models, [chosen, model], model, **private)  # whatever was chosen, and however
        gr.on([file.clear, microphone.clear], self.forget, [chosen], shown, **private)
        # Two quick changes of the part are two events, and the last one counts.
        recording.select(self.tell_estimate, told, estimate, trigger_mode="always_last", **private)
        examples.select(self.take_example, [chosen], [*shown, file, microphone, mixer, model], **private).success(
            self.tell_estimate, told, estimate, **private
        )
        model.change(self.tell_model, [model, chosen], [about, sources, karaoke], **private).success(
            self.tell_estimate, told, estimate, **private
        )
        for event in (model.change, summary.change):
            event(self.tell_voices, [model, chosen, singing.voices], list(singing), **private)
        tracks.upload(self.take_tracks, [chosen, model, tracks], list(singing), **private)
        device.change(self.tell_estimate, told, estimate, **private)
        karaoke.click(self.all_but_vocals, model, sources, **private)
        clicked = button.click(
            self.start,
            [chosen, model, sources, recording, band, consistency, device, mixer, singing.voices],
            result,
            api_visibility="private",
            show_progress_on=button,
            # A visitor faster than the network sends ticks of the model before, which Gradio would refuse: `start` checks.
            preprocess=False,
        )
        if gpu.zero_gpu():
            clicked.success(self._on_gpu, result, None, **private)
        asked = gr.Textbox(visible=False)
        page.load(
            self.open_model, asked, model, js="() => new URLSearchParams(location.search).get('model') ?? ''", **private
        ).success(self.tell_estimate, told, estimate, **private)
        self._interface()

    def _audio_controls(self, first: Example | None) -> tuple[gr.HTML, gr.File, gr.Audio, gr.HTML, gr.HTML, gr.HTML]:
        settings = self._services.settings
        with gr.Tabs(elem_classes=["earshot-tabs"]):
            with gr.Tab("Your file"):
                limits = f"Any audio or video file up to {_size(settings.max_upload_mb)} and {settings.max_minutes:g} minutes"
                file = gr.File(label=limits, show_label=False, elem_id="earshot-file", height=132)
                gr.HTML(quiet(f"{limits}."), apply_default_css=False, elem_classes=["earshot-plain"])
            with gr.Tab("Microphone"):
                microphone = gr.Audio(
                    label="Record with the microphone",
                    show_label=False,
                    sources=["microphone"],
                    type="filepath",
                    format="wav",
                    elem_id="earshot-microphone",
                    editable=False,
                )
                gr.HTML(
                    quiet("Browsers allow the microphone on https and on localhost only."),
                    apply_default_css=False,
                    elem_classes=["earshot-plain"],
                )
            with gr.Tab("From stems"):
                about = (
                    "Mix stems at levels of your choice. Separated again, every part can be compared with its own stem."
                )
                gr.HTML(quiet(about), apply_default_css=False, elem_classes=["earshot-plain"])
                mixer = gr.HTML(
                    "",
                    html_template='<div class="earshot-mixing"><earshot-mixer></earshot-mixer></div>',
                    js_on_load=_MIXING_SCRIPT.read_text(encoding="utf-8"),
                    apply_default_css=False,
                    elem_id="earshot-mixing",
                    elem_classes=["earshot-plain"],
                )
        heading = '<p class="earshot-or">Or try an example</p>'
        gr.HTML(heading, apply_default_css=False, visible=first is not None, elem_classes=["earshot-plain"])
        examples = gr.HTML(
            "" if first is None else first.id,
            html_template=cards(list(self._examples.values())),
            js_on_load=_PICK,
            apply_default_css=False,
            visible=first is not None,
            elem_classes=["earshot-plain"],
        )
        chosen = None if first is None else self._from_example(first)
        summary = gr.HTML(_summary(chosen), apply_default_css=False, elem_classes=["earshot-plain"])
        recording = gr.HTML(
            _shown(chosen)[-1],
            html_template=_RECORDING,
            js_on_load=_RECORDING_SCRIPT.read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_id="earshot-recording",
            elem_classes=["earshot-plain"],
        )
        return examples, file, microphone, mixer, summary, recording

    def _model_controls(self, first: Example | None) -> tuple[gr.Radio, gr.HTML, gr.CheckboxGroup, gr.Button]:
        wanted = first.model if first is not None and first.model in self._cards else DEFAULT_MODEL
        name = wanted if wanted in self._cards else next(iter(self._cards), None)
        card = None if name is None else self._cards[name]
        model = gr.Radio(self._choices(), value=name, label="Model", elem_id="earshot-model")
        about = gr.HTML(_about(card), apply_default_css=False, elem_classes=["earshot-plain"])
        names = [] if card is None else list(card.sources)
        sources = gr.CheckboxGroup(_titled(names), value=names, label="Write these", elem_id="earshot-sources")
        karaoke = gr.Button(
            "Karaoke: all but the vocals", size="sm", visible=VOCALS in names, elem_id="earshot-karaoke"
        )
        return model, about, sources, karaoke

    def _settings_controls(self) -> tuple[gr.Radio, gr.Checkbox, gr.Radio]:
        band = gr.Radio(
            [("Full band", "full"), ("Only what the model hears", "model")],
            value="full",
            label="Band",
            info="Above the model's band, sound is shared among the sources as in its highest octave, or left out.",
        )
        consistency = gr.Checkbox(
            True, label="The parts add up to the mixture", info="Off: the estimates just as the model gives them."
        )
        devices = ["auto", *self._services.workers.devices]
        device = gr.Radio(_titled(devices), value="auto", label="Run on")
        return band, consistency, device

    def _result(self) -> gr.HTML:
        hours = self._services.settings.keep_hours
        kept = f"{hours:g} hours" if hours != 1 else "one hour"
        text = (
            f"It goes to the computer that runs this page and nowhere else. The recording and its stems are kept for {kept}, "
            "so that you can come back to them, and then deleted. “Delete my audio now” below the tracks deletes it at once; a "
            "recording that you have not separated goes when you choose another one. Stems go the same way. "
            "Nobody sees a list of them: only who has the link can open it. This page counts and tracks nothing. "
            "If you rate a separation, your answers stay with a random number of this browser, never a name or an address; the "
            "audio stays only if you tick the box for it, and you can withdraw both."
        )
        examples = list(self._examples.values())
        return gr.HTML(
            "",
            html_template=_RESULT.replace("@upload", escape(text)).replace("@credits", credits_list(examples)),
            js_on_load=_SCRIPT.read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_classes=["earshot-plain"],
        )

    # What happens on the page

    @with_toasts
    def take_file(self, before: Chosen | None, path: str) -> tuple[Any, ...]:
        """An upload has arrived: refuse it at once, or make it the chosen one and clear microphone and mixer."""
        return *self._take(before, self._checked(Path(path))), None, ""

    @with_toasts
    def take_recording(self, before: Chosen | None, path: str) -> tuple[Any, ...]:
        """The microphone has stopped: its recording is the chosen one, and file and mixer are cleared."""
        return *self._take(before, replace(self._checked(Path(path)), name="Microphone recording")), None, ""

    @with_toasts
    def take_mix(self, before: Chosen | None, said: str) -> tuple[Any, ...]:
        """A mixture of stems is there, or has others than before: it is the chosen one; file and microphone are cleared."""
        chosen = self._from_mix(self._services.store.mixes.settled(str(json.loads(said or "{}").get("mix"))))
        if before is None or before.draft != chosen.draft:
            self._drop(before)
        return *_shown(chosen), None, None

    @with_toasts
    def take_example(self, before: Chosen | None, event: gr.EventData) -> tuple[Any, ...]:
        """An example was pressed: it replaces whatever was chosen, and brings its model."""
        example = self._examples[event._data["id"]]
        model = gr.update(value=example.model) if example.model in self._cards else gr.skip()
        self._drop(before)
        return *_shown(self._from_example(example)), None, None, "", model

    def forget(self, chosen: Chosen | None) -> tuple[Any, ...]:
        """The file was taken out of its field, and goes. An example or a mixture that was chosen meanwhile stays."""
        if chosen is not None and not chosen.example and not chosen.mixed:
            self._drop(chosen)
            chosen = None
        return _shown(chosen)

    @with_toasts
    def tell_model(self, model: str, chosen: Chosen | None = None) -> tuple[Any, ...]:
        """Another model: what it is, and its sources."""
        oracle = oracle_name(model)
        if oracle is not None:
            names = [] if chosen is None else list(chosen.references)
            about = quiet(f"{ORACLES[oracle]} It is told the true stems, so no model can do better this way.")
        else:
            card = self._card(model)
            names, about = list(card.sources), _about(card)
        return (
            about,
            gr.update(choices=_titled(names), value=names, visible=not self._voices.goes_by_pitch(model)),
            gr.update(visible=VOCALS in names),
        )

    @with_toasts
    def tell_voices(self, model: str, chosen: Chosen | None, voices: str) -> tuple[Any, ...]:
        """Another model or recording: how many voices sing, if that is to be asked."""
        draft, references = ("", {}) if chosen is None else (chosen.draft, chosen.references)
        return self._voices.tell(model, draft, references, voices)

    @with_toasts
    def take_tracks(self, chosen: Chosen | None, model: str, files: Sequence[str]) -> tuple[Any, ...]:
        """A visitor has brought the pitch of the voices."""
        if chosen is None:
            raise JobError("Bring pitch tracks", "no recording is chosen", "Choose the recording first")
        self._voices.bring(chosen.draft, files)
        return self._voices.tell(model, chosen.draft, chosen.references, "")

    def offer_models(self, chosen: Chosen | None, model: str) -> Any:
        """A mixture of stems, and nothing else, may be separated by an ideal mask: its stems are known."""
        known = chosen is not None and chosen.mixed and len(chosen.references) > 1
        choices = self._choices()
        if known:
            choices.append(("The ideal mask, told the true stems", f"oracle:{ORACLE}"))
        if not known and oracle_name(model) is not None:
            model = next(iter(self._cards))
        if model not in [name for _, name in choices]:  # one that the address asked for
            choices.append((model, model))
        return gr.update(choices=choices, value=model)

    @with_toasts
    def tell_estimate(self, chosen: Chosen | None, model: str, device: str, said: str | None = None) -> str:
        """What the button will take, in words: for the part that `said` (see `Part.read`) asks for."""
        if chosen is None or not model:
            return quiet("Choose a recording first.")
        workers = self._services.workers
        part = Part.read(said, chosen)
        duration = part.duration(chosen)
        info = replace(chosen.info, length=round(duration * chosen.info.sample_rate))
        estimate = workers.estimate(model, info, device=device)
        if not estimate.calibrated and model in self._cards and not gpu.zero_gpu():
            workers.calibrate(model, device)  # bundled models are small: a moment here, and the figure is measured
            estimate = workers.estimate(model, info, device=device)
        preview = f" A {PREVIEW:.0f} s preview comes first." if duration > PREVIEW_FROM else ""
        what = "" if part.end is None else f" for {clock(part.begin or 0)} to {clock(part.end)}"
        if not estimate.calibrated:
            return quiet(
                f"This model has not run on this machine's {_device(estimate.device)} yet: "
                f"the time left shows as soon as it does.{preview}"
            )
        return quiet(f"About {spoken(estimate.seconds)} on this machine's {_device(estimate.device)}{what}.{preview}")

    @with_toasts
    def open_model(self, asked: str) -> Any:
        """A model that the address asks for joins the choice."""
        if not asked:
            return gr.skip()
        self._card(asked)
        label = re.sub(r"@([0-9a-f]{12})[0-9a-f]{28}$", r" at \1", asked)
        choices = self._choices() if asked in self._cards else [*self._choices(), (label, asked)]
        return gr.update(choices=choices, value=asked)

    @with_toasts
    def all_but_vocals(self, model: str) -> list[str]:
        """Karaoke: every source but the vocals."""
        return [name for name in self._card(model).sources if name != VOCALS]

    @with_toasts
    def start(
        self,
        chosen: Chosen | None,
        model: str,
        sources: Sequence[str],
        said: str | None,
        band: str,
        consistency: bool,
        device: str,
        mixed: str | None = None,
        voices: str = str(VOICES),
    ) -> str:
        """Make a job of the part that `said` (see `Part.read`) asks for; returns its id, with which the player goes on.

        A mixture of stems is separated as `mixed` (what the mixer says) has it at this moment.
        """
        if chosen is None:
            raise JobError("Separate", "no recording is chosen", "Choose an example, a file, or record something")
        if chosen.mixed:
            mix = self._mixed(chosen, mixed)
            with self._services.store.mixes.references(mix) as references:
                as_heard = replace(self._from_mix(mix), references=references)
                return self._begin(as_heard, model, sources, said, band, consistency, device, voices)
        return self._begin(chosen, model, sources, said, band, consistency, device, voices)

    def _begin(
        self,
        chosen: Chosen,
        model: str,
        sources: Sequence[str],
        said: str | None,
        band: str,
        consistency: bool,
        device: str,
        voices: str,
    ) -> str:
        options = Options(device=device, band="model" if band == "model" else "full", consistency=consistency)
        known = self._sources(model, chosen)
        ticked = [name for name in known if name in sources]
        these = None if self._voices.goes_by_pitch(model) else ticked or (known if sources else [])
        return self._submit(chosen, model, these, options, Part.read(said, chosen), voices).id

    # The HTTP interface

    def _interface(self) -> None:
        """Endpoints for `gradio_client`, each with hidden components that give its types."""
        file, model = gr.File(visible=False), gr.Textbox(DEFAULT_MODEL, visible=False)
        sources, files, answer = gr.JSON(visible=False), gr.Files(visible=False), gr.JSON(visible=False)
        gr.Button(visible=False).click(
            self.separate, [file, model, sources], files, api_name="separate", concurrency_limit=8
        )
        gr.Button(visible=False).click(self.models, None, answer, api_name="models")
        gr.Button(visible=False).click(self.estimate, [file, model], answer, api_name="estimate")

    @with_toasts
    def separate(
        self,
        file: str,
        model: str = DEFAULT_MODEL,
        sources: list[str] | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (how Gradio asks for it)
    ) -> list[str]:
        """Separate a file and wait for it: the stems and the residual, as WAV at the input's bit depth."""
        chosen = self._checked(Path(file))
        job = self._submit(chosen, model, sources, Options(), Part())
        if gpu.zero_gpu():
            self._on_gpu(job.id)
        _wait(job, progress)
        # Gradio serves what lies in its own cache, from where it is deleted with the uploads.
        folder = Path(tempfile.mkdtemp(dir=_made(Path(get_upload_folder()))))
        stage = job.stage("full")
        assert stage is not None, "a job that is done has its tracks"
        made = []
        for name, path in job.tracks("full").items():
            if name != "mixture":
                with open_reader(path) as reader:
                    target = folder / f"{name}.wav"
                    export(reader, target, format="wav", bit_depth=chosen.info.bit_depth, gain=stage["gain"])
                made.append(str(target))
        return made

    @with_toasts
    def models(self) -> list[dict[str, Any]]:
        """The bundled models."""
        return [
            {
                "name": name,
                "title": card.title,
                "summary": card.summary,
                "sources": list(card.sources),
                "sample_rate": card.sample_rate,
                "licence": card.licence,
            }
            for name, card in self._cards.items()
        ]

    @with_toasts
    def estimate(self, file: str, model: str = DEFAULT_MODEL) -> dict[str, Any]:
        """Seconds that a file will take, and whether that rests on a measurement of this machine."""
        self._card(model)
        estimate = self._services.workers.estimate(model, self._checked(Path(file)).info, preview=False)
        return {"seconds": estimate.seconds, "calibrated": estimate.calibrated, "device": estimate.device}

    # Below the surface

    def _checked(self, path: Path) -> Chosen:
        info = probe(path)
        longest = self._services.settings.max_minutes
        if info.duration > longest * 60:
            raise AudioError(
                f"Use {info.name}",
                f"it lasts {clock(info.duration)}; this page takes up to {longest:g} minutes",
                "Cut it into parts, or run Earshot on your own machine, where you set the limit",
            )
        return Chosen(path, info, path.name)

    def _take(self, before: Chosen | None, chosen: Chosen) -> tuple[Any, ...]:
        """Make an upload the chosen one, as a draft; the one before it goes."""
        longest = 60 * self._services.settings.max_minutes
        draft = self._services.store.drafts.create(chosen.path, chosen.name, longest=longest)
        self._drop(before)
        return _shown(replace(chosen, path=draft.input, draft=draft.id))

    def _drop(self, chosen: Chosen | None) -> None:
        if chosen is not None and not chosen.example:
            self._services.store.drafts.delete(chosen.draft)

    def _mixed(self, chosen: Chosen, said: str | None) -> Mix:
        """The mixture with the levels that the mixer shows now, rendered."""
        mixes, fields = self._services.store.mixes, json.loads(said or "{}")
        if fields.get("mix") == chosen.draft:
            mixes.set(chosen.draft, wanted(fields.get("stems")))
        return mixes.settled(chosen.draft)

    def _from_mix(self, mix: Mix) -> Chosen:
        path = mix.draft.input
        references = {stem.name: mix.path(stem) for stem in mix.audible}
        about = f"Mixed from {len(references)} stems, which stay beside the parts as the truth."
        name = " + ".join(references)
        return Chosen(path, probe(path), name[:80], "", references, about, mix.draft.id, mixed=True)

    def _from_example(self, example: Example) -> Chosen:
        draft = self._services.store.drafts.bundled(example.mixture, example.title)
        info = probe(example.mixture)
        return Chosen(example.mixture, info, example.title, example.id, example.references, example.summary, draft.id)

    def _card(self, model: str) -> Card:
        return self._cards[model] if model in self._cards else self._services.card(model)

    def _sources(self, model: str, chosen: Chosen) -> tuple[str, ...]:
        """What a model gives of a recording: an oracle gives what the recording has references of."""
        check_told(model, chosen.name, chosen.references)
        return tuple(chosen.references if oracle_name(model) else self._card(model).sources)

    def _choices(self) -> list[tuple[str, str]]:
        return [(card.title, name) for name, card in self._cards.items()]

    def _submit(
        self,
        chosen: Chosen,
        model: str,
        sources: Sequence[str] | None,
        options: Options,
        part: Part,
        voices: str = str(VOICES),
    ) -> Job:
        known = self._sources(model, chosen)
        if sources is not None and not sources:
            raise JobError("Separate", "no source is ticked", f"Tick at least one of {', '.join(known)}")
        pitches, to_find = self._voices.wanted(model, chosen.draft, voices)
        request = Request(
            model=model,
            name=chosen.name,
            voices=to_find,
            sources=None if sources is None or set(sources) == set(known) else tuple(sources),
            offset=part.begin,
            duration=None if part.end is None else part.duration(chosen),
            preview_at=part.preview_at,
            options=options,
        )
        if not chosen.path.exists():
            found = "the upload is gone: it was deleted with an earlier separation, or has expired"
            raise AudioError(f"Separate {chosen.name}", found, "Choose the file again")
        # A visitor's recording goes with the job: with its draft, or where there is none (the HTTP interface) itself.
        mine = not chosen.example
        draft = chosen.draft if mine else ""
        store, references = self._services.store, chosen.references
        job = store.create(
            chosen.path, request, references=references, pitches=pitches, owned=mine and not draft, draft=draft
        )
        if not gpu.zero_gpu():
            self._services.workers.submit(job)
        return job

    def _gpu_seconds(self, job_id: str) -> float:
        job = self._services.store.get(job_id)
        info, request = probe(job.input), job.request
        duration = info.duration - (request.offset or 0.0)
        if request.duration is not None:
            duration = min(duration, request.duration)
        part = replace(info, length=max(1, round(duration * info.sample_rate)))
        return self._services.workers.estimate(request.model, part).seconds

    def _run_here(self, job_id: str) -> None:
        """ZeroGPU lends the GPU to this call only, so the job runs in it."""
        self._services.workers.run(self._services.store.get(job_id), self._services.workers.devices[0])


def _seconds(value: Any) -> float | None:
    """A time that the browser says; what is none counts for nothing."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) and value >= 0 else None


def _wait(job: Job, progress: gr.Progress) -> None:
    while not (state := job.state()).finished:
        progress(state.fraction, desc=f"{state.position} ahead" if state.status == "waiting" else state.stage)
        time.sleep(0.2)
    if state.error is not None:
        raise SeparationError(**state.error)
    if state.status == "cancelled":
        raise JobError("Separate", "it was stopped", "Start it again when you like")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _shown(chosen: Chosen | None) -> tuple[Any, ...]:
    """Values for the chosen recording, the pressed example, the summary and the recording's player."""
    if chosen is None:
        return None, "", _summary(None), ""
    said = json.dumps({"draft": chosen.draft, "duration": chosen.info.duration})
    return chosen, chosen.example, _summary(chosen), said


def _summary(chosen: Chosen | None) -> str:
    if chosen is None:
        return f'<div class="earshot-chosen">{quiet("Nothing is chosen yet.")}</div>'
    info = chosen.info
    channels = {1: "mono", 2: "stereo"}.get(info.channels, f"{info.channels} channels")
    facts = f"{clock(info.duration)} · {info.sample_rate / 1000:g} kHz · {channels}"
    around = f"A {PREVIEW:.0f} s preview around the cursor comes first; click to move it."
    about = " ".join([chosen.about, around if info.duration > PREVIEW_FROM else "", *info.notes]).strip()
    words = f"<strong>{escape(chosen.name)}</strong><span>{facts}</span><p>{escape(about)}</p>"
    return f'<div class="earshot-chosen">{words}</div>'


def _about(card: Card | None) -> str:
    if card is None:
        return quiet("No model is bundled here. Open one on the Models page.")
    words = escape(f"{card.summary} Hears up to {card.sample_rate / 2000:g} kHz.")
    its = f'<a href="./models?model={quote(card.origin.name, safe="")}">Scores, speed and its inside</a>'
    return f'<p class="earshot-quiet">{words} {its}</p>'


def _size(megabytes: float) -> str:
    return f"{megabytes:g} MB" if megabytes < 1000 else f"{megabytes / 1000:g} GB"


def _titled(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(_device(name) if name.startswith(("cpu", "cuda", "mps")) else name.capitalize(), name) for name in names]


def _device(device: str) -> str:
    """A device as people call it."""
    kind, _, number = device.partition(":")
    return {"cpu": "CPU", "cuda": "GPU", "mps": "GPU"}[kind] + (f" {number}" if number else "")
