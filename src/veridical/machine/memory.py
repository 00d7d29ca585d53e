"""Keeping large blocks of memory instead of returning them to the system after each use.

glibc maps every block above a threshold again for each use. A network or a filter that makes and drops tensors of megabytes
then spends up to half its time in page faults (measured: see LOG.md). With raised thresholds the blocks are kept and used
again.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_BLOCK_BYTES, _KEPT_BYTES = 256 << 20, 512 << 20


def keep_large_blocks() -> bool:
    """Raise the thresholds of this process, where heavy work begins; return False where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
