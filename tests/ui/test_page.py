"""The pages without a browser: what is on them, what their handlers do, and the HTTP interface."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from page_services import RATE, Services, noise, running, services

from separation.audio import open_reader, probe
from separation.errors import DataError, SeparationError, UnknownJob, UnknownModel
from separation.ui import gpu
from separation.ui.examples import cards, read_examples
from separation.ui.frame import toast, with_toasts
from separation.ui.separate import Chosen, Part, SeparatePage
from separation.ui.server import build, devices, launch


@pytest.fixture
def given(tmp_path: Path) -> Services:
    return services(tmp_path)


@pytest.fixture
def page(given: Services) -> SeparatePage:
    return SeparatePage(given)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("page")
    with running(services(folder)) as url:
        yield Client(url, verbose=False, download_files=folder / "downloads")


def chosen(path: Path) -> Chosen:
    return Chosen(path, probe(path), path.name)


def said(recording: Chosen, **part: float | None) -> str:
    """What the page's script says of the recording."""
    return json.dumps({"draft": recording.draft, "duration": recording.info.duration, **part})


# What is there


def test_only_named_endpoints_are_public(given: Services) -> None:
    app = build(given)
    assert set(app.get_api_info()["named_endpoints"]) == {"/separate", "/models", "/estimate", "/evaluate"}
    assert not app.analytics_enabled


def test_an_example_waits_with_its_model(given: Services) -> None:
    found = {
        block["props"].get("elem_id"): block["props"].get("value")
        for block in build(given).get_config_file()["components"]
    }
    assert found["earshot-model"] == "vocals"
    assert found["earshot-sources"] == ["vocals", "accompaniment"]
    assert found["earshot-separate"] == "Separate"


def test_a_page_without_examples_or_models_still_builds(given: Services, tmp_path: Path) -> None:
    given.hub.cards.clear()  # type: ignore[attr-defined]
    given.hub.bundled = list  # type: ignore[attr-defined,method-assign]
    bare = replace(given, examples=tmp_path / "nowhere")
    assert "Models page" in str(build(bare).get_config_file())


def test_examples_in_order_and_harmless_to_every_template(given: Services) -> None:
    examples = read_examples(given.examples)
    assert [(one.id, one.model, one.duration) for one in examples] == [
        ("swell", "vocals", 6.0),
        ("talk", "speakers", 30.0),
    ]
    html = cards(examples)
    assert html.count("${") == len(examples), "only our own expressions"
    assert "`" not in html and "{{" not in html


def test_a_broken_example_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "example.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"example bad.*mixture"):
        read_examples(tmp_path)
    fields = {
        "title": "x",
        "summary": "",
        "model": "m",
        "mixture": "gone.wav",
        "references": {},
        "credits": [],
        "order": 1,
    }
    (folder / "example.json").write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(DataError, match=r"there is no gone\.wav"):
        read_examples(tmp_path)


def test_visitors_cannot_open_folders_of_this_machine(given: Services, tmp_path: Path) -> None:
    for name in (str(tmp_path), "../models", "./x/y", "~/x", "/etc", "tests/ui", "..", ""):
        with pytest.raises(UnknownModel, match=r"vocals|no such repository"):
            given.card(name)


# What happens


def test_errors_are_toasts_of_three_escaped_parts() -> None:
    message = toast(SeparationError("Read <a>", "it is bad", "mend it")).message
    assert "<b>Read &lt;a&gt;.</b><span>It is bad.</span><span>Mend it.</span>" in message


def test_unexpected_errors_say_nothing_about_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    @with_toasts
    def fails() -> None:
        raise RuntimeError("secret path")

    with pytest.raises(gr.Error) as caught:
        fails()
    assert "secret" not in str(caught.value)
    assert "secret path" in caplog.text, "the owner's log has it"


