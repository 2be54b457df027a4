"""Many files at once: a bound on how many, progress as they end, and one table of what was said or what went wrong.

Usage: ``python examples/many_files.py *.wav``. A busy service (429, 503) is waited for by the client itself.
"""

import asyncio
import os
import sys

from smallest_proto import FileTranscript, RemoteError
from smallest_transports.asyncio import Client

AT_ONCE = 4  # what your plan allows


async def main(paths: list[str]) -> None:
    base_url = os.environ.get("SMALLEST_BASE_URL", "http://127.0.0.1:8765")
    bound = asyncio.Semaphore(AT_ONCE)
    done = 0

    async def transcribe(client: Client, path: str) -> FileTranscript | Exception:
        nonlocal done
        async with bound:
            try:
                return await client.transcribe(path)
            except (RemoteError, OSError) as error:  # one bad file does not end the others
                return error
            finally:
                done += 1
                print(f"{done} of {len(paths)} done", file=sys.stderr)

    async with Client(api_key="any", base_url=base_url) as client:
        answers = await asyncio.gather(*(transcribe(client, path) for path in paths))
    for path, answer in zip(paths, answers, strict=True):
        print(f"{path}\t{answer.text if isinstance(answer, FileTranscript) else f'failed: {answer}'}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
