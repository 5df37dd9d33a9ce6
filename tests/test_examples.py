"""The bundled examples as they are stored: the stems are true, the credits are there, and they stay small."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "examples"
EXAMPLES = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*/example.json")}
ONE_FOLDER, ALL_FOLDERS = 4_000_000, 9_000_000  # bytes
LICENCES = {"MIT", "GPL-2.0-or-later", "CC BY 3.0", "CC BY-SA 3.0"}  # all allow adapted copies to be passed on


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*"))


def read(name: str, file: str) -> tuple[Any, int]:
    samples, rate = sf.read(FOLDER / name / file, dtype="int16", always_2d=True)
    return samples.astype(int), rate


def test_there_are_three_in_a_definite_order() -> None:
    assert len(EXAMPLES) >= 3
    assert sorted(fields["order"] for fields in EXAMPLES.values()) == list(range(1, len(EXAMPLES) + 1))
    assert EXAMPLES["voice-over-music"]["order"] == 1


def test_they_are_small() -> None:
    assert {name: size(FOLDER / name) for name in EXAMPLES if size(FOLDER / name) >= ONE_FOLDER} == {}
    assert size(FOLDER) < ALL_FOLDERS


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_stems_sum_to_the_mixture(name: str) -> None:
    fields = EXAMPLES[name]
    mixture, rate = read(name, fields["mixture"])
    stems = {source: read(name, file) for source, file in fields["references"].items()}
    assert rate == fields["sample_rate"] and {found for _, found in stems.values()} == {rate}
    assert len(stems) == 2 and 10 * rate < len(mixture) < 20 * rate
    assert np.abs(mixture).max() < 0.8 * 2**15, "the mixture leaves headroom"
    assert np.abs(sum(samples for samples, _ in stems.values()) - mixture).max() <= 1
    for source, (samples, _) in stems.items():
        assert np.sqrt(np.mean(samples**2.0)) > 300, f"{source} is hardly there"


def test_the_music_begins_alone() -> None:
    vocals, rate = read("voice-over-music", "vocals.flac")
    assert np.abs(vocals[: 2 * rate]).max() == 0 < np.abs(vocals[2 * rate : 3 * rate]).max()


@pytest.mark.parametrize(
    ("name", "sources"),
    [("voice-over-music", {"vocals", "accompaniment"}), ("two-speakers", {"speaker 1", "speaker 2"})],
)
def test_the_references_are_named_as_the_model_names_its_sources(name: str, sources: set[str]) -> None:
    assert set(EXAMPLES[name]["references"]) == sources
    card = json.loads((FOLDER.parent / "models" / EXAMPLES[name]["model"] / "config.json").read_text(encoding="utf-8"))
    assert set(card["sources"]) == sources


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_part_is_credited(name: str) -> None:
    fields = EXAMPLES[name]
    told = " ".join(credit["what"] for credit in fields["credits"])
    assert all(file in told for file in [fields["mixture"], *fields["references"].values()])
    for credit in fields["credits"]:
        assert set(credit) == {"what", "author", "licence", "licence_url", "source"} and all(credit.values())
        assert credit["licence"] in LICENCES and credit["licence_url"].startswith("https://")
        assert "Debian package" in credit["source"] or credit["author"] == "Earshot"
    licence = (FOLDER / name / "LICENCE.txt").read_text(encoding="utf-8")
    assert re.search("Creative Commons|Permission is hereby granted|GNU GENERAL PUBLIC LICENSE", licence)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_credits_page_lists_it(name: str) -> None:
    page = (FOLDER.parents[1] / "CREDITS.md").read_text(encoding="utf-8")
    assert f"assets/examples/{name}" in page
    for credit in EXAMPLES[name]["credits"]:
        assert credit["licence"] in page and re.split(r"[;:(]", credit["author"])[0].strip() in page
