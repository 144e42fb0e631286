#!/usr/bin/env python3
"""Compares one series of an archive with the truth, sharing no code with the writer.

    titan-download simulate --dump R_100 2026-01-01 2026-02-01 > truth.csv
    check_archive.py data_cache R_100/ticks truth.csv

Reads the Parquet files with pyarrow, the sidecars with json, and checks that the rows of all
months together are exactly the rows of the CSV; that each sidecar's sha256, record_count,
start_epoch, end_epoch and file_size hold; and that rows_sha256 is the hash of the rows as
documented. Exits 1 and says what differs otherwise. Needs pyarrow and numpy.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import pyarrow.csv
import pyarrow.parquet


def rows_sha256(table):
    """SHA-256 over, row by row, epoch as <i8, then the other columns as <f8."""
    fields = [(name, "<i8" if name == "epoch" else "<f8") for name in table.column_names]
    rows = np.empty(table.num_rows, dtype=fields)
    for name in table.column_names:
        rows[name] = table[name].to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()


def check_sidecar(path, table):
    sidecar = json.loads(path.with_suffix("").with_suffix(".metadata.json").read_text())
    epochs = table["epoch"].to_numpy()
    found = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "file_size": path.stat().st_size,
        "record_count": table.num_rows,
        "rows_sha256": rows_sha256(table),
    }
    if len(epochs):
        found |= {"start_epoch": int(epochs[0]), "end_epoch": int(epochs[-1])}
    return [
        f"{path}: sidecar says {key} {sidecar.get(key)!r}, the file {value!r}"
        for key, value in found.items()
        if sidecar.get(key) != value
    ]


def main(root, series, truth_csv):
    problems, tables = [], []
    for path in sorted(pathlib.Path(root, series).glob("*.parquet")):
        table = pyarrow.parquet.read_table(path)
        problems += check_sidecar(path, table)
        tables.append(table)
    if not tables:
        sys.exit(f"no Parquet file in {root}/{series}")
    archive = pyarrow.concat_tables(tables)
    truth = pyarrow.csv.read_csv(truth_csv)
    if archive.column_names != truth.column_names:
        problems.append(f"columns {archive.column_names}, truth has {truth.column_names}")
    elif archive.num_rows != truth.num_rows:
        problems.append(f"{archive.num_rows} rows, truth has {truth.num_rows}")
    else:
        for name in truth.column_names:
            ours = archive[name].to_numpy()
            theirs = truth[name].to_numpy().astype(ours.dtype)
            differing = np.flatnonzero(ours != theirs)
            if len(differing):
                row = differing[0]
                problems.append(f"{name}[{row}] is {ours[row]!r}, truth is {theirs[row]!r}")
    print(f"{series}: {len(tables)} files, {archive.num_rows} rows, {len(problems)} problems")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
