"""Many files over a cluster with Dask: workers with a client of their own, tries again by Dask, one table out.

Usage: ``pip install "dask[dataframe]" distributed``, then ``python examples/cluster_files.py table.csv *.wav``;
``DASK_SCHEDULER=tcp://…`` names a cluster that there is, else one of this machine is made. Files must be where the
workers can read them; the key is read from the workers' environment (SMALLEST_API_KEY).
"""

import csv
import os
import sys
from pathlib import Path

from dask.distributed import Client as Cluster
from dask.distributed import as_completed, get_worker

from smallest_transports.sync import Client

TRIES = 2  # again, on whatever worker is free; the client has tried again by itself before


def client_of_worker() -> Client:
    """One client for each worker: its thread and its connections serve all files of that worker."""
    worker = get_worker()
    if not hasattr(worker, "speech_client"):
        base_url = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
        worker.speech_client = Client(api_key=os.environ.get("SMALLEST_API_KEY", "any"), base_url=base_url)
    client: Client = worker.speech_client
    return client


def transcribe(path: str) -> tuple[str, str, float]:
    """Path, text and seconds of audio."""
    transcript = client_of_worker().transcribe(Path(path).read_bytes())
    return path, transcript.text, transcript.duration or 0.0


def main(table: str, paths: list[str]) -> None:
    scheduler = os.environ.get("DASK_SCHEDULER")
    local = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": ":0"}
    with Cluster(scheduler) if scheduler else Cluster(**local) as cluster, open(table, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("file", "text", "seconds", "error"))
        jobs = {cluster.submit(transcribe, path, retries=TRIES, pure=False): path for path in paths}
        for done, job in enumerate(as_completed(jobs), 1):
            error = job.exception()
            out.writerow((*job.result(), "") if error is None else (jobs[job], "", "", str(error)))
            print(f"{done} of {len(jobs)}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
