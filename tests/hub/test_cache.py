"""What the Hub's cache holds of ours, a look at a repository before it is fetched, and removing it again."""

import json
from pathlib import Path

import pytest
from fake_hub import FakeHub, commit_hash
from tiny_folder import FIELDS, contents, tiny

from separation import hub
from separation.errors import ConfigError, HubError, UnknownModel, WeightsError

Files = dict[str, bytes]


def newer(tmp_path: Path) -> Files:
    hub.save(tmp_path / "newer" / "tiny", tiny(seed=1), **FIELDS)
    return contents(tmp_path / "newer" / "tiny")


def blobs(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.rglob("blobs/*"))


def test_an_empty_cache_and_none_at_all(cache: Path, tmp_path: Path) -> None:
    assert hub.installed(cache) == []
    (tmp_path / "file").write_text("in the way")
    assert hub.installed(tmp_path / "file") == []
    with pytest.raises(UnknownModel, match="no copy of it") as caught:
        hub.remove("owner/tiny", cache_dir=cache)
    assert "Nothing of the Hub is here" in caught.value.advice


def test_whole_models_of_ours_are_listed_and_nothing_else(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", files)
    fake.add("owner/looked-at", files)
    fake.add("someone/bert", {**files, "config.json": b'{"model_type": "bert"}'})
    hub.load("owner/tiny", cache_dir=cache)
    hub.describe("owner/looked-at", cache_dir=cache)
    with pytest.raises(ConfigError):
        hub.describe("someone/bert", cache_dir=cache)
    (one,) = hub.installed(cache)
    assert (one.repo, one.refs) == ("owner/tiny", ("main",))
    assert one.card.origin.name == f"owner/tiny@{commit_hash(files)}"
    assert one.bytes == sum(len(content) for content in files.values())
    assert one.used > 1e9
    fake.close()
    assert hub.load(one.card.origin.name, cache_dir=cache).card.name == "tiny", "its name opens it without the network"


def test_removing_one_commit_leaves_the_other(fake: FakeHub, files: Files, cache: Path, tmp_path: Path) -> None:
    after = newer(tmp_path)
    fake.add("owner/tiny", files, after)
    first, second = (hub.load(f"owner/tiny@{tag}", cache_dir=cache).card.origin.name for tag in ("v1", "v2"))
    assert {one.card.origin.name for one in hub.installed(cache)} == {first, second}
    before = blobs(cache)
    freed = hub.remove(first, cache_dir=cache)
    assert blobs(cache) == before - freed and freed >= len(files["model.safetensors"])
    assert [one.card.origin.name for one in hub.installed(cache)] == [second]
    assert hub.load(second, cache_dir=cache).card.name == "tiny"
    with pytest.raises(UnknownModel, match="no copy") as caught:
        hub.remove(first, cache_dir=cache)
    assert "owner/tiny" in caught.value.advice


def test_removing_a_repository_takes_all_of_it(fake: FakeHub, files: Files, cache: Path, tmp_path: Path) -> None:
    fake.add("owner/tiny", files, newer(tmp_path))
    for tag in ("v1", "v2"):
        hub.load(f"owner/tiny@{tag}", cache_dir=cache)
    assert hub.remove("owner/tiny", cache_dir=cache) > 0
    assert hub.installed(cache) == [] and blobs(cache) == 0
    assert hub.load("owner/tiny", cache_dir=cache).card.name == "tiny", "and it can be fetched again"


def test_what_belongs_to_other_programs_is_never_removed(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("someone/bert", {**files, "config.json": b'{"model_type": "bert"}'})
    with pytest.raises(ConfigError):
        hub.load("someone/bert", cache_dir=cache)
    kept = sorted(path for path in cache.rglob("*") if path.is_file())
    for name in ("someone/bert", "../..", "", "vocals"):
        with pytest.raises(UnknownModel):
            hub.remove(name, cache_dir=cache)
    assert sorted(path for path in cache.rglob("*") if path.is_file()) == kept != []


def test_a_look_says_what_happens_to_each_file(fake: FakeHub, files: Files, cache: Path) -> None:
    fake.add("owner/tiny", {**files, "old.ckpt": b"x", "train.py": b"y", ".gitattributes": b"z", "sub/model.bin": b""})
    found = hub.survey("owner/tiny", cache_dir=cache)
    assert found.refusal is None and found.card is not None and found.card.title == FIELDS["title"]
    assert {name: verdict for name, _, verdict in found.files} == {
        "config.json": "taken", "README.md": "taken", "model.safetensors": "taken",
        "old.ckpt": "pickle", "sub/model.bin": "pickle", "train.py": "code", ".gitattributes": "not needed",
    }  # fmt: skip
    assert found.missing == sum(len(content) for content in files.values())
    assert fake.fetched() == ["config.json"]
    hub.load("owner/tiny", cache_dir=cache)
    assert hub.survey("owner/tiny", cache_dir=cache).missing == 0


def test_a_look_says_why_it_would_be_refused(fake: FakeHub, files: Files, cache: Path) -> None:
    bare = {name: content for name, content in files.items() if name != "model.safetensors"}
    config = json.loads(files["config.json"])
    config["weights"]["bytes"] = 5_000_000_000
    claims = {"model.safetensors": (5_000_000_000, config["weights"]["sha256"])}
    fake.add("owner/pickled", {**bare, "pytorch_model.bin": b"x"})
    fake.add("owner/giant", {**files, "config.json": json.dumps(config).encode()}, claims=claims)
    fake.add("owner/bert", {**files, "config.json": b'{"model_type": "bert"}'})
    fake.add("owner/gated", files, gated=True)
    fake.add("owner/plain", {"weights.bin": b"x"})
    refusals = {
        "owner/pickled": (WeightsError, "pytorch_model.bin"),
        "owner/giant": (HubError, "5.00 GB"),
        "owner/bert": (ConfigError, "not a model for this app"),
        "owner/gated": (HubError, "gated"),
        "owner/plain": (ConfigError, "holds no config.json"),
    }
    for name, (kind, words) in refusals.items():
        found = hub.survey(name, cache_dir=cache)
        assert isinstance(found.refusal, kind) and words in found.refusal.found, name
        assert found.files, "what it holds is said all the same"
    assert not {"model.safetensors", "pytorch_model.bin", "weights.bin"} & set(fake.fetched())
    assert hub.survey("owner/pickled", cache_dir=cache).card is not None


def test_a_look_at_what_is_not_there(fake: FakeHub, files: Files, cache: Path) -> None:
    for name, words in (("owner/none", "does not exist"), ("vocals", "of this machine")):
        with pytest.raises((HubError, UnknownModel), match=words):
            hub.survey(name, cache_dir=cache)
    fake.add("owner/tiny", files)
    hub.load("owner/tiny", cache_dir=cache)
    fake.close()
    found = hub.survey("owner/tiny", cache_dir=cache)
    assert found.card is not None and "the copy fetched earlier is used" in found.card.origin.notes[0]
    assert (found.missing, found.refusal, found.files) == (0, None, ())
    with pytest.raises(HubError, match="cannot be reached"):
        hub.survey("owner/none", cache_dir=cache)