def test_an_upload_becomes_the_chosen_one(page: SeparatePage, tmp_path: Path) -> None:
    took, example, summary, said, *others = page.take_file(None, str(noise(tmp_path / "my <song>.wav", 40.0)))
    assert (took.name, example, others) == ("my <song>.wav", "", [None, ""])
    assert "my &lt;song&gt;.wav" in summary and "0:40 · 16 kHz · mono" in summary and "preview" in summary
    assert json.loads(said) == {"draft": took.draft, "duration": 40.0}
    assert page.take_recording(None, str(noise(tmp_path / "audio.wav", 3.0)))[0].name == "Microphone recording"


def test_a_chosen_recording_goes_when_another_takes_its_place(
    page: SeparatePage, given: Services, tmp_path: Path
) -> None:
    first, second = noise(tmp_path / "a.wav", 1.0), noise(tmp_path / "b.wav", 1.0)
    before = page.take_file(None, str(first))[0]
    took = page.take_file(before, str(second))[0]
    assert not first.exists() and not before.path.exists() and took.path.exists()
    assert page.forget(took)[0] is None
    assert not second.exists() and not took.path.exists()
    bundled = page._from_example(page._examples["swell"])
    page.take_file(bundled, str(noise(tmp_path / "c.wav", 1.0)))
    assert given.store.drafts.get(bundled.draft).input == bundled.path and bundled.path.exists()


def test_two_visitors_with_one_upload_do_not_harm_each_other(page: SeparatePage, tmp_path: Path) -> None:
    upload = noise(tmp_path / "same.wav", 1.0)  # Gradio keeps equal uploads as one file
    one, other = page.take_file(None, str(upload))[0], page.take_file(None, str(upload))[0]
    page.forget(one)
    assert not one.path.exists() and other.path.exists()


def test_bad_uploads_are_refused_at_once(page: SeparatePage, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"this is no music" * 100)
    with pytest.raises(gr.Error, match=r"Read bad\.mp3"):
        page.take_file(None, str(bad))
    short = SeparatePage(services(tmp_path / "short", max_minutes=0.5))
    with pytest.raises(gr.Error, match=r"0:40; this page takes up to 0\.5 minutes"):
        short.take_file(None, str(noise(tmp_path / "long.wav", 40.0)))


def test_taking_the_file_out_keeps_an_example(page: SeparatePage, tmp_path: Path) -> None:
    assert page.forget(page.take_file(None, str(noise(tmp_path / "a.wav", 1.0)))[0])[0] is None
    picked = page._from_example(page._examples["swell"])
    assert page.forget(picked)[0] is picked


def test_the_estimate_in_words(page: SeparatePage, given: Services, tmp_path: Path) -> None:
    recording = chosen(noise(tmp_path / "a.wav", 40.0))
    assert "Choose a recording" in page.tell_estimate(None, "vocals", "auto")
    assert not given.workers.estimate("vocals", recording.info).calibrated
    told = page.tell_estimate(recording, "vocals", "auto")  # a bundled model is timed when somebody asks
    assert told.startswith('<p class="earshot-quiet">About ') and "15 s preview comes first" in told
    part = page.tell_estimate(recording, "vocals", "auto", said(recording, begin=12.0, end=31.0))
    assert "for 0:12 to 0:31" in part and "preview" not in part, "19 s are done as fast as their preview"
    assert given.workers.estimate("vocals", recording.info).calibrated


def test_a_model_from_the_hub_is_not_fetched_to_be_timed(page: SeparatePage, tmp_path: Path) -> None:
    told = page.tell_estimate(chosen(noise(tmp_path / "a.wav", 40.0)), "owner/name", "auto")
    assert "has not run on this machine" in told


