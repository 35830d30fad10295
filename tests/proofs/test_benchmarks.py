"""The benchmarks work: small inputs through ours and the floors, a report over made-up samples. Nothing is timed."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from itertools import count
from pathlib import Path

import pytest

from benchmarks import inputs, peers, report, run, scale
from benchmarks.run import Results, Sample

ROOT = Path(__file__).parents[2]
FEW = 25
KINDS = {
    "tokens": "cursor={next}",
    "pages": "page={page}",
    "offsets": "offset={offset}",
    "keyset": "after={last}",
    "slices": f"since={inputs.FIRST}&cursor={{next}}",
}


def gauged(script: str) -> dict[str, object]:
    finished = subprocess.run(
        [sys.executable, "-IS", ROOT / "benchmarks" / "gauge.py", sys.executable, "-c", script],
        check=True,
        stdout=subprocess.PIPE,
    )
    told: dict[str, object] = json.loads(finished.stdout)
    return told


def test_the_gauge_counts_records_that_lie_in_two_chunks() -> None:
    whole, half = '{"type":"RECORD"}', '{"type":"REC'
    told = gauged(
        "import sys, time; out = sys.stdout\n"
        f"for part in ({whole!r} + chr(10) + {half!r}, 'O', 'RD\"}}' + chr(10), {whole!r} * 3):\n"
        "    out.write(part); out.flush(); time.sleep(0.05)"
    )
    assert (told["records"], told["code"]) == (5, 0)


def test_the_gauge_reports_the_last_line_and_the_exit_code() -> None:
    told = gauged("print('x' * 5000); print(42); raise SystemExit(3)")
    assert str(told["last"]).split()[-1] == "42"
    assert told["code"] == 3


@pytest.mark.parametrize("shape", ["plain", "wide", "large", "streams", "versions", "changed-2", "spread-2"])
def test_an_input_is_the_same_each_time_and_fits_its_schema(shape: str) -> None:
    made = inputs.SHAPES[shape]
    rows = [*made.rows(3)]
    assert rows == [*made.rows(3)]
    assert len(rows) == 3
    assert all(row.keys() == made.schema["properties"].keys() for row in rows)
    assert [row["updated_at"] for row in rows] == sorted(row["updated_at"] for row in rows)


def test_later_versions_are_newer_than_all_before_and_their_keys_lie_apart() -> None:
    before, after = [*inputs.records(300)], [*inputs.SHAPES["spread-1"].rows(300)]
    assert all(new["updated_at"] > old["updated_at"] for old, new in zip(before, after, strict=True))
    assert [row["id"] for row in after] == [50 * row["id"] for row in before]


def test_every_kind_of_list_of_the_api_gives_every_record() -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with run.api(FEW) as address:
        for kind, behind in KINDS.items():
            ids: list[int] = []
            query = ""
            for number in count():
                with opener.open(f"{address}/10/1/{kind}?{query}") as answer:
                    body = json.loads(answer.read())
                ids += [record["id"] for record in body["data"]]
                assert body["total"] == FEW
                if not body["has_more"]:
                    break
                query = behind.format(
                    next=body["next"], page=number + 2, offset=10 * (number + 1), last=body["data"][-1]["id"]
                )
            assert ids == [*range(1, FEW + 1)], kind
        assert run.span_of(address)["requests"] == 3 * len(KINDS)
        assert run.ceiling(run.CEILING, "", address, FEW, 10).wall > 0


def test_ours_and_the_floors_give_every_record_and_one_that_gives_too_few_is_named(tmp_path: Path) -> None:
    results = Results()
    short = peers.Contender("short", None, lambda *_: [sys.executable, "-c", "print('\"RECORD\"')"])
    absent = peers.Contender("broken", None, lambda *_: [sys.executable, "-c", "raise SystemExit(7)"])
    run.taps(results, [peers.OUR_TAP, peers.TAP_FLOOR, short, absent], FEW, 1, 10, 0)
    assert [each.contender for each in results.samples] == [
        run.CEILING.name,
        peers.OUR_TAP.name,
        peers.TAP_FLOOR.name,
    ]
    assert "gave 1 records of 25" in results.failures["short", "pages of 10"]
    assert "ended with 7" in results.failures["broken", "pages of 10"]
    results.kept(tmp_path / "samples.json")
    assert Results.read(tmp_path / "samples.json") == results


def test_a_load_is_compared_with_what_should_lie_in_the_table(tmp_path: Path) -> None:
    results = Results()
    with run.server(tmp_path / "postgres") as postgres:
        run.targets(results, [peers.OUR_TARGET, peers.TARGET_FLOOR], FEW, 1, postgres)
        lines = run.singer_lines(tmp_path, "plain", FEW)
        with pytest.raises(run.FailedRunError, match="the sum of their values"):
            postgres.check("bench", lines)
        with pytest.raises(run.FailedRunError, match="25 rows instead of 26"):
            postgres.check("bench", lines, rows=FEW + 1)
    assert results.failures == {}
    assert len(results.samples) == 2 * len(run.PHASES)


def test_the_report_has_each_phase_and_says_which_goals_are_met() -> None:
    page = "pages of 1000"
    samples = [
        *(Sample("tap-restextract", page, 1000, wall, 1.0, 60.0) for wall in (0.9, 1.0, 1.1)),
        *(Sample("dlt rest_api", page, 1000, wall, 2.0, 70.0) for wall in (2.0, 3.0, 4.0)),
        *(Sample(peers.TAP_FLOOR.name, page, 1000, wall, 0.5, 30.0) for wall in (0.4, 0.5, 0.6)),
        Sample(scale.SMALL.format(rows=1000), scale.GROWTH, 1000, 1.0, 1.0, 60.0, 1.0),
        Sample(scale.SMALL.format(rows=50_000), scale.GROWTH, 1000, 2.0, 1.0, 60.0, 1.0),
        Sample("target-eventgen, 300 columns", scale.ONCE, 10, 2.0, 1.0, 60.0, 1.0, megabytes=8.0),
    ]
    written = report.page(Results(samples, {("singer-sdk RESTStream", page): "it fell"}), 3)
    assert "| tap-restextract, pages of 1000, against dlt rest_api | ≥ 2.5 x | 3.00 x | met |" in written
    assert f"against {peers.TAP_FLOOR.name} | ≥ 0.8 x | 0.50 x | **not met** |" in written
    assert "a table fifty times as large | ≥ 0.7 x | 0.50 x | **not met** |" in written
    assert "100 rules against 10 | ≥ 0.5 x |  | not measured |" in written
    assert "- singer-sdk RESTStream, pages of 1000: it fell" in written
    assert "| dlt rest_api | **333** (250 to 500) | 2.00 | 70 | 3.00 x | 2.00 x |" in written
    assert "| target-eventgen, 300 columns | **5** | 4 |" in written
