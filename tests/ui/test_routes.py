"""The routes: what the player gets, and what a hostile client does not."""

import io
import re
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from PIL import Image
from player_jobs import GAIN, RATE, done_job, make_job, recording, write_stage
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine.drafts import Draft
from separation.engine.jobs import Job, JobStore
from separation.ui import routes as module
from separation.ui.routes import routes
from separation.visualisation import CEILING_DB, DIVERGING, FLOOR_DB, MAGMA, SCALES
from separation.visualisation.spectrogram import NO_DIFFERENCE, STEP_DB

SECONDS = 3
LENGTH = SECONDS * RATE
SIZE = LENGTH * 4  # two channels of 16 bit


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture
def client(store: JobStore) -> TestClient:
    return TestClient(Starlette(routes=routes(store)))


@pytest.fixture
def job(store: JobStore, tmp_path: Path) -> Job:
    return done_job(store, tmp_path, SECONDS)


def expected_pcm(track: str) -> bytes:
    samples = np.round(recording(SECONDS)[track].astype(np.float64) * GAIN * 32768)
    return np.clip(samples, -32768, 32767).astype("<i2").T.tobytes()


def is_error(response: Any, status: int) -> bool:
    return response.status_code == status and set(response.json()) == {"asked", "found", "advice"}


# -- the job


def test_job_says_everything_the_player_needs(client: TestClient, job: Job) -> None:
    response = client.get(f"/earshot/jobs/{job.id}")
    body = response.json()
    assert body["id"] == job.id and body["name"] == "song.wav" and body["model"] == "vocals"
    assert body["state"]["status"] == "done" and body["expires"] == job.expires
    assert list(body["stages"]) == ["full"]
    stage = body["stages"]["full"]
    assert (stage["sample_rate"], stage["channels"], stage["length"], stage["gain"]) == (RATE, 2, LENGTH, GAIN)
    assert stage["tracks"] == ["mixture", "vocals", "accompaniment", "residual", "reference-vocals"]
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in response.headers


def test_figures_that_json_cannot_hold_become_null(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, 1, null_db=float("-inf"), uncertain_boundaries=[float("nan"), 1.0])
    stage = client.get(f"/earshot/jobs/{job.id}").json()["stages"]["full"]
    assert stage["null_db"] is None and stage["uncertain_boundaries"] == [None, 1.0]


@pytest.mark.parametrize(
    "id", ["A" * 22, "short", "..", "%2e%2e", "..%2f..%2fetc", "A" * 21 + "%00", "ä" * 22, "A" * 5000, "A" * 21 + "%0a"]
)
def test_unknown_and_hostile_ids_are_404_in_three_parts(client: TestClient, job: Job, id: str) -> None:
    response = client.get(f"/earshot/jobs/{id}")
    assert response.status_code == 404
    if "/" not in response.url.path.removeprefix("/earshot/jobs/"):
        assert is_error(response, 404)
    assert str(job.folder) not in response.text


@pytest.mark.parametrize(
    "track", ["nothing", "..", "%2e%2e%2frequest", "stage.json", "mixture%00", "../input/recording"]
)
def test_only_tracks_of_the_stage_are_found(client: TestClient, job: Job, track: str) -> None:
    for path in (
        f"{track}.pcm",
        f"{track}.peaks",
        f"{track}.png",
        f"{track}.levels",
        f"download/{track}",
        f"download.zip?tracks={track}",
    ):
        response = client.get(f"/earshot/jobs/{job.id}/full/{path}")
        assert response.status_code in (400, 404)
        assert b"RIFF" not in response.content


@pytest.mark.parametrize("stage", ["preview", "input", "..", "downloads", "Full"])
def test_only_complete_stages_are_found(client: TestClient, job: Job, stage: str) -> None:
    assert client.get(f"/earshot/jobs/{job.id}/{stage}/mixture.pcm").status_code == 404


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"origin": "http://testserver"}, True),
        ({"origin": "http://testserver", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "https://demo.example", "x-forwarded-host": "demo.example"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://testserver.evil.example"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://testserver"}, False),
    ],
)
def test_only_this_site_may_cancel_and_delete(
    client: TestClient, store: JobStore, tmp_path: Path, headers: dict[str, str], allowed: bool
) -> None:
    job = make_job(store, tmp_path)
    url = f"/earshot/jobs/{job.id}"
    cancelled, deleted = client.post(f"{url}/cancel", headers=headers), client.delete(url, headers=headers)
    if allowed:
        assert (cancelled.status_code, deleted.status_code) == (200, 200)
        assert is_error(client.get(url), 404) and not job.folder.exists()
    else:
        assert is_error(cancelled, 403) and is_error(deleted, 403)
        assert not job.cancelled and client.get(url).status_code == 200


