"""Which stems belong to which source, by name."""

import pytest

from separation.datasets.names import match


@pytest.mark.parametrize(
    ("sources", "stems", "expected"),
    [
        (("vocals",), ("vocals", "voice"), {"vocals": ("vocals",)}),
        (("vocals",), ("voice", "singing"), {}),
        (("vocals", "accompaniment"), ("Voice", "Music"), {"vocals": ("Voice",), "accompaniment": ("Music",)}),
        (
            ("accompaniment", "vocals"),
            ("voice", "drums", "bass"),
            {"accompaniment": ("drums", "bass"), "vocals": ("voice",)},
        ),
        (("accompaniment", "vocals"), ("voice",), {"vocals": ("voice",)}),
        (("speaker 1", "speaker 2"), ("s2", "Speaker-01"), {"speaker 1": ("Speaker-01",), "speaker 2": ("s2",)}),
        (("drums",), ("bass",), {}),
        (("drums",), (), {}),
    ],
)
def test_names_decide(sources: tuple[str, ...], stems: tuple[str, ...], expected: dict[str, tuple[str, ...]]) -> None:
    found = match(sources, stems)
    assert found == expected and list(found) == list(expected)
