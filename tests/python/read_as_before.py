#!/usr/bin/env python3
"""Reads one series of an archive as the readers of the old caches do.

    read_as_before.py data_cache/R_100/candles_60 expected.csv

Globs `*.parquet`, reads each file with pandas, selects the columns by name, and takes from the
sidecar the keys it has always had, with the meaning they have always had. Exits 1 and says what
differs otherwise. Needs pandas and pyarrow.
"""

import datetime
import glob
import hashlib
import json
import os
import sys

import pandas

KEYS = [
    "schema_version",
    "symbol",
    "data_type",
    "granularity",
    "start_epoch",
    "end_epoch",
    "record_count",
    "gaps_detected",
    "duplicates_removed",
    "sha256",
    "locked",
    "created_at",
    "download_duration_seconds",
    "file_size",
]


def check_sidecar(path, frame):
    with open(path.replace(".parquet", ".metadata.json")) as file:
        sidecar = json.load(file)
    _, symbol, folder, _ = path.rsplit(os.sep, 3)
    with open(path, "rb") as file:
        content = file.read()
    granularity = int(folder.split("_")[1]) if "_" in folder else None
    expected = {
        "schema_version": "1.0.0",
        "symbol": symbol,
        "data_type": "candles" if granularity else "ticks",
        "granularity": granularity,
        "start_epoch": int(frame["epoch"].iloc[0]),
        "end_epoch": int(frame["epoch"].iloc[-1]),
        "record_count": len(frame),
        "gaps_detected": int((frame["epoch"].diff() > (granularity or 10)).sum()),
        "sha256": hashlib.sha256(content).hexdigest(),
        "locked": False,
        "file_size": len(content),
    }
    problems = [
        f"{path}: `{key}` is {sidecar.get(key)!r}, not {value!r}"
        for key, value in expected.items()
        if sidecar.get(key) != value
    ]
    if list(sidecar)[: len(KEYS)] != KEYS:
        problems.append(f"{path}: the sidecar begins with {list(sidecar)[: len(KEYS)]}")
    if sidecar.get("created_at") is not None:
        datetime.datetime.fromisoformat(sidecar["created_at"].replace("Z", "+00:00"))
    if not isinstance(sidecar.get("duplicates_removed"), int):
        problems.append(f"{path}: `duplicates_removed` is no number")
    return problems


def main(folder, expected_csv):
    expected = pandas.read_csv(expected_csv)
    columns = list(expected.columns)
    problems, frames = [], []
    for path in sorted(glob.glob(os.path.join(folder, "*.parquet"))):
        frame = pandas.read_parquet(path)[columns]
        if str(frame["epoch"].dtype) != "int64":
            problems.append(f"{path}: `epoch` is {frame['epoch'].dtype}")
        problems += check_sidecar(path, frame)
        frames.append(frame)
    found = pandas.concat(frames, ignore_index=True)
    if len(found) != len(expected):
        problems.append(f"{len(found)} rows, {len(expected)} expected")
    else:
        for name in columns:
            differing = (found[name] != expected[name].astype(found[name].dtype)).sum()
            if differing:
                problems.append(f"`{name}` differs in {differing} rows")
    print(f"{len(frames)} files, {len(found)} rows, {len(problems)} problems")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
