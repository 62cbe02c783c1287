"""Ten thousand instances on the fakes: the API's page, the panel's list, the whole list as JSON, memory.

Run: python -m bench.ten_thousand [--json] [--count N]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from bench.report import Figure, median, percentile, show


def count() -> int:
    """How many instances."""
    return int(sys.argv[sys.argv.index("--count") + 1]) if "--count" in sys.argv else 10_000


def milliseconds(call: Callable[[], object], times: int) -> list[float]:
    """How long each of ``times`` calls takes, after one that does not count."""
    call()
    took = []
    for _n in range(times):
        begun = time.perf_counter()
        call()
        took.append((time.perf_counter() - begun) * 1000)
    return took


def whole_list(client: httpx.Client) -> int:
    """Read the list to its end; how many there are."""
    cursor, found = None, 0
    while True:
        params = {"limit": 1000, **({"cursor": cursor} if cursor else {})}
        page = client.get("/api/v1/instances", params=params).raise_for_status().json()
        found += len(page["items"])
        cursor = page["next"]
        if not cursor:
            return found


def resident(pid: int) -> float:
    """A process's resident memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def processor(pid: int) -> float:
    """Seconds of processor a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(folder: str, process: subprocess.Popen[str], url: str) -> list[Figure]:
    """All figures of a running cloud."""
    token = (Path(folder) / "root.token").read_text().strip()
    api = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    panel = httpx.Client(base_url=url, timeout=60, follow_redirects=True, headers={"Origin": url})
    password = (Path(folder) / "admin.password").read_text().strip()
    panel.post("/login", data={"name": "admin", "password": password}).raise_for_status()
    found = whole_list(api)
    pages = milliseconds(lambda: api.get("/api/v1/instances", params={"limit": 100}).raise_for_status(), 30)
    lists = milliseconds(lambda: panel.get("/instances").raise_for_status(), 15)
    search = milliseconds(lambda: panel.get("/instances?q=tag:web+state:running").raise_for_status(), 15)
    whole = milliseconds(lambda: whole_list(api), 3)
    time.sleep(15)
    before = processor(process.pid)
    time.sleep(20)
    idle = (processor(process.pid) - before) / 20 * 100
    return [
        Figure("instances", found, ""),
        Figure("API page of 100, p50", median(pages), "ms", 30),
        Figure("API page of 100, p95", percentile(pages, 0.95), "ms"),
        Figure("panel list, p50", median(lists), "ms", 200),
        Figure("panel search, p50", median(search), "ms", 200),
        Figure("whole list as JSON", median(whole) / 1000, "s", 1.5),
        Figure("idle, with metrics of all", idle, "% of core"),
        Figure("memory, the fakes' worlds included", resident(process.pid), "MiB"),
    ]


def main() -> None:
    """Run a cloud in memory and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [Path(sys.executable).with_name("yun"), "dev", "--port", "0", "--seed", str(count())]
        environ = {**os.environ, "YUN_STATE_DIR": folder}
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                figures = measure(folder, process, process.stdout.readline().split()[1])
            finally:
                process.terminate()
        show("ten thousand instances on the fakes", figures)


if __name__ == "__main__":
    main()
