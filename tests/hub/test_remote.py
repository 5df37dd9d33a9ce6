"""Repositories on the Hub, with the real client against the fake server."""

import json
import logging
import shutil
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_hub import FakeHub, commit_hash
from huggingface_hub import constants, file_download
from tiny_folder import FIELDS, contents, tiny

from separation import hub
from separation.errors import ConfigError, DiskFull, HubError, SeparationError, UnknownModel, WeightsError
from separation.hub import remote
from separation.models import ARCHITECTURES

Files = dict[str, bytes]


def other_seed(tmp_path: Path) -> Files:
    hub.save(tmp_path / "other" / "tiny", tiny(seed=1), **FIELDS)
    return contents(tmp_path / "other" / "tiny")


def weights_of(files: Files) -> tuple[int, str]:
    found = json.loads(files["config.json"])["weights"]
    return found["bytes"], found["sha256"]


def test_load_pins_the_commit_and_fetches_only_what_is_allowed(fake: FakeHub, files: Files, cache: Path) -> None:
    files |= {"pytorch_model.bin": b"pickle", "train.py": b"import os", "nested/config.json": b"{}"}
    fake.add("owner/tiny", files)
    model = hub.load("owner/tiny", cache_dir=cache)
    commit = commit_hash(files)
    assert model.card.origin.revision == commit and model.card.origin.name == f"owner/tiny@{commit}"
    assert model.card.origin.notes == ()
    assert sorted(fake.fetched()) == ["README.md", "config.json", "model.safetensors"]
    assert [r for r in fake.requests if r.status != 200] == []
    assert torch.equal(model.state_dict()["encoder.weight"], tiny().state_dict()["encoder.weight"])


def test_a_revision_gives_its_own_weights(fake: FakeHub, files: Files, cache: Path, tmp_path: Path) -> None:
    newer = other_seed(tmp_path)
    fake.add("owner/tiny", files, newer)
    loaded = {name: hub.load(name, cache_dir=cache)
              for name in ("owner/tiny", "owner/tiny@v1", f"owner/tiny@{commit_hash(files)}")}  # fmt: skip
    first, second = tiny(seed=0).state_dict()["encoder.weight"], tiny(seed=1).state_dict()["encoder.weight"]
    for name, expected in zip(loaded, (second, first, first), strict=True):
        assert torch.equal(loaded[name].state_dict()["encoder.weight"], expected)
    assert loaded["owner/tiny"].card.origin.revision == commit_hash(newer)
    assert loaded["owner/tiny@v1"].card.origin.revision == commit_hash(files)


