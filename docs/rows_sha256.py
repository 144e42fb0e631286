#!/usr/bin/env python3
"""Recomputes rows_sha256 of Parquet files: rows_sha256.py FILE...; exits 1 if one is not kept."""
import hashlib, json, struct, sys
import pyarrow.parquet

broken = False
for path in sys.argv[1:]:
    file = pyarrow.parquet.ParquetFile(path)
    names = file.schema_arrow.names  # epoch, then the prices, in the order of the file
    row = struct.Struct("<q" + "d" * (len(names) - 1))  # little-endian: int64, then doubles
    hash = hashlib.sha256()
    for batch in file.iter_batches():
        for values in zip(*(batch.column(name).to_pylist() for name in names)):
            hash.update(row.pack(*values))
    sidecar = json.load(open(path.removesuffix(".parquet") + ".metadata.json"))
    kept = hash.hexdigest() == sidecar["rows_sha256"]
    broken |= not kept
    print("ok " if kept else "NOT KEPT ", hash.hexdigest(), path)
sys.exit(broken)
