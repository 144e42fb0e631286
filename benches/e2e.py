#!/usr/bin/env python3
"""End-to-end measurements of the real binary against the simulated exchange in a process of its own.

    cargo build --release && python3 benches/e2e.py                 all quick cases, three runs each, a few minutes
    python3 benches/e2e.py --limited                                also the case at a strict limit: 12 minutes of waiting
    python3 benches/e2e.py --only 'R_100 1 month' --runs 5 --json results.json
    python3 benches/e2e.py --only check                             only the checks that have a bound

For each case: medians over the runs of rows per second, CPU seconds of the client (user + system) per million rows, peak
resident memory, bytes per row, requests over the fewest possible, and what bound the run. Needs Python 3.11 alone; the comparison
with `plain_loop.py` runs if websockets, pandas and pyarrow are there. Then the checks, each value beside its bound: the refresh
of a night, memory over 24 months beside one, a night without news, the start of the program. Exits with 1 if a bound is missed.
The fewest possible requests: for each series and month the rows divided by the page size, rounded up; for ticks of a
market that closes, two more for each closed span.
"""
import argparse
import csv
import importlib.util
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
NOW = 1790812800  # 2026-10-01T00:00:00Z: the clock of the simulated exchange stands still there

# ext4 looks at each file that was deleted in the last five seconds whenever it makes one; what the case before deleted is not
# the download's to pay for.
SETTLED_SECS = 6

# name, symbols, kinds, months, page size, latency in ms, concurrency
CASES = [
    ("R_100 1 month, 5,000 a page", "R_100", "ticks", 1, 5000, 0, 4),
    ("R_100 1 month, 1,000 a page", "R_100", "ticks", 1, 1000, 0, 4),
    ("R_100 1 month, 5,000 a page, 50 ms", "R_100", "ticks", 1, 5000, 50, 4),
    ("R_100 1 month, 5,000 a page, 150 ms", "R_100", "ticks", 1, 5000, 150, 4),
    ("R_100 12 months, ticks and candles", "R_100", "ticks,candles", 12, 5000, 0, 4),
    ("R_100 12 months, ticks and candles, 8 in flight", "R_100", "ticks,candles", 12, 5000, 0, 8),
    ("R_100 12 months, 5,000 a page", "R_100", "ticks", 12, 5000, 0, 4),
    ("R_100 12 months, 1,000 a page", "R_100", "ticks", 12, 1000, 0, 4),
    ("1HZ100V 12 months, 8 in flight", "1HZ100V", "ticks", 12, 5000, 0, 8),
    ("R_100 24 months, candles alone", "R_100", "candles", 24, 5000, 0, 4),
    ("frxEURUSD 3 months, ticks and candles", "frxEURUSD", "ticks,candles", 3, 5000, 0, 4),
    ("4 symbols 3 months, ticks and candles, 8 in flight", "R_100,R_50,1HZ100V,BOOM500", "ticks,candles", 3, 5000, 0, 8),
]
# Ten series that never close: an archive of many small files
MANY = "R_10,R_25,R_50,R_75,R_100,1HZ10V,1HZ25V,1HZ50V,1HZ75V,1HZ100V"
LIMIT = 200  # requests a minute of the limited case, at 150 ms
LIMITED_SECS = 720


