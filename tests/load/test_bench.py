"""The benchmarks' own arithmetic; the times themselves are nobody's to assert."""

import asyncio
from collections import Counter
from contextlib import closing, nullcontext, suppress
from itertools import count
from types import SimpleNamespace

import pytest

from tests.load.bench import load, measure, report
from tests.load.bench.callers import callers
from tests.load.bench.codec import measure as measure_codec
from tests.load.bench.figure import Figure, shown

WRK = """\
  Latency Distribution
     50%   46.00us
     99%    {p99}
  33865 requests in 2.00s, 7.95MB read
Requests/sec:  16918.73
"""


@pytest.mark.parametrize(
    ("unit", "ours", "theirs", "ratio"),
    [
        ("events/s", 50, 100, 0.5),
        ("ms", 2, 1, 0.5),
        ("s", 1, 2, 2.0),
        ("s", 1, None, None),
        ("requests", 0, 0, None),
        ("requests", 0, 3, None),
    ],
)
def test_a_ratio_is_how_much_of_the_peers_speed_ours_has(unit, ours, theirs, ratio):
    assert Figure("figure", unit, ours, "peer", theirs).ratio == ratio


@pytest.mark.parametrize(
    ("value", "text"),
    [(12_345, "12,300"), (99.96, "100"), (41.23, "41.2"), (0.01234, "0.0123"), (0, "0"), (None, "")],
)
def test_a_value_is_shown_with_the_digits_that_a_benchmark_knows(value, text):
    assert shown(value) == text


async def test_runs_take_turns():
    order = []

    def run(name, numbers):
        async def once():
            order.append(name)
            return next(numbers)

        return once

    medians = await measure.medians(run("a", count(1)), run("b", count(11)), rounds=3)
    assert (order, medians) == (["a", "b"] * 3, [2, 12])


def test_percentiles_are_of_all_values():
    found = measure.percentiles(range(101))
    assert found == {"p50": 50, "p90": 90, "p99": 99}


def test_a_pace_leaves_out_the_start_and_the_last_batch(monkeypatch):
    clock = iter([10.0, 11.0, 14.0])
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    pace = measure.Pace(60)
    for records in (30, 20, 10):
        assert not pace.is_done
        pace.begin(records)
    assert pace.is_done
    assert pace.per_second == (30 + 20) / 4


@pytest.mark.parametrize(("p99", "milliseconds"), [("1.88ms", 1.88), ("250.00us", 0.25), ("1.20s", 1200)])
def test_what_wrk_prints_is_read(p99, milliseconds):
    assert load.parse_wrk(WRK.format(p99=p99)) == load.Load(16918.73, milliseconds)


@pytest.mark.parametrize(("status", "expected"), [("200 OK", None), ("503 Full", "503 full")])
async def test_without_wrk_a_client_of_streams_loads_and_tells_of_refusals(monkeypatch, status, expected):
    async def answer(reader, writer):
        with closing(writer), suppress(asyncio.IncompleteReadError):  # its caller is done
            while head := await reader.readuntil(b"\r\n\r\n"):
                assert b"host: fraud--risk.so1s.localhost\r\n" in head
                assert await reader.readexactly(4) == b"rows"
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())

    monkeypatch.setattr(load.shutil, "which", lambda _name: None)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/predict"
        asked = load.load(url, b"rows", connections=2, seconds=1, host="fraud--risk.so1s.localhost")
        with pytest.raises(RuntimeError, match=expected) if expected else nullcontext():
            assert (await asked).per_second > 1


async def test_callers_ask_each_host_at_a_steady_rate_and_tell_what_failed(eventually):
    asked = Counter()

    async def answer(reader, writer):
        with closing(writer), suppress(asyncio.IncompleteReadError):  # its caller is done
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                host = "good" if b"host: good\r\n" in head else "bad"
                assert await reader.readexactly(4) == b"rows"
                asked[host] += 1
                status = "200 OK" if host == "good" else "503 Full"
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nfull".encode())

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/predict"
        async with callers(url, ["good", "bad"], b"rows", per_second=200) as seen:
            await eventually(lambda: min(asked["good"], asked["bad"]) > 5)
    assert (seen["good"].answered, seen["good"].failed) == (asked["good"], 0)
    assert (seen["bad"].answered, seen["bad"].failed) == (0, asked["bad"])
    assert seen["bad"].first_error == "503 full"
    assert abs(asked["good"] - asked["bad"]) <= 1


async def test_the_page_shows_what_was_measured_and_how(tmp_path):
    figures = await measure_codec(tmp_path)
    assert all(figure.ours > 0 for figure in figures)
    assert all(figure.ratio for figure in figures)
    sections = [report.Section("Codec", "Headers take time.", figures)]
    page = report.page("", report.LAPTOP, sections, ["load by hand"])
    assert "Written by `make bench`" in page
    assert "- load by hand" in page
    assert page.endswith("Headers take time.\n")
    assert f"| {figures[0].name} | {shown(figures[0].ours)} | events/s |" in page


def test_a_page_keeps_the_figures_of_the_family_that_was_not_measured():
    def sections(value):
        return [report.Section("Codec", "A note.", [Figure("encode", "events/s", value)])]

    page = report.page("", report.CLUSTER, sections(111), [])
    page = report.page(page, report.LAPTOP, sections(222), [])
    assert (
        page.index("## On one machine")
        < page.index("222")
        < page.index("## On a cluster")
        < page.index("111")
    )
    again = report.page(page, report.CLUSTER, sections(333), [])
    assert ("111" in again, "222" in again, "333" in again) == (False, True, True)
    assert report.page(again, report.CLUSTER, sections(333), []) == again