def test_only_a_part_can_be_separated(page: SeparatePage, given: Services, tmp_path: Path) -> None:
    recording = chosen(noise(tmp_path / "a.wav", 4.0))

    def started(text: str | None) -> Any:
        both = ["vocals", "accompaniment"]
        return given.store.get(page.start(recording, "vocals", both, text, "full", True, "auto")).request

    part = started(said(recording, begin=1.0, end=2.5, preview_at=1.2))
    assert (part.offset, part.duration, part.preview_at) == (1.0, 1.5, 1.2)
    for everything in (None, "", said(recording), said(recording, begin=None, end=None)):
        whole = started(everything)
        assert (whole.offset, whole.duration, whole.preview_at) == (None, None, 2.0), "previewed in the middle"
    other = json.dumps({"draft": "of another recording", "begin": 1.0, "end": 2.0})
    assert started(other).duration is None, "the page has not caught up: what it says is of the recording before"
    for begin, end in ((2.0, 1.0), (5.0, None), (1.0, 1.0)):
        with pytest.raises(gr.Error, match=r"lasts 4\.00 s"):
            started(said(recording, begin=begin, end=end))


@pytest.mark.parametrize("wild", ["1e999", '"x"', "-4", "[1]", "NaN", "true"])
def test_times_that_are_none_count_for_nothing(wild: str, tmp_path: Path) -> None:
    recording = chosen(noise(tmp_path / "a.wav", 4.0))
    read = Part.read(f'{{"draft": "", "begin": {wild}, "end": null, "preview_at": {wild}}}', recording)
    assert read == Part(None, None, 2.0)


def test_the_end_of_a_compressed_recording_is_only_known_once_it_is_read(tmp_path: Path) -> None:
    exact = chosen(noise(tmp_path / "a.wav", 4.0))
    claimed = replace(exact, info=replace(exact.info, exact=False))
    assert Part.read(said(exact, begin=1.0, end=4.3), exact).end == 4.0
    assert Part.read(said(claimed, begin=1.0, end=4.3), claimed).end == 4.3


def test_karaoke_is_everything_but_the_vocals(page: SeparatePage) -> None:
    assert page.all_but_vocals("vocals") == ["accompaniment"]
    about, sources, karaoke = page.tell_model("speakers")
    assert "up to 8 kHz" in about
    assert sources["value"] == ["speaker 1", "speaker 2"]
    assert not karaoke["visible"]


def test_the_button_makes_a_job_with_everything_that_was_set(
    page: SeparatePage, given: Services, tmp_path: Path
) -> None:
    recording = page._from_example(page._examples["talk"])
    at = said(recording, preview_at=20.0)
    job = given.store.get(page.start(recording, "vocals", ["accompaniment"], at, "model", False, "cpu"))
    request = job.request
    assert (request.name, request.sources, request.preview_at) == ("A talk", ("accompaniment",), 20.0)
    assert (request.options.band, request.options.consistency, request.options.device) == ("model", False, "cpu")
    assert request.references == ("part",)
    everything = page.start(recording, "vocals", ["vocals", "accompaniment"], None, "full", True, "auto")
    assert given.store.get(everything).request.sources is None
    late = page.start(recording, "speakers", ["vocals"], None, "full", True, "auto")
    assert given.store.get(late).request.sources is None, "ticks of the model before count for nothing"
    for nothing, sources in ((None, ["vocals"]), (recording, [])):
        with pytest.raises(gr.Error, match=r"no recording is chosen|No source is ticked|No recording"):
            page.start(nothing, "vocals", sources, None, "full", True, "auto")


def test_deleting_takes_the_upload_too_and_says_so(page: SeparatePage, given: Services, tmp_path: Path) -> None:
    upload = noise(tmp_path / "a.wav", 1.0)
    recording = page.take_file(None, str(upload))[0]
    given.store.delete(page.start(recording, "vocals", ["vocals"], None, "full", True, "auto"))
    assert not recording.path.exists() and not upload.exists()
    with pytest.raises(UnknownJob):
        given.store.drafts.get(recording.draft)
    with pytest.raises(gr.Error, match="The upload is gone"):
        page.start(recording, "vocals", ["vocals"], None, "full", True, "auto")
    bundled = page._from_example(page._examples["swell"])
    given.store.delete(page.start(bundled, "vocals", ["vocals"], None, "full", True, "auto"))
    assert bundled.path.exists() and given.store.drafts.get(bundled.draft)


