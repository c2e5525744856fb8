"""Time and memory that a piece of Python takes, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_CHILD = """
import json, resource, sys, time
setup, code = json.loads(sys.stdin.read())
names = {}
exec(setup, names)
before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
exec(code, names)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"grown": (after - before) / 1000, "seconds": time.process_time() - begun, "said": names.get("said")}))
"""


def measured(setup: str, code: str) -> dict[str, Any]:
    """Run two texts one after the other.

    Args:
        setup: imports and whatever shall not be counted.
        code: is measured; may leave something in `said`.

    Returns:
        "grown" (MB that the process's peak memory grew by), "seconds" (of processor time), "said".
    """
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], input=json.dumps([setup, code]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
