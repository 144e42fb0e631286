#!/usr/bin/env python3
"""The download loop people write: one request after the other, all rows in memory, pandas, one file.

    plain_loop.py URL SYMBOL START END CAP OUT.parquet

Asks the ticks of SYMBOL from epoch START to before END page by page, newest first, and writes them with pandas.
Needs websockets, pandas and pyarrow. Prints rows and requests as JSON. It checks nothing, retries nothing and pauses for
nothing: it is the baseline of `e2e.py`, not a tool.
"""
import asyncio
import json
import sys

import pandas
import websockets


async def pages(url, symbol, start, end, cap):
    frames, requests = [], 0
    async with websockets.connect(url, max_size=None) as socket:
        while end >= start:
            ask = {"ticks_history": symbol, "start": start, "end": str(end), "count": cap, "style": "ticks"}
            await socket.send(json.dumps(ask))
            answer = json.loads(await socket.recv())
            requests += 1
            if "error" in answer:
                raise SystemExit(f"refused after {requests} requests: {answer['error']['code']}")
            history = answer["history"]
            if not history["times"]:
                break
            frames.append(pandas.DataFrame({"epoch": history["times"], "quote": history["prices"]}))
            if history["times"][0] <= start:
                break
            end = history["times"][0] - 1
    return frames, requests


def main():
    url, symbol, start, end, cap, out = sys.argv[1:]
    frames, requests = asyncio.run(pages(url, symbol, int(start), int(end) - 1, int(cap)))
    ticks = pandas.concat(frames).drop_duplicates("epoch").sort_values("epoch")
    ticks.to_parquet(out, index=False)
    print(json.dumps({"rows": len(ticks), "requests": requests}))


main()