def test_a_model_in_the_address_joins_the_choice(page: SeparatePage) -> None:
    update = page.open_model("someone/model")
    assert update["value"] == "someone/model" and ("someone/model", "someone/model") in update["choices"]
    assert page.open_model("speakers")["value"] == "speakers"
    with pytest.raises(gr.Error, match="no such repository"):
        page.open_model("someone/else")


# ZeroGPU


def test_without_zero_gpu_nothing_is_wrapped() -> None:
    assert not gpu.zero_gpu()
    assert gpu.with_gpu(lambda: 1.0)(len) is len


def test_on_zero_gpu_the_duration_follows_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Spaces:
        @staticmethod
        def GPU(*, duration: Any) -> Any:
            asked["duration"] = duration
            return lambda function: function

    monkeypatch.setattr(gpu, "spaces", Spaces)
    monkeypatch.setattr(gpu, "zero_gpu", lambda: True)
    gpu.with_gpu(lambda seconds: seconds)(float)
    assert [asked["duration"](seconds) for seconds in (0.0, 40.0, 1e6)] == [20, 80, 300]


def test_a_folder_called_spaces_is_not_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "spaces", object())
    assert not gpu.zero_gpu()


def test_devices_always_end_with_the_cpu() -> None:
    assert devices("cpu") == ("cpu",)
    assert devices("auto")[-1] == "cpu"


def test_a_taken_port_is_said_and_no_job_is_touched(given: Services, tmp_path: Path) -> None:
    with socket() as other:
        other.bind(("127.0.0.1", given.settings.port))
        other.listen()
        with pytest.raises(SystemExit, match=f"port {given.settings.port} .* EARSHOT_PORT"):
            launch(given.settings, given, block=False)
    assert not any(thread.is_alive() for thread in given.workers._threads)


# The HTTP interface


def test_gradio_client_separates_a_file(client: Client, tmp_path: Path) -> None:
    path = noise(tmp_path / "song.wav", 5.0, rate=22050, channels=2, bit_depth="24")
    made = {
        Path(file).stem: Path(file) for file in client.predict(handle_file(path), "vocals", None, api_name="/separate")
    }
    assert list(made) == ["vocals", "accompaniment", "residual"]
    for file in made.values():
        assert (probe(file).sample_rate, probe(file).channels, probe(file).length) == (22050, 2, 5 * 22050)
        assert probe(file).bit_depth == "24"
    with (
        open_reader(path) as mixture,
        open_reader(made["vocals"]) as vocals,
        open_reader(made["accompaniment"]) as rest,
    ):
        whole = mixture.read(0, mixture.length)
        np.testing.assert_allclose(vocals.read(0, vocals.length) + rest.read(0, rest.length), whole, atol=1e-6)


def test_gradio_client_chooses_sources_and_hears_three_parts(client: Client, tmp_path: Path) -> None:
    path = handle_file(noise(tmp_path / "song.wav", 2.0))
    made = client.predict(path, "speakers", ["speaker 2"], api_name="/separate")
    assert [Path(file).stem for file in made] == ["speaker 2", "residual"]
    for model, sources, words in (("speakers", ["drums"], "drums"), ("someone/else", None, "no such repository")):
        with pytest.raises(Exception, match=words):
            client.predict(path, model, sources, api_name="/separate")


def test_gradio_client_lists_models_and_estimates(client: Client, tmp_path: Path) -> None:
    listed = client.predict(api_name="/models")
    assert [one["name"] for one in listed] == ["vocals", "speakers"], "the default first"
    assert (listed[0]["sources"], listed[0]["sample_rate"]) == (["vocals", "accompaniment"], RATE)
    estimate = client.predict(handle_file(noise(tmp_path / "song.wav", 2.0)), "vocals", api_name="/estimate")
    assert estimate["device"] == "cpu" and estimate["seconds"] > 0