class Exchange:
    """The simulated exchange as a process."""

    def __init__(self, binary, folder, cap, latency_ms=0, limit=None, speed=0, now=NOW):
        self.log = folder / "requests.csv"
        command = [binary, "simulate", "--port", "0", "--now", str(now), "--speed", str(speed), "--page-cap", str(cap),
                   "--latency", f"{latency_ms}ms", "--history-days", "800", "--no-holes", "--log", str(self.log),
                   "--limit-per-minute", str(limit or "none"), "--limit-per-hour", "none"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def requests(self, calls=("ticks_history",)):
        """Every such request as (second received, outcome); complete once the exchange has ended."""
        with open(self.log, newline="") as file:
            return [(float(row["received_after_secs"]), row["outcome"]) for row in csv.DictReader(file) if row["call"] in calls]


def measured(command, **options):
    """Runs a command; its stdout, CPU seconds, peak resident MiB and exit code."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, **options)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    return text, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode


def fewest(archive, cap):
    """The fewest requests that these rows could have taken, and their number and bytes."""
    requests = rows = size = 0
    for sidecar in sorted(archive.glob("*/*/*.metadata.json")):
        said = json.loads(sidecar.read_text())
        closed = sum(gap["class"] == "market_closed" for gap in said["gaps"]) if said["data_type"] == "ticks" else 0
        requests += math.ceil(said["record_count"] / cap) + 2 * closed
        rows += said["record_count"]
        size += said["file_size"]
    return requests, rows, size


def environment(folder):
    """Nobody's settings but ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TITAN_")}
    return kept | {"XDG_STATE_HOME": str(folder / "state")}


def download(binary, exchange, folder, symbols, kinds, months, *options):
    """A download as fast as it can that must succeed: its summary, CPU seconds and peak resident MiB."""
    # The month that has just begun is empty: `--months N` is N whole months.
    text, cpu, rss, code = measured(
        [binary, "--endpoint", exchange.url, "--symbol", symbols, "--kind", kinds, "--months", str(months),
         "--rate", "unlimited", "--output", str(folder / "archive"), "--no-progress", "--json", *options],
        cwd=folder, env=environment(folder), stderr=subprocess.DEVNULL)
    if code != 0:
        raise SystemExit(f"{symbols} {kinds}, {months} months: exit code {code}\n{text}")
    return json.loads(text), cpu, rss


def run_case(binary, case):
    name, symbols, kinds, months, cap, latency, in_flight = case
    folder = pathlib.Path(tempfile.mkdtemp(prefix="titan-e2e-"))
    try:
        with Exchange(binary, folder, cap, latency) as exchange:
            summary, cpu, rss = download(binary, exchange, folder, symbols, kinds, months, "--concurrency", str(in_flight))
        asked = len(exchange.requests())
        least, rows, size = fewest(folder / "archive", cap)
        elapsed = summary["elapsed_secs"]
        # What the answers had to wait for, had nothing else taken any time.
        latency_bound = asked * latency / 1000 / in_flight
        return {"case": name, "rows": rows, "secs": elapsed, "rows_per_sec": rows / elapsed, "cpu_per_million": cpu / rows * 1e6,
                "peak_mib": rss, "bytes_per_row": size / rows, "requests": asked, "fewest": least,
                "over_fewest": asked / least, "binds": "latency" if latency_bound > 0.7 * elapsed else "CPU of both sides"}
    finally:
        shutil.rmtree(folder)


# Each check yields what it measured, the value, and the most that it may be.

def check_nightly(binary, folder):
    """The refresh of one series a day later: everything that was asked and counts, beyond the pages that the new rows fill."""
    for cap in (1000, 5000):
        shutil.rmtree(folder / "archive", ignore_errors=True)
        # Begins in the middle of a page, as a night does.
        for now in (NOW - 12_345, NOW - 12_345 + 86_400):
            with Exchange(binary, folder, cap, now=now) as exchange:
                summary, _, _ = download(binary, exchange, folder, "R_100", "ticks", 1)
        asked = len(exchange.requests(("ticks_history", "active_symbols")))
        yield f"requests beyond new pages, {cap:,} a page", asked - math.ceil(summary["rows_new"] / cap), 2


def check_memory(binary, folder):
    """Peak memory over more and more months of one series, and how far it is from level: one month has no other beside it."""
    peaks = {}
    for months in (1, 2, 3, 12, 24):
        def peak():
            shutil.rmtree(folder / "archive", ignore_errors=True)
            with Exchange(binary, folder, 5000) as exchange:
                return download(binary, exchange, folder, "R_100", "ticks", months)[2]
        peaks[months] = statistics.median(peak() for _ in range(3))
        yield f"peak MiB, {months} months" if months > 1 else "peak MiB, 1 month", peaks[months], None
    most, least = max(peaks.values()), min(peaks.values())
    yield "furthest from the middle of them", (most - least) / (most + least), 0.1
    yield "24 months over 1 month", peaks[24] / peaks[1], None
    yield "24 months over 12 months", peaks[24] / peaks[12], 1.1


def check_night_without_news(binary, folder):
    """A run over 24 months of ten series that finds nothing new, and whether it reads the rows it has."""
    with Exchange(binary, folder, 5000) as exchange:
        download(binary, exchange, folder, MANY, "candles", 24)
        files = sorted((folder / "archive").glob("*/*/*.parquet"))
        # Read once and never since: even a file system that notes few reads notes the next one.
        for file in files:
            os.utime(file, (0, file.stat().st_mtime))
        began = time.monotonic()
        summary, cpu, rss = download(binary, exchange, folder, MANY, "candles", 24)
        yield "s", time.monotonic() - began, 1
    yield "CPU s", cpu, 1
    yield "peak MiB", rss, None
    yield "requests", summary["requests"], None
    newest = {file.parent: file for file in files}
    old_read = [file for file in files if file.stat().st_atime != 0 and file != newest[file.parent]]
    files[0].read_bytes()
    if files[0].stat().st_atime != 0:
        yield f"files read of the {len(files) - len(newest)} that are not the newest of their series", len(old_read), 0


def check_start(binary, folder):
    """The start of the program; the quickest of 41 has the bound, the others measure who else was at work."""
    def one():
        began = time.monotonic()
        subprocess.run([binary, "--help"], cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, check=True)
        return (time.monotonic() - began) * 1000
    runs = [one() for _ in range(41)]
    yield "ms until --help is printed, quickest", min(runs), 10
    yield "ms until --help is printed, median", statistics.median(runs), None


CHECKS = [("check: a night's refresh of R_100 ticks", check_nightly), ("check: memory of R_100 ticks", check_memory),
          ("check: a night without news, 24 months of 10 series", check_night_without_news), ("check: start", check_start)]


def run_check(binary, name, measure):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="titan-e2e-"))
    try:
        return [{"check": name, "what": what, "value": value, "most": most, "kept": most is None or value <= most}
                for what, value, most in measure(binary, folder)]
    finally:
        shutil.rmtree(folder)


