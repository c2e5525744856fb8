"""The machine's float32 matrix-product rate on a given number of threads: the roof under which every network runs."""

from __future__ import annotations

import os
import subprocess
from types import TracebackType

from fer_perception.system.process import python_command

#: Rows and columns of the matrices: large enough to be limited by arithmetic, small enough for 5 to 50 ms.
SIZE = 1024
FLOPS = 2 * SIZE**3

# NumPy's BLAS reads its number of threads once, when it is loaded, so it gets a process of its own.
_CHILD = """
import sys, time, numpy
matrix = numpy.random.default_rng(0).random((int(sys.argv[1]),) * 2, dtype=numpy.float32)
clock = getattr(time, sys.argv[2])
for line in sys.stdin:
    start = clock()
    matrix @ matrix
    print(clock() - start, flush=True)
"""


class MatrixProduct:
    """A child process that multiplies two matrices whenever it is asked; use it as a context manager.

    Args:
        threads: of the BLAS library; 0 = one a core.
        clock: function of `time`: "perf_counter", or "process_time" for the processor time of all threads.
    """

    def __init__(self, threads: int, *, clock: str = "perf_counter") -> None:
        count = str(threads or os.cpu_count() or 1)
        names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS")
        self._child = subprocess.Popen(  # noqa: S603  (our own interpreter and text)
            python_command(str(SIZE), clock, code=_CHILD),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(names, count),
        )

    def __enter__(self) -> MatrixProduct:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._child.communicate()

    def __call__(self) -> float:
        """Multiply once; the duration in s."""
        if self._child.stdin is None or self._child.stdout is None:
            return float("nan")
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        return float(self._child.stdout.readline())