def test_changing_needs_its_own_method(client: TestClient, job: Job) -> None:
    assert client.get(f"/earshot/jobs/{job.id}/cancel").status_code == 405
    assert client.post(f"/earshot/jobs/{job.id}").status_code == 405
    assert not job.cancelled


def test_cancel_of_an_unknown_job_is_404(client: TestClient) -> None:
    assert is_error(client.post(f"/earshot/jobs/{'A' * 22}/cancel"), 404)
    assert is_error(client.delete(f"/earshot/jobs/{'A' * 22}"), 404)


# -- samples


@pytest.mark.parametrize("track", ["mixture", "reference-vocals"])
def test_pcm_is_the_track_with_the_common_gain(client: TestClient, job: Job, track: str) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/{track}.pcm")
    assert response.status_code == 200 and response.content == expected_pcm(track)
    assert response.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-399", 0, 400),
        ("bytes=1-2", 1, 3),  # inside a frame
        ("bytes=4001-70000", 4001, 70001),
        (f"bytes={SIZE - 5}-", SIZE - 5, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=-{10 * SIZE}", 0, SIZE),
        (f"bytes=100-{10 * SIZE}", 100, SIZE),
        (f"bytes={SIZE - 1}-{SIZE - 1}", SIZE - 1, SIZE),
    ],
)
def test_byte_ranges(client: TestClient, job: Job, asked: str, first: int, last: int) -> None:
    url = f"/earshot/jobs/{job.id}/full/vocals.pcm"
    response = client.get(url, headers={"range": asked})
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {first}-{last - 1}/{SIZE}"
    assert response.headers["content-length"] == str(last - first)
    assert response.content == expected_pcm("vocals")[first:last]
    head = client.head(url, headers={"range": asked})
    assert head.status_code == 206 and head.content == b""
    assert head.headers["content-length"] == str(last - first)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 9}-{SIZE + 99}", "bytes=-0"])
def test_ranges_outside_are_416(client: TestClient, job: Job, asked: str) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/vocals.pcm", headers={"range": asked})
    assert response.status_code == 416 and response.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked", ["bytes=-", "bytes=5-2", "samples=0-9", "bytes=0-1,4-5", "bytes=a-b", "bytes=0x1-2", f"bytes={'9' * 400}-"]
)
def test_ranges_that_are_none_are_ignored(client: TestClient, job: Job, asked: str) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/vocals.pcm", headers={"range": asked})
    assert response.status_code == 200 and len(response.content) == SIZE