def run_plain(binary):
    """One month of R_100 with the loop people write."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="titan-e2e-"))
    try:
        with Exchange(binary, folder, 5000) as exchange:
            start, out = NOW - 30 * 86_400, folder / "ticks.parquet"
            began = time.monotonic()
            text, cpu, rss, code = measured([sys.executable, str(HERE / "plain_loop.py"), exchange.url, "R_100",
                                             str(start), str(NOW), "5000", str(out)])
            elapsed = time.monotonic() - began
            if code != 0:
                raise SystemExit(f"plain loop: exit code {code}\n{text}")
        said = json.loads(text)
        rows, least = said["rows"], math.ceil(said["rows"] / 5000)
        return {"case": "the plain Python loop: R_100 1 month, 5,000 a page", "rows": rows, "secs": elapsed,
                "rows_per_sec": rows / elapsed, "cpu_per_million": cpu / rows * 1e6, "peak_mib": rss,
                "bytes_per_row": out.stat().st_size / rows, "requests": said["requests"], "fewest": least,
                "over_fewest": said["requests"] / least, "binds": "its own CPU"}
    finally:
        shutil.rmtree(folder)


def settled(run, *what):
    time.sleep(SETTLED_SECS)
    return run(*what)


def run_limited(binary):
    """`--rate` at a strict limit: answers of minutes 6 to 11 over what the limit would let through, the longest pause between
    two requests in them, and refusals."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="titan-e2e-"))
    try:
        with Exchange(binary, folder, 1000, 150, LIMIT) as exchange:
            _, cpu, rss, _ = measured(
                [binary, "--endpoint", exchange.url, "--symbol", "R_100,R_50", "--months", "3", "--rate", str(LIMIT),
                 "--max-duration", f"{LIMITED_SECS}s", "--output", str(folder / "archive"), "--no-progress", "--quiet"],
                cwd=folder, env=environment(folder), stderr=subprocess.DEVNULL)
        asked = exchange.requests()
        began = asked[0][0]
        settled = [when for when, outcome in asked if 300 <= when - began < 660 and outcome == "answered"]
        # What was on its way when the run's time was up is pending: neither answered nor refused.
        refused = sum(outcome not in ("answered", "pending") for _, outcome in asked)
        pauses = [after - before for before, after in zip(settled, settled[1:])]
        return {"limit_per_minute": LIMIT, "goodput_over_limit": len(settled) / (LIMIT * 6), "refusals": refused,
                "longest_pause_secs": max(pauses), "mean_pause_secs": statistics.mean(pauses),
                "requests": len(asked), "cpu_secs": cpu, "peak_mib": rss}
    finally:
        shutil.rmtree(folder)


