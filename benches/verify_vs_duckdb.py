#!/usr/bin/env python3
"""`titan-download verify` against DuckDB doing the same checks on the same files.

DuckDB is asked, per file, what `verify` proves at the least: rows ascend (each epoch against the one
before it, by `lag`), no epoch twice, how many rows, first and last epoch, prices positive. `verify`
also hashes every row twice and the file once, checks prices against their grid, coverage against
rows, finds gaps, and watches for spikes: more work, over the same bytes.

Both work through the files one after the other on the same number of threads, in one run, taking
turns; medians are printed. Needs Python with `duckdb`.

  target/release/titan-download --demo --symbol 1HZ100V --kind ticks --months 12 --output /tmp/bench-1hz
  python3 benches/verify_vs_duckdb.py --archive /tmp/bench-1hz [--threads 2] [--rounds 5] [--json]
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import time

QUERY = """
SELECT file, count(*), count(DISTINCT epoch), min(epoch), max(epoch),
       count(*) FILTER (WHERE epoch <= before), count(*) FILTER (WHERE NOT quote > 0)
FROM (SELECT {file} AS file, epoch, quote, lag(epoch) OVER (ORDER BY file_row_number) AS before
      FROM read_parquet({file}, file_row_number = true))
GROUP BY file
"""

# The same promises without `DISTINCT`: in rows that strictly ascend no epoch is there twice.
SHORT_QUERY = """
SELECT file, count(*), count(*), min(epoch), max(epoch),
       count(*) FILTER (WHERE epoch <= before), count(*) FILTER (WHERE NOT quote > 0)
FROM (SELECT {file} AS file, epoch, quote, lag(epoch) OVER (ORDER BY file_row_number) AS before
      FROM read_parquet({file}, file_row_number = true))
GROUP BY file
"""

CHILD = """
import sys, duckdb
threads, query, files = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
connection = duckdb.connect()
connection.execute(f"SET threads = {threads}")
for file in files:
    quoted = "'" + file.replace("'", "''") + "'"
    for row in connection.execute(query.format(file=quoted)).fetchall():
        _, n_rows, n_epochs, first, last, n_unordered, n_bad = row
        assert n_rows == n_epochs and n_unordered == 0 and n_bad == 0, row
"""


def measure(command):
    """Seconds, CPU seconds and MiB at most of one process."""
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"failed: {' '.join(command[:3])}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", required=True)
    parser.add_argument("--binary", default="target/release/titan-download")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files = sorted(glob.glob(os.path.join(options.archive, "*", "ticks", "*.parquet")))
    if not files:
        sys.exit(f"no ticks in {options.archive}")
    n_rows = sum(
        json.load(open(file.replace(".parquet", ".metadata.json")))["record_count"] for file in files
    )
    threads = str(options.threads)
    duckdb = [sys.executable, "-c", CHILD, threads]
    commands = {
        "titan-download verify": [options.binary, "verify", "--output", options.archive, "--threads", threads],
        "DuckDB: lag, distinct, count, range": [*duckdb, QUERY, *files],
        "DuckDB: lag, count, range": [*duckdb, SHORT_QUERY, *files],
    }
    rounds = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            rounds[name].append(measure(command))
    report = {"rows": n_rows, "files": len(files), "threads": options.threads, "rounds": options.rounds}
    report["medians"] = {
        name: dict(zip(("seconds", "cpu_seconds", "peak_mib"), map(statistics.median, zip(*taken))))
        for name, taken in rounds.items()
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{n_rows} rows in {len(files)} files, {threads} threads, medians of {options.rounds} rounds")
    for name, median in report["medians"].items():
        speed = n_rows / median["seconds"] / 1e6
        print(
            f"{name:36} {median['seconds']:7.2f} s {speed:7.1f} M rows/s "
            f"{median['cpu_seconds']:7.2f} CPU s {median['peak_mib']:7.0f} MiB"
        )


if __name__ == "__main__":
    main()
