"""A clip store copied to object storage and read back: equality, and clips per second at random, beside the local disk.

    AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_REGION=us-east-1 python benchmarks/store_on_s3.py STORE s3://BUCKET/FOLDER

For another server than Amazon's, also AWS_ENDPOINT_URL=http://127.0.0.1:5555 AWS_ALLOW_HTTP=true.
The bucket must exist, and the folder hold no store. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from pathlib import Path

import numpy as np

from veridical.clips import ClipStore, copy_store, verify

BATCH = 32


def clips_per_second(store: ClipStore, batches: int) -> float:
    rows = np.random.default_rng(0).integers(0, len(store), (batches, BATCH))
    began = time.monotonic()
    for some in rows:
        store.take(some)
    return round(batches * BATCH / (time.monotonic() - began), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("uri")
    parser.add_argument("--batches", type=int, default=20)
    arguments = parser.parse_args()
    local = ClipStore.open(arguments.store)
    began = time.monotonic()
    copy_store(arguments.store, arguments.uri)
    copied_s = time.monotonic() - began
    remote = ClipStore.open(arguments.uri)
    report = {
        "clips": len(remote),
        "copy_s": round(copied_s, 2),
        "same_fingerprint": remote.fingerprint == local.fingerprint,
        "same_manifest": remote.manifest().fingerprint == local.manifest().fingerprint,
        "problems": len(verify(remote)),
        "opens_in_another_process": len(pickle.loads(pickle.dumps(remote))) == len(local),
        "clips_per_s_local": clips_per_second(local, arguments.batches),
        "clips_per_s_remote": clips_per_second(remote, arguments.batches),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