def median_of(runs):
    return {key: statistics.median(run[key] for run in runs) if isinstance(runs[0][key], (int, float)) else runs[0][key]
            for key in runs[0]}


def table(results):
    lines = ["| case | rows | s | rows/s | CPU s per million rows | peak MiB | bytes/row | requests | over fewest | bound by |",
             "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    for r in results:
        lines.append(f"| {r['case']} | {r['rows']:,.0f} | {r['secs']:.1f} | {r['rows_per_sec']:,.0f} | {r['cpu_per_million']:.3f} | "
                     f"{r['peak_mib']:.0f} | {r['bytes_per_row']:.2f} | {r['requests']:,.0f} | {r['over_fewest']:.3f} | {r['binds']} |")
    return "\n".join(lines)


def check_row(check):
    most = "" if check["most"] is None else f"{check['most']}" if check["kept"] else f"{check['most']}, MISSED"
    return f"| {check['check'].removeprefix('check: ')} | {check['what']} | {check['value']:.3g} | {most} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=str(HERE.parent / "target/release/titan-download"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--limited", action="store_true", help="also twelve minutes at a strict limit")
    parser.add_argument("--json", help="write the medians into this file")
    options = parser.parse_args()
    options.bin = os.path.abspath(options.bin)
    if not os.access(options.bin, os.X_OK):
        raise SystemExit(f"{options.bin} is no program; build it with `cargo build --release`")
    results = []
    for case in CASES:
        if options.only in case[0]:
            results.append(median_of([settled(run_case, options.bin, case) for _ in range(options.runs)]))
            print(table(results[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    if options.only in "the plain Python loop":
        # Looked for, not imported: a process that is forked off begins with the peak of this one.
        missing = [name for name in ("pandas", "pyarrow", "websockets") if importlib.util.find_spec(name) is None]
        if missing:
            print(f"no comparison with the plain loop: {', '.join(missing)} not installed", file=sys.stderr)
        else:
            results.append(median_of([settled(run_plain, options.bin) for _ in range(options.runs)]))
    checks = [line for name, measure in CHECKS if options.only in name for line in run_check(options.bin, name, measure)]
    limited = run_limited(options.bin) if options.limited else None
    if results:
        print(table(results))
    if checks:
        print("\n".join(["\n| check | what | value | at most |", "|---|---|--:|--:|"] + [check_row(check) for check in checks]))
    if limited:
        print(f"\nAt a strict limit of {LIMIT} a minute and 150 ms: {limited['goodput_over_limit']:.1%} of the limit from the sixth "
              f"to the eleventh minute, longest pause {limited['longest_pause_secs']:.2f} s (mean {limited['mean_pause_secs']:.2f} s), "
              f"{limited['refusals']} refusals, {limited['cpu_secs']:.2f} s CPU, {limited['peak_mib']:.0f} MiB")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"cases": results, "checks": checks, "limited": limited}, indent=2) + "\n")
    sys.exit(not all(check["kept"] for check in checks))


main()
