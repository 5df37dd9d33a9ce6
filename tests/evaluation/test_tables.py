"""Rankings, maps and comparisons of tables whose answers are known."""

import math

import numpy as np
import pandas as pd
import pytest

from separation.errors import DataError
from separation.evaluation import compare, is_yardstick, matrix, metrics_in, rank, read_table, track_values
from separation.evaluation.tables import COLUMNS, empty_rows, table_of, write_table

SDR = "bss_eval_v4.SDR"


def windows(model: str, track: str, values: list[float | None], *, source="vocals", metric=SDR, reason="silent reference",
            protocol="sisec") -> list[dict]:  # fmt: skip
    return [
        empty_rows(model=model, track=track, source=source, segment=i, start=float(i), duration=1.0, metric=metric,
                   value=value, reason="" if value is not None else reason, protocol=protocol)
        for i, value in enumerate(values)
    ]  # fmt: skip


def whole(model: str, track: str, value: float | None, *, source="vocals", metric="si_sdr", duration=10.0,
          protocol="whole") -> dict:  # fmt: skip
    return empty_rows(model=model, track=track, source=source, segment=-1, start=0.0, duration=duration, metric=metric,
                      value=value, reason="" if value is not None else "constant signal", protocol=protocol)  # fmt: skip


@pytest.fixture
def table() -> pd.DataFrame:
    rows = windows("a", "x", [1.0, 2.0, 9.0]) + windows("a", "y", [4.0, None, 6.0]) + windows("a", "z", [None, None])
    rows += windows("b", "x", [0.0, 1.0, 2.0]) + windows("b", "y", [3.0, None, 3.0])
    rows += windows("a", "x", [10.0, 10.0, 13.0], source="drums")
    return table_of(rows)


def test_the_median_over_windows_then_over_tracks(table):
    first, second = rank(table, SDR, "vocals")
    assert (first.model, first.median, first.mean, first.tracks) == ("a", 3.5, 3.5, 2)  # medians 2 and 5
    assert (second.model, second.median, second.tracks) == ("b", 2.0, 2)
    assert first.low <= first.median <= first.high
    assert first.left_out == {"silent reference": 3}
    assert first.silent_segments == 3


def test_without_a_source_a_track_is_the_mean_over_its_sources(table):
    assert track_values(table, SDR)["a"] == {"x": 6.0, "y": 5.0}
    assert track_values(table, SDR, "vocals") == {"a": {"x": 2.0, "y": 5.0}, "b": {"x": 1.0, "y": 3.0}}


def test_means_over_windows_and_one_heap_of_all_windows(table):
    assert track_values(table, SDR, "vocals", per_track="mean")["a"] == {"x": 4.0, "y": 5.0}
    pooled = rank(table, SDR, "vocals", per_track="pooled")[0]
    assert (pooled.median, pooled.mean, pooled.tracks) == (4.0, 4.4, 2)
    assert pooled.low <= pooled.mean <= pooled.high


def test_a_metric_of_whole_tracks_counts_as_it_is():
    of_track = whole("a", "x", -50.0, metric="pes_wiass", protocol="sisec")
    rows = [*windows("a", "x", [1.0, 2.0], metric="pes_wiass"), of_track]
    table = table_of(rows)
    assert track_values(table, "pes_wiass") == {"a": {"x": -50.0}}
    assert rank(table, "pes_wiass", per_track="pooled")[0].median == 1.5


def test_lower_is_better_where_it_is_and_nothing_comes_last():
    rows = [whole(m, "x", v, metric="pes_htmd", protocol="htmd") for m, v in (("a", -20.0), ("b", None), ("c", -60.0))]
    lines = rank(table_of(rows), "pes_htmd")
    assert [line.model for line in lines] == ["c", "a", "b"]
    assert math.isnan(lines[2].median) and lines[2].tracks == 0 and lines[2].left_out == {"constant signal": 1}
    assert math.isnan(lines[0].low)  # one track has no interval


def test_gnsdr_is_weighted_by_length_and_ranks_by_the_mean():
    nsdr = "bss_eval_v3.NSDR"
    rows = [whole("a", "x", 10.0, metric=nsdr, duration=30.0, protocol="mir1k"),
            whole("a", "y", 2.0, metric=nsdr, duration=10.0, protocol="mir1k"),
            whole("b", "x", 7.0, metric=nsdr, duration=30.0, protocol="mir1k"),
            whole("b", "y", 7.0, metric=nsdr, duration=10.0, protocol="mir1k")]  # fmt: skip
    first, second = rank(table_of(rows), nsdr)
    assert (first.model, first.mean, first.median) == ("a", 8.0, 6.0)
    assert (second.model, second.mean) == ("b", 7.0)


