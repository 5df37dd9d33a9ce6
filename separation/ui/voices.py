"""How many voices sing: what the Separate page asks where the chosen model goes by pitch, instead of which sources to write.

Their pitch is found in the recording when it is separated, or in the true stems where there are any, or a visitor brings
tracks. Nothing is found here: the worker that runs the job does that (`engine.workers`), and it can be corrected afterwards.
"""

from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from separation.engine.pitch_finding import PitchFinding, known_pitches
from separation.engine.pitches import VOICES, Pitches, goes_by_pitch
from separation.errors import JobError, SeparationError
from separation.models import oracle_name
from separation.transforms import MOST_VOICES, read_track
from separation.ui.frame import Services, quiet

STEMS, FILES = "stems", "files"

_ABOUT = "Their pitch is found in the recording, which takes a moment. Below the result you can see and correct it."


class Controls(NamedTuple):
    """The components, in the order in which `VoiceControls.tell` changes them."""

    all: gr.Column
    voices: gr.Radio
    told: gr.HTML


class VoiceControls:
    """The components and what they mean.

    Args:
        services: the models and the drafts.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._finding = PitchFinding(services.store)

    def build(self) -> tuple[Controls, gr.UploadButton]:
        """Put them into the page that is being built, hidden."""
        with gr.Column(visible=False, elem_id="earshot-voices", elem_classes=["earshot-plain"]) as everything:
            voices = gr.Radio(_choices((), None), value=str(VOICES), label="How many voices sing?", info=_ABOUT)
            upload = gr.UploadButton(
                "Bring pitch tracks",
                file_count="multiple",
                size="sm",
                elem_id="earshot-pitch-files",
                variant="secondary",
            )
            told = gr.HTML(_told(None), apply_default_css=False, elem_classes=["earshot-plain"])
        return Controls(everything, voices, told), upload

    def goes_by_pitch(self, model: str) -> bool:
        """Whether a model has to be told the pitch of every voice; False where nothing is known of it."""
        if not model or oracle_name(model) is not None:
            return False
        try:
            return goes_by_pitch(self._services.card(model).architecture)
        except SeparationError:
            return False

    def tell(self, model: str, draft: str, references: Collection[str], chosen: str) -> tuple[Any, ...]:
        """Another model or recording: the components of `Controls`."""
        if not self.goes_by_pitch(model):
            return gr.update(visible=False), gr.skip(), gr.skip()
        brought = self._brought(draft)
        choices = _choices(references, brought)
        value = FILES if brought is not None else chosen if chosen in [name for _, name in choices] else str(VOICES)
        return gr.update(visible=True), gr.update(choices=choices, value=value), _told(brought)

    def bring(self, draft: str, files: Sequence[str]) -> None:
        """Keep the tracks of these files with a recording, a voice each, called as its file.

        Raises:
            DataError: a file is no track.
            JobError: there are too many, or they are not about this recording, or it is everybody's.
        """
        tracks = {Path(file).stem: read_track(Path(file)) for file in files}
        if len(tracks) > MOST_VOICES:
            raise JobError("Bring pitch tracks", f"there are {len(tracks)} of them", f"Bring {MOST_VOICES} at most")
        self._finding.bring(self._services.store.drafts.get(draft), Pitches(tracks, "file"))

    def wanted(self, model: str, draft: str, chosen: str) -> tuple[Pitches | None, int | None]:
        """The tracks that are known for a job, and how many voices it has to find; neither: in the true stems.

        Raises:
            JobError: nobody says how many.
        """
        if not self.goes_by_pitch(model):
            return None, None
        if chosen == FILES:
            brought = self._brought(draft)
            if brought is None:
                raise JobError(
                    "Separate by pitch", "the tracks are not here any more", "Bring them again, or say how many sing"
                )
            return brought, None
        if chosen == STEMS:
            return None, None
        if chosen not in _numbers():
            raise JobError("Separate by pitch", "nothing says how many voices sing", f"Choose 2 to {MOST_VOICES}")
        voices = int(chosen)
        known = known_pitches(self._services.store.drafts.get(draft), voices) if draft else None
        return known, None if known is not None else voices

    def _brought(self, draft: str) -> Pitches | None:
        try:
            return known_pitches(self._services.store.drafts.get(draft), "files") if draft else None
        except SeparationError:
            return None


def _numbers() -> list[str]:
    return [str(number) for number in range(2, MOST_VOICES + 1)]


def _choices(references: Collection[str], brought: Pitches | None) -> list[tuple[str, str]]:
    choices = [(number, number) for number in _numbers()]
    if len(references) > 1:
        choices.append(("As its stems sing", STEMS))
    if brought is not None:
        choices.append(("As my tracks say", FILES))
    return choices


def _told(brought: Pitches | None) -> str:
    if brought is None:
        return quiet("Tracks are text files, one a voice: seconds and Hz in each line, as pitch trackers write them.")
    return quiet(f"You have brought the pitch of {escape(', '.join(brought.names))}.")