def test_progress_begins_with_the_size_and_ends_at_it(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", files)
    seen: list[tuple[int, int]] = []
    total = len(files["model.safetensors"]) + len(files["README.md"])
    assert hub.fetch_size("owner/tiny", cache_dir=cache) == total + len(files["config.json"])
    hub.load("owner/tiny", cache_dir=cache, progress=lambda done, of: seen.append((done, of)))
    assert seen[0] == (0, total) and seen[-1] == (total, total) and seen == sorted(seen)
    assert hub.fetch_size("owner/tiny", cache_dir=cache) == 0


def test_progress_may_stop_the_download(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", files)

    class Stop(Exception): ...

    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        hub.load("owner/tiny", cache_dir=cache, progress=stop)
    assert fake.fetched() == ["config.json"]


def test_describe_fetches_the_config_only(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", files)
    card = hub.describe("owner/tiny", cache_dir=cache)
    assert card.title == "Two speakers, tiny" and card.origin.revision == commit_hash(files)
    assert fake.fetched() == ["config.json"]


def test_a_dropped_connection_goes_on_where_it_stopped(
    fake: FakeHub, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # the client's own is larger than this file
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    fake.add("owner/tiny", files, drop_after=5000)
    seen: list[int] = []
    model = hub.load("owner/tiny", cache_dir=cache, progress=lambda done, total: seen.append(done))
    ranges = [r.range for r in fake.requests if r.method == "GET" and r.path.endswith("model.safetensors")]
    assert ranges == [None, "bytes=4096-"]
    assert seen == sorted(seen) and seen[-1] == len(files["model.safetensors"]) + len(files["README.md"])
    assert torch.equal(model.state_dict()["encoder.weight"], tiny().state_dict()["encoder.weight"])


def test_a_damaged_transfer_is_deleted_and_can_be_repeated(fake: FakeHub, files: Files, cache: Path) -> None:
    repo = fake.add("owner/tiny", files, damage={"model.safetensors"})
    with pytest.raises(WeightsError, match=r"is damaged .* the copy was deleted"):
        hub.load("owner/tiny", cache_dir=cache)
    size = len(files["model.safetensors"])
    assert not [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size == size]
    repo.damage.clear()
    assert hub.load("owner/tiny", cache_dir=cache).card.name == "tiny"


def test_a_copy_damaged_in_the_cache_is_replaced_on_the_next_try(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", files)
    name = hub.load("owner/tiny", cache_dir=cache).card.origin.name
    blob = next(cache.rglob("snapshots/*/model.safetensors")).resolve()
    blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(WeightsError, match="is damaged"):
        hub.load(name, cache_dir=cache)
    assert not blob.exists()
    assert hub.load(name, cache_dir=cache).card.name == "tiny"


def test_a_config_about_other_weights_is_refused_before_the_download(
    fake: FakeHub, files: Files, cache: Path, tmp_path: Path
) -> None:
    files["model.safetensors"] = other_seed(tmp_path)["model.safetensors"]
    fake.add("owner/tiny", files)
    with pytest.raises(WeightsError, match=r"on the Hub .* is not the file that config\.json describes"):
        hub.load("owner/tiny", cache_dir=cache)
    assert fake.fetched() == ["config.json"]


def test_a_giant_is_refused_before_the_download(fake: FakeHub, files: Files, cache: Path) -> None:
    config = json.loads(files["config.json"])
    config["weights"]["bytes"] = 5_000_000_000
    files["config.json"] = json.dumps(config).encode()
    claims = {"model.safetensors": (5_000_000_000, config["weights"]["sha256"])}
    fake.add("owner/giant", files, claims=claims)
    with pytest.raises(HubError, match=r"5\.00 GB would be fetched, more than the limit of 2\.00 GB"):
        hub.load("owner/giant", cache_dir=cache)
    assert hub.fetch_size("owner/giant", cache_dir=cache) > 5_000_000_000
    assert fake.fetched() == ["config.json"]


def test_the_limit_is_the_callers(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", files)
    with pytest.raises(HubError, match="more than the limit"):
        hub.load("owner/tiny", cache_dir=cache, max_bytes=1000)


def test_a_full_disk_is_noticed_before_the_download(
    fake: FakeHub, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("owner/tiny", files)
    free = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(DiskFull, match="HF_HOME") as caught:
        hub.load("owner/tiny", cache_dir=cache)
    assert "selection" not in caught.value.advice and fake.fetched() == []


def test_a_giant_config_is_not_fetched(fake: FakeHub, files: Files, cache: Path) -> None:
    files["config.json"] = b" " * 1_000_001
    fake.add("owner/tiny", files)
    with pytest.raises(ConfigError, match="1,000,001 bytes"):
        hub.describe("owner/tiny", cache_dir=cache)
    assert fake.fetched() == []


def without(files: Files, *names: str) -> Files:
    return {name: content for name, content in files.items() if name not in names}


def test_repositories_that_cannot_be_used_each_say_why(fake: FakeHub, files: Files, cache: Path) -> None:
    config = json.loads(files["config.json"])
    fake.add("owner/tiny", files)
    fake.add("owner/private", files, token="hf_right")
    fake.add("owner/gated", files, gated=True)
    fake.add("owner/no-config", without(files, "config.json"))
    fake.add("owner/no-weights", without(files, "model.safetensors"))
    fake.add("owner/pickled", {**without(files, "model.safetensors"), "pytorch_model.bin": b"x", "old.ckpt": b"y"})
    fake.add("owner/bert", {**files, "config.json": b'{"model_type": "bert", "architectures": ["Bert"]}'})
    fake.add("owner/strange", {**files, "config.json": json.dumps({**config, "architecture": "demucs"}).encode()})
    cases: dict[str, tuple[type[SeparationError], str]] = {
        "owner/missing": (HubError, "does not exist, or it is private"),
        "owner/private": (HubError, "does not exist, or it is private"),
        "owner/gated": (HubError, "gated"),
        "owner/tiny@v9": (HubError, "no such branch, tag or commit"),
        "owner/no-config": (ConfigError, "holds no config.json"),
        "owner/no-weights": (WeightsError, "there is no model.safetensors"),
        "owner/pickled": (WeightsError, "only as old.ckpt, pytorch_model.bin; such files are pickles"),
        "owner/bert": (ConfigError, "not a model for this app"),
        "owner/strange": (ConfigError, f"architecture: only {', '.join(ARCHITECTURES)} may be built"),
    }
    for name, (kind, words) in cases.items():
        with pytest.raises(kind) as caught:
            hub.load(name, cache_dir=cache)
        assert words in caught.value.found, (name, caught.value.found)
        assert name.split("@")[0] in caught.value.asked and caught.value.advice, name
    assert not {"model.safetensors", "pytorch_model.bin", "old.ckpt"} & set(fake.fetched())


def test_a_token_opens_a_private_repository(
    fake: FakeHub, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("owner/private", files, token="hf_right")
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert hub.load("owner/private", cache_dir=cache).card.name == "tiny"


def test_an_account_without_consent_is_told_about_the_gate(
    fake: FakeHub, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("owner/gated", files, gated=True)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    with pytest.raises(HubError, match="gated"):
        hub.load("owner/gated", cache_dir=cache)
    assert {request.status for request in fake.requests if "/resolve/" in request.path} == {403}


@pytest.mark.parametrize("status", [None, 401, 403, 429, 500])
def test_no_token_in_any_message_or_log(
    fake: FakeHub, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    status: int | None,
) -> None:  # fmt: skip
    fake.add("owner/private", files, token="hf_right")
    fake.status = status
    monkeypatch.setenv("HF_TOKEN", "hf_secret_token")
    with caplog.at_level(logging.DEBUG), pytest.raises(HubError) as caught:
        hub.load("owner/private", cache_dir=cache)
    assert fake.requests[0].authorization == "Bearer hf_secret_token"  # it was really in use
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(caught.value)
    assert "hf_secret_token" not in told


@pytest.mark.parametrize(
    ("status", "words", "advice"),
    [
        (403, "forbidden", "token that may read it"),
        (429, "too many requests", "in 7 s"),
        (500, r"out of order \(500\)", "few minutes"),
        (503, r"out of order \(503\)", "few minutes"),
        (418, "answers 418", "Check the name"),
        (200, "is not the Hub", "sign-in page"),
    ],
)
def test_a_hub_in_trouble_is_told_apart(
    fake: FakeHub, files: Files, cache: Path, status: int, words: str, advice: str
) -> None:
    fake.add("owner/tiny", files)
    fake.status = status
    with pytest.raises(HubError, match=words) as caught:
        hub.load("owner/tiny", cache_dir=cache)
    assert advice in caught.value.advice


@pytest.mark.parametrize("trouble", [429, 503, "down", "offline"])
def test_an_earlier_copy_stands_in_with_a_note(
    fake: FakeHub, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    fake.add("owner/tiny", files)
    hub.load("owner/tiny", cache_dir=cache)
    before = len(fake.requests)
    if trouble == "down":
        fake.close()
    elif trouble == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        fake.status = trouble
    card = hub.load("owner/tiny", cache_dir=cache).card
    assert card.origin.revision == commit_hash(files) and len(card.origin.notes) == 1
    note = card.origin.notes[0]
    assert "the copy fetched earlier is used" in note and commit_hash(files)[:12] in note
    assert "no complete copy" not in note
    assert hub.fetch_size("owner/tiny", cache_dir=cache) == 0
    if trouble == "offline":
        assert len(fake.requests) == before


def test_without_network_and_without_a_copy(
    fake: FakeHub, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("owner/tiny", files)
    hub.describe("owner/tiny", cache_dir=cache)  # the config alone is not enough to load
    fake.close()
    with pytest.raises(HubError, match=r"cannot be reached .*, and no complete copy") as caught:
        hub.load("owner/tiny", cache_dir=cache)
    assert fake.url.split(":")[1] in caught.value.found and "bundled models" in caught.value.advice
    assert hub.describe("owner/tiny", cache_dir=cache).origin.notes
    with pytest.raises(HubError, match="cannot be reached"):
        hub.fetch_size("owner/tiny", cache_dir=cache)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        hub.load("owner/tiny", cache_dir=cache)


def test_a_pinned_copy_needs_no_hub(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", files)
    name = hub.load("owner/tiny", cache_dir=cache).card.origin.name
    count = len(fake.requests)
    assert hub.load(name, cache_dir=cache).card.origin.notes == ()
    assert len(fake.requests) == count


def test_an_update_that_fails_leaves_the_earlier_copy_in_use(
    fake: FakeHub, files: Files, cache: Path, tmp_path: Path
) -> None:
    fake.add("owner/tiny", files)
    hub.load("owner/tiny", cache_dir=cache)
    newer = other_seed(tmp_path)
    fake.add("owner/tiny", files, newer, damage={"model.safetensors"})
    assert hub.describe("owner/tiny", cache_dir=cache).origin.revision == commit_hash(newer)
    with pytest.raises(WeightsError, match="damaged"):
        hub.load("owner/tiny", cache_dir=cache)
    fake.close()
    assert hub.load("owner/tiny", cache_dir=cache).card.origin.revision == commit_hash(files)


def test_a_second_load_fetches_nothing(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", files)
    hub.load("owner/tiny", cache_dir=cache)
    count = len(fake.requests)
    seen: list[tuple[int, int]] = []
    hub.load("owner/tiny", cache_dir=cache, progress=lambda done, total: seen.append((done, total)))
    assert len(fake.requests) == count + 1 and seen == [(0, 0)]


def test_a_cache_that_cannot_be_written(fake: FakeHub, files: Files, tmp_path: Path) -> None:
    fake.add("owner/tiny", files)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HubError, match="could not be stored"):
        hub.load("owner/tiny", cache_dir=tmp_path / "file" / "cache")


def test_a_disk_that_fills_up_on_the_way(
    fake: FakeHub, files: Files, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("owner/tiny", files)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(DiskFull, match="HF_HOME"):
        hub.load("owner/tiny", cache_dir=cache)


def test_a_bad_name_never_reaches_the_network(fake: FakeHub, cache: Path) -> None:
    with pytest.raises(UnknownModel):
        hub.load("../../etc/passwd", cache_dir=cache)
    assert fake.requests == []


def test_the_allow_list_is_the_model_folder() -> None:
    assert remote.ALLOWED == ("config.json", "README.md", "training.json", "model.safetensors")