def test_the_map_of_track_and_second(table):
    tracks, starts, values = matrix(table, "a", SDR, "vocals")
    assert (tracks, starts) == (["x", "y", "z"], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(values, [[1, 2, 9], [4, np.nan, 6], [np.nan, np.nan, np.nan]])
    with pytest.raises(DataError, match="it is of whole tracks"):
        matrix(table_of([whole("a", "x", 1.0)]), "a", "si_sdr", "vocals")


def test_two_models_on_few_tracks_have_no_p_value(table):
    found = compare(table, "a", "b", SDR, "vocals")
    assert (found.difference, found.tracks) == (1.5, 2)
    assert (found.p, found.p_holm, found.effect) == (None, None, None)


def many(models: dict[str, float]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    noise = {model: rng.standard_normal(12) for model in models}
    return table_of([whole(m, f"t{i}", level + 0.3 * noise[m][i]) for m, level in models.items() for i in range(12)])


def test_two_models_on_many_tracks():
    alone = compare(many({"a": 5.0, "b": 4.0}), "a", "b", "si_sdr")
    assert alone.tracks == 12 and 0.7 < alone.difference < 1.3 and alone.low <= alone.difference <= alone.high
    assert alone.p < 0.01 and alone.p_holm == alone.p and alone.effect > 0.9
    mirrored = compare(many({"a": 5.0, "b": 4.0}), "b", "a", "si_sdr")
    assert mirrored.difference == pytest.approx(-alone.difference) and mirrored.effect == pytest.approx(-alone.effect)


def test_p_values_are_corrected_for_all_pairs_of_models_but_not_for_yardsticks():
    among = compare(many({"a": 5.0, "b": 4.6, "c": 4.99}), "a", "b", "si_sdr")
    assert among.p < among.p_holm <= 3 * among.p
    beside = compare(many({"a": 5.0, "b": 4.6, "oracle:irm2": 9.0, "oracle:mixture": 0.0}), "a", "b", "si_sdr")
    assert beside.p_holm == beside.p


def test_models_without_a_track_in_common():
    table = table_of([whole("a", "x", 1.0), whole("b", "y", 1.0)])
    with pytest.raises(DataError, match="no track has a number of both"):
        compare(table, "a", "b", "si_sdr")
    with pytest.raises(DataError, match=r"no si_sdr of c, only of a, b"):
        compare(table, "a", "c", "si_sdr")


def test_what_is_not_there_is_named_with_what_is(table):
    with pytest.raises(DataError, match=r"stoi.*it has bss_eval_v4.SDR as metric"):
        rank(table, "stoi")
    with pytest.raises(DataError, match=r"piano.*it has vocals, drums as source"):
        rank(table, SDR, "piano")
    with pytest.raises(DataError, match=r"it has a, b as model"):
        matrix(table, "c", SDR, "vocals")
    mixed = pd.concat([table, table_of(windows("a", "q", [1.0], protocol="htmd"))])
    with pytest.raises(DataError, match="the table holds results by htmd, sisec"):
        rank(mixed, SDR)


@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
def test_files_keep_values_gaps_and_types(name, table, tmp_path):
    table.loc[0, "track"] = "NA"  # a name, not a gap
    table.loc[1, "value"] = 1 / 3
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), table, check_exact=True)


def test_what_is_no_table_is_refused(table, tmp_path):
    with pytest.raises(DataError, match="there is no table and no part of one"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="there is no such file"):
        read_table(tmp_path / "x.csv")
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(DataError, match="it is not a table"):
        read_table(tmp_path / "x.parquet")
    table.drop(columns=["reason", "value"]).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(DataError, match="it has no column value, reason"):
        read_table(tmp_path / "x.csv")


def test_metrics_come_in_the_order_of_the_table(table):
    more = pd.concat([table, table_of(windows("a", "x", [1.0], source="drums", metric="snr"))])
    assert metrics_in(more) == [SDR, "snr"]
    assert metrics_in(more, "vocals") == [SDR]


def test_yardsticks():
    assert is_yardstick("oracle:irm2") and is_yardstick("mixture") and not is_yardstick("vocals")
    assert tuple(table_of([]).columns) == COLUMNS
