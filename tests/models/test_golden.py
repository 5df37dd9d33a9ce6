"""Golden files: today's code gives the numbers that were written down. A missing file fails."""

from pathlib import Path

import pytest

from tests.golden import make

ROUNDING = 1e-5
"""Of the largest value: other processors and BLAS builds add in another order, a few units in the seventh digit a layer."""


@pytest.mark.parametrize("name", make.CASES)
def test_the_numbers_have_not_moved(name: str) -> None:
    path = make.FOLDER / f"{name}.safetensors"
    assert path.is_file(), "the golden file is missing; `python -m tests.golden.make` writes it"
    golden = make.read(path)
    expected = golden[1]["output"]
    estimates = make.separate(make.rebuild(golden), golden[1]["input"])
    assert expected.std() > 0.01, "a golden silence proves nothing"
    assert float((estimates - expected).abs().max() / expected.abs().max()) < ROUNDING


def test_the_generator_gives_the_files_that_are_kept(tmp_path: Path) -> None:
    for path in make.make(tmp_path):
        kept = make.FOLDER / path.name
        assert make.difference(make.read(kept), make.read(path)) < ROUNDING, path.name
        assert make.read(kept)[0] == make.read(path)[0]


def test_goldens_are_small_and_there_is_no_other() -> None:
    files = {path.name: path.stat().st_size for path in make.FOLDER.glob("*.safetensors")}
    assert set(files) == {f"{name}.safetensors" for name in make.CASES}
    assert max(files.values()) < 100_000


def test_a_moved_weight_is_noticed() -> None:
    metadata, tensors = make.read(make.FOLDER / "unet-two.safetensors")
    moved = {name: t + 1e-3 if name == "weights.scale" else t for name, t in tensors.items()}
    assert make.difference((metadata, tensors), (metadata, moved)) > 1e-4
    fewer = {name: t for name, t in tensors.items() if name != "weights.scale"}
    assert make.difference((metadata, tensors), (metadata, fewer)) == float("inf")
