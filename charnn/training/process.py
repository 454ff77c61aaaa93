"""How the process is set up for training: threads and memory."""

import ctypes
import os

import torch

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_THRESHOLD_MAX = 32 << 20
_INT_MAX = 2**31 - 1


def use_threads(threads: int) -> None:
    """Compute with so many threads; 0: as many as this process may run on."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(threads or available or 1)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, for the next step asks for the same blocks again.

    Otherwise it may hand blocks of some megabytes back to the system, and a step then spends up to
    as much time on page faults as on arithmetic. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_MAX)
        mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