def test_a_range_of_another_version_is_the_whole(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/full/vocals.pcm"
    tag = client.head(url).headers["etag"]
    assert client.head(url).headers["content-length"] == str(SIZE)
    asked = {"range": "bytes=0-9"}
    assert client.get(url, headers={**asked, "if-range": tag}).status_code == 206
    assert client.get(url, headers={**asked, "if-range": '"older"'}).status_code == 200
    assert client.get(url, headers={"if-none-match": tag}).status_code == 304
    assert client.head(url.replace("vocals", "mixture")).headers["etag"] != tag


def test_samples_beyond_full_scale_are_limited_not_wrapped(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = make_job(store, tmp_path)
    write_stage(job, "full", {"mixture": np.array([[1.5, -1.5, 1.0, -1.0]], np.float32)}, gain=1.0)
    data = client.get(f"/earshot/jobs/{job.id}/full/mixture.pcm").content
    assert np.frombuffer(data, "<i2").tolist() == [32767, -32768, 32767, -32768]


# -- pictures


def test_peaks_hold_every_sample_at_any_zoom(client: TestClient, job: Job) -> None:
    mono = GAIN * recording(SECONDS)["vocals"].mean(axis=0)
    for start, length, points in ((0, LENGTH, 100), (1000, 2000, 500), (LENGTH - 10, 10, 10)):
        url = f"/earshot/jobs/{job.id}/full/vocals.peaks?points={points}&start={start}&length={length}"
        pairs = np.frombuffer(client.get(url).content, np.int8).reshape(-1, 2)
        assert len(pairs) == points
        edges = start + np.arange(points + 1) * length // points
        for (low, high), first, last in zip(pairs / 127, edges[:-1], edges[1:], strict=True):
            # One step of 1/127 for the rounding.
            assert low - 0.008 <= mono[first:last].min() and mono[first:last].max() <= high + 0.008


@pytest.mark.parametrize(
    "query", ["points=999999999", "points=-5", "start=999999999", "length=0", "start=-7&length=99999999"]
)
def test_numbers_out_of_bounds_are_taken_to_the_nearest(client: TestClient, job: Job, query: str) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/vocals.peaks?{query}")
    assert response.status_code == 200 and 2 <= len(response.content) <= 2 * module.MAX_POINTS


@pytest.mark.parametrize("query", ["points=1e9", "start=x", "length=1;2", f"points={'9' * 50}"])
def test_what_is_no_number_is_refused(client: TestClient, job: Job, query: str) -> None:
    assert is_error(client.get(f"/earshot/jobs/{job.id}/full/vocals.peaks?{query}"), 400)


@pytest.mark.parametrize("scale", ["mel", "linear", "log", "cqt"])
def test_spectrogram_is_an_image_of_the_size_asked(client: TestClient, job: Job, scale: str) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/vocals.png?width=200&height=50&scale={scale}")
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).size == (200, 50)


def test_spectrogram_size_is_capped(client: TestClient, job: Job) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/vocals.png?width=99999&height=99999")
    assert Image.open(io.BytesIO(response.content)).size == (module.MAX_WIDTH, module.MAX_HEIGHT)
    assert is_error(client.get(f"/earshot/jobs/{job.id}/full/vocals.png?scale=bark"), 400)


@pytest.mark.parametrize("scale", ["mel", "linear", "log", "cqt"])
@pytest.mark.parametrize("minus", [None, "accompaniment"])
def test_levels_are_the_numbers_of_the_picture(client: TestClient, job: Job, scale: str, minus: str | None) -> None:
    query = {
        "width": 120,
        "height": 40,
        "scale": scale,
        "start": 1000,
        "length": 30000,
        **({"minus": minus} if minus else {}),
    }
    url = f"/earshot/jobs/{job.id}/full/vocals"
    levels = np.frombuffer(client.get(f"{url}.levels", params=query).content, np.uint8).reshape(40, 120).astype(int)
    kind = client.get(f"/earshot/jobs/{job.id}").json()["legend"]["difference" if minus else "level"]
    decibels = (levels - kind["zero_byte"]) * 0.5
    parts = (np.clip(decibels, kind["low_db"], kind["high_db"]) - kind["low_db"]) / (kind["high_db"] - kind["low_db"])
    colours = np.array([list(bytes.fromhex(colour)) for colour in kind["colours"]])[np.round(255 * parts).astype(int)]
    picture = Image.open(io.BytesIO(client.get(f"{url}.png", params=query).content)).convert("RGB")
    assert np.abs(np.asarray(picture) - colours).max() <= 8  # at half a step either colour is right
    assert len(np.unique(levels)) > 10


def test_levels_travel_compressed_to_those_who_can_read_it(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/full/vocals.levels?width=300&height=60"
    plain, packed = (client.get(url, headers={"accept-encoding": name}) for name in ("identity", "gzip"))
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert plain.content == packed.content and len(plain.content) == 300 * 60
    assert int(packed.headers["content-length"]) < 300 * 60
    assert packed.headers["vary"] == "Accept-Encoding" and packed.headers["cache-control"] == "private, no-store"


def test_a_reference_that_is_two_percent_quieter_is_hardly_a_difference(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/full"
    levels = client.get(f"{url}/vocals.levels?width=60&height=30&minus=reference-vocals").content
    assert set(levels) == {128}  # 0.18 dB
    same = client.get(f"{url}/vocals.levels?width=60&height=30&minus=vocals").content
    assert set(same) == {128}
    louder = client.get(f"{url}/mixture.levels?width=60&height=30&minus=vocals").content
    assert max(louder) > 128 + 20


@pytest.mark.parametrize(
    "minus", ["nothing", "..", "../input/recording", "%2e%2e%2frequest", "", "vocals%00", "x" * 5000]
)
def test_only_tracks_of_the_stage_are_compared_with(client: TestClient, job: Job, minus: str) -> None:
    for kind in ("levels", "png"):
        response = client.get(f"/earshot/jobs/{job.id}/full/vocals.{kind}?minus={minus}")
        assert is_error(response, 404) and str(job.folder) not in response.text


@pytest.mark.parametrize("query", ["scale=bark", "scale=", "scale=CQT", "width=1e3", "height=x"])
def test_levels_refuse_what_they_do_not_know(client: TestClient, job: Job, query: str) -> None:
    assert is_error(client.get(f"/earshot/jobs/{job.id}/full/vocals.levels?{query}"), 400)


def test_levels_are_capped_in_size(client: TestClient, job: Job) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/vocals.levels?width=99999&height=99999")
    assert len(response.content) == module.MAX_WIDTH * module.MAX_HEIGHT
    assert len(client.get(f"/earshot/jobs/{job.id}/full/vocals.levels?width=0&height=-4").content) == 1


# -- downloads


@pytest.mark.parametrize(
    ("query", "subtype"),
    [
        ("format=wav&bit_depth=16", "PCM_16"),
        ("format=wav&bit_depth=24", "PCM_24"),
        ("format=wav&bit_depth=32f", "FLOAT"),
        ("format=flac", "PCM_24"),
    ],
)
def test_download_is_the_track_to_the_sample(client: TestClient, job: Job, query: str, subtype: str) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/download/vocals?{query}")
    with sf.SoundFile(io.BytesIO(response.content)) as file:
        assert (file.subtype, file.samplerate, file.channels, file.frames) == (subtype, RATE, 2, LENGTH)
        step = 2**-15 if subtype == "PCM_16" else 2**-23
        assert np.abs(file.read().T - GAIN * recording(SECONDS)["vocals"]).max() <= step
    assert response.headers["content-disposition"].startswith("attachment; filename")


def test_mp3_download(client: TestClient, job: Job) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/download/vocals?format=mp3")
    assert response.headers["content-type"] == "audio/mpeg"
    assert sf.info(io.BytesIO(response.content)).samplerate == RATE


@pytest.mark.parametrize("query", ["format=exe", "bit_depth=8", "format=../../x", "format=flac&bit_depth=32f"])
def test_formats_that_are_none_are_refused(client: TestClient, job: Job, query: str) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/download/vocals?{query}")
    assert response.status_code in (400, 422) and is_error(response, response.status_code)
    assert list((job.folder / "downloads").glob("*")) == [] if (job.folder / "downloads").exists() else True


@pytest.mark.parametrize(
    "name",
    ["Für Elise – live.wav", 'a"b\r\nSet-Cookie: x=1.wav', "../../etc/passwd", "x" * 900 + ".wav", "\u202egnp.exe"],
)
def test_names_of_downloads_are_safe(client: TestClient, store: JobStore, tmp_path: Path, name: str) -> None:
    job = make_job(store, tmp_path, name)
    write_stage(job, "full", recording(0.1))
    header = client.get(f"/earshot/jobs/{job.id}/full/download/vocals").headers["content-disposition"]
    assert re.fullmatch(r"attachment; filename(=\"[\w. -]+\"|\*=utf-8''[\w.%~-]+)", header)
    assert len(header) < 600 and "set-cookie" not in client.get(f"/earshot/jobs/{job.id}").headers


def test_a_download_is_made_once_and_few_are_kept(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/full"
    tag = client.head(f"{url}/download/vocals").headers["etag"]
    made = next((job.folder / "downloads").iterdir())
    before = made.stat().st_ino
    again = client.get(f"{url}/download/vocals", headers={"range": "bytes=0-3", "if-range": tag})
    assert again.status_code == 206 and again.content == b"RIFF" and made.stat().st_ino == before
    for gain in range(1, 12):
        assert client.get(f"{url}/mix?gains=vocals:0.{gain}").status_code == 200
    assert len(list((job.folder / "downloads").iterdir())) == module.DOWNLOADS_KEPT


def test_zip_holds_the_tracks_that_were_asked_for(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/full/download.zip"
    with zipfile.ZipFile(io.BytesIO(client.get(url).content)) as archive:
        assert len(archive.namelist()) == 5 and archive.namelist()[1] == "song - vocals.wav"
    response = client.get(f"{url}?tracks=vocals,residual,vocals&format=flac&bit_depth=16")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.namelist() == ["song - vocals.flac", "song - residual.flac"]
        samples, _ = sf.read(io.BytesIO(archive.read("song - vocals.flac")))
    assert np.abs(samples.T - GAIN * recording(SECONDS)["vocals"]).max() <= 2**-15
    assert response.headers["content-disposition"] == "attachment; filename*=utf-8''song%20-%20tracks.zip"
    assert {path.suffix for path in (job.folder / "downloads").iterdir()} == {".zip"}


def test_mix_is_the_weighted_sum(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/full/mix?gains=vocals:0.5,accompaniment:1,residual:0&bit_depth=32f"
    samples, _ = sf.read(io.BytesIO(client.get(url).content))
    tracks = recording(SECONDS)
    expected = GAIN * (0.5 * tracks["vocals"] + tracks["accompaniment"])
    assert np.abs(samples.T - expected).max() < 1e-6


def test_mix_that_would_clip_is_turned_down_as_a_whole(client: TestClient, job: Job) -> None:
    url = f"/earshot/jobs/{job.id}/full/mix?gains=vocals:8,accompaniment:8&bit_depth=32f"
    samples, _ = sf.read(io.BytesIO(client.get(url).content))
    tracks = recording(SECONDS)
    shape = tracks["vocals"] + tracks["accompaniment"]
    assert np.abs(samples).max() == pytest.approx(module.FULL_SCALE, abs=1e-6)
    assert np.abs(samples.T - shape * (module.FULL_SCALE / np.abs(shape).max())).max() < 1e-5


@pytest.mark.parametrize(
    "gains", ["", "vocals", "vocals:", "vocals:nan", "vocals:-1", "vocals:1e9", "vocals:17", "vocals:0", "nobody:1"]
)
def test_gains_that_are_none_are_refused(client: TestClient, job: Job, gains: str) -> None:
    response = client.get(f"/earshot/jobs/{job.id}/full/mix?gains={gains}")
    assert is_error(response, 404 if gains == "nobody:1" else 400)


def test_a_full_disk_is_told(client: TestClient, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("usage", (), {"free": 1000})
    monkeypatch.setattr("separation.audio.files.shutil.disk_usage", lambda folder: full)
    for path in ("download/vocals", "download.zip", "mix?gains=vocals:1"):
        assert is_error(client.get(f"/earshot/jobs/{job.id}/full/{path}"), 507)
    assert list((job.folder / "downloads").iterdir()) == []


def test_a_job_deleted_under_a_reader_is_404_afterwards(client: TestClient, job: Job) -> None:
    (job.folder / "full" / "vocals.wav").unlink()
    for path in ("vocals.pcm", "vocals.peaks", "vocals.png", "download/vocals", "mix?gains=vocals:1"):
        assert is_error(client.get(f"/earshot/jobs/{job.id}/full/{path}"), 404)


def test_exports_wait_for_each_other(store: JobStore, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(Starlette(routes=routes(store, exports_at_once=1)))
    running, most, lock = 0, 0, threading.Lock()
    original = module.export

    def counting(*arguments: Any, **options: Any) -> Path:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return original(*arguments, **options)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(module, "export", counting)
    urls = [f"/earshot/jobs/{job.id}/full/download/{track}" for track in ("mixture", "vocals", "residual")]
    with client:  # one event loop for all threads
        threads = [threading.Thread(target=client.get, args=(url,)) for url in urls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1 and len(list((job.folder / "downloads").iterdir())) == 3


# -- the page's own files


# -- recordings that are not separated yet


@pytest.fixture
def draft(store: JobStore, tmp_path: Path) -> Draft:
    """Two seconds of stereo, read to its end."""
    sf.write(tmp_path / "mine.wav", recording(2)["mixture"].T, RATE, "FLOAT")
    draft = store.drafts.create(tmp_path / "mine.wav", "My <song>.wav")
    return until_read(store, draft)


def until_read(store: JobStore, draft: Draft) -> Draft:
    end = time.monotonic() + 30
    while not draft.state().finished or store.drafts._reading:
        assert time.monotonic() < end
        time.sleep(0.01)
    return draft


def test_a_draft_is_shown_and_heard_like_a_stage(client: TestClient, draft: Draft) -> None:
    body = client.get(f"/earshot/drafts/{draft.id}").json()
    assert (body["name"], body["state"]["status"]) == ("My <song>.wav", "done")
    assert (body["stages"]["draft"]["length"], body["stages"]["draft"]["tracks"]) == (2 * RATE, ["mixture"])
    track = f"/earshot/drafts/{draft.id}/draft/mixture"
    whole = np.frombuffer(client.get(f"{track}.pcm").content, "<i2").reshape(-1, 2)
    assert np.abs(whole - 32768 * recording(2)["mixture"].T).max() <= 0.51
    part = client.get(f"{track}.pcm", headers={"range": "bytes=4000-7999"})
    assert part.status_code == 206 and part.content == whole[1000:2000].tobytes()
    pairs = np.frombuffer(client.get(f"{track}.peaks?points=100").content, np.int8)
    assert pairs.shape == (200,) and pairs.max() > 20
    assert Image.open(io.BytesIO(client.get(f"{track}.png?width=80&height=40").content)).size == (80, 40)
    assert len(client.get(f"{track}.levels?width=80&height=40&scale=cqt").content) == 80 * 40


def test_a_draft_gives_nothing_else_away(client: TestClient, draft: Draft, job: Job) -> None:
    base = f"/earshot/drafts/{draft.id}"
    for path in (f"{base}/full/mixture.pcm", f"{base}/draft/vocals.pcm", f"{base}/..%2f/mixture.pcm"):
        assert client.get(path).status_code == 404
    assert is_error(client.get(f"/earshot/drafts/{job.id}"), 404), "a job is no draft"
    assert is_error(client.get(f"/earshot/jobs/{draft.id}"), 404), "a draft is no job"
    for method in ("DELETE", "POST", "PUT"):
        assert client.request(method, base).status_code == 405


def test_a_draft_that_is_damaged_or_gone_says_so(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    sf.write(tmp_path / "nan.wav", np.full((RATE, 1), np.nan, np.float32), RATE, "FLOAT")
    draft = until_read(store, store.drafts.create(tmp_path / "nan.wav", "nan.wav"))
    body = client.get(f"/earshot/drafts/{draft.id}").json()
    assert body["state"]["status"] == "failed" and set(body["state"]["error"]) == {"asked", "found", "advice"}
    assert body["stages"] == {} and is_error(client.get(f"/earshot/drafts/{draft.id}/draft/mixture.pcm"), 404)
    store.drafts.delete(draft.id)
    assert is_error(client.get(f"/earshot/drafts/{draft.id}"), 404)


def test_the_legend_says_what_the_bytes_and_colours_are(client: TestClient, job: Job) -> None:
    legend = client.get(f"/earshot/jobs/{job.id}").json()["legend"]
    assert legend["step_db"] == STEP_DB and set(legend["lowest_hz"]) == set(SCALES)
    level, difference = legend["level"], legend["difference"]
    assert (level["low_db"], level["high_db"], level["zero_byte"]) == (FLOOR_DB, CEILING_DB, -FLOOR_DB / STEP_DB)
    assert level["colours"] == [bytes(colour).hex() for colour in MAGMA]
    assert difference["low_db"] == -difference["high_db"] and difference["zero_byte"] == NO_DIFFERENCE
    assert difference["colours"] == [bytes(colour).hex() for colour in DIVERGING]


def test_static_files_come_from_a_table(client: TestClient) -> None:
    response = client.get("/earshot/static/player.js")
    assert response.headers["content-type"].startswith("text/javascript")
    assert "earshot-player" in response.text
    tag = response.headers["etag"]
    assert client.get("/earshot/static/player.js", headers={"if-none-match": tag}).status_code == 304
    assert client.get("/earshot/static/player.css").headers["content-type"].startswith("text/css")
    for name in ("routes.py", "..%2froutes.py", "%2e%2e/routes.py", "player.js%00", "."):
        assert client.get(f"/earshot/static/{name}").status_code == 404


def test_the_player_stands_alone() -> None:
    """Its files import each other only; nothing that a page on plain http lacks, and nothing fetched from elsewhere."""
    for name in module.STATIC:
        if not name.endswith(".js"):
            continue
        source = (module.PLAYER / name).read_text(encoding="utf-8")
        code = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", source, flags=re.DOTALL)
        for word in ("require(", "AudioWorklet", "randomUUID", "navigator.locks", "http://", "https://"):
            assert word not in code, name
        assert {f"{file}.js" for file in re.findall(r'from "\./(\w+)\.js"', code)} <= set(module.STATIC), name
        imports = re.findall(r"^import .*", code, flags=re.MULTILINE)
        assert all(re.search(r' from "\./\w+\.js";$', line) for line in imports), name
