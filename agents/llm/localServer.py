"""The embedded model's own process: `python -m agents.llm.localServer <model.gguf>`.

Says in one JSON line on stdout where it listens, or why it doesn't, and lives as long as its
stdin is open. Its parent holds the other end, so it is gone when the parent is, however that
ended.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

CONTEXT_TOKENS = 4096
CACHE_MEBIBYTES = 256
# It is small and repeats itself easily: cooler than the default, and a price on repetition.
TEMPERATURE = 0.6
TOP_P = 0.9
REPEAT_PENALTY = 1.1


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a GGUF model on 127.0.0.1 until stdin closes.")
    parser.add_argument("modelPath", type=Path)
    modelPath = parser.parse_args().modelPath
    answers = claimStdout()
    threading.Thread(target=exitWithParent, daemon=True).start()
    try:
        server = startServer(modelPath)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        say(answers, {"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    say(answers, {"port": int(server.listening_address.rsplit(":", 1)[1])})
    threading.Event().wait()


def claimStdout() -> TextIO:
    """Returns stdout for our line alone; the library's own chatter goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    return answers


def exitWithParent() -> None:
    while os.read(0, 1024):
        pass
    # The library's threads don't end by themselves.
    os._exit(0)


def startServer(modelPath: Path) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(modelPath)
    params.model_alias = {modelPath.stem}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cache_ram_mib = CACHE_MEBIBYTES
    params.ui = False
    params.endpoint_slots = False
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = countThreads()
    # No page in a browser may talk to it.
    params.cors_origins = "http://127.0.0.1"
    params.verbosity = -1
    params.sampling.temp = TEMPERATURE
    params.sampling.top_p = TOP_P
    params.sampling.penalty_repeat = REPEAT_PENALTY
    return xllamacpp.Server(params)


def countThreads() -> int:
    """Returns half of the processors.

    The library's threads wait for each other after every step. When one shares its processor
    with the web server, all stand still: on two busy cores, two threads took up to ten times
    as long as one.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // 2)


def say(answers: TextIO, line: dict[str, Any]) -> None:
    answers.write(json.dumps(line) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
