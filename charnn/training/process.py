"""How the process is set up for training: device, precision, threads and memory."""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from charnn.errors import UsageError
from charnn.training import SETS_SPIN_COUNT
from charnn.training.config import Precision

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_THRESHOLD_MAX = 32 << 20
_INT_MAX = 2**31 - 1

#: Products that are timed to find out what the machine can do; the fastest counts.
_PRODUCTS = 8


def find_device(name: str) -> torch.device:
    """The device of this name; of "auto", a GPU if there is one, set up to repeat itself.

    Raises:
        UsageError: it cannot be used.
    """
    # Without this, PyTorch's documentation of nn.LSTM says, its sums on a GPU may vary.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:2")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {name} cannot be used: {reason}", "auto finds one") from None
    return device


def choose_precision(precision: Precision, device: torch.device) -> Precision:
    """What "auto" means on a device: bfloat16 where it is fast, float32 elsewhere.

    Raises:
        UsageError: it is bfloat16, for which the processor has no kernels.
    """
    # On a processor without them, oneDNN's LSTM fails in its first step.
    known = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if precision == "bfloat16" and not known:
        raise UsageError("this processor has no bfloat16", "leave out --precision, or take float32")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        native = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return "bfloat16" if native else "float32"


def matrix_rate(device: str, precision: Precision, threads: int) -> float:
    """Floating-point operations a second in matrix products of the size that training has."""
    place = find_device(device)
    dtype = getattr(torch, choose_precision(precision, place))
    use_threads(threads)
    a, b = (torch.ones(shape, dtype=dtype, device=place) for shape in ((2048, 512), (512, 1024)))
    seconds = []
    for _ in range(_PRODUCTS):
        began = time.perf_counter()
        (a @ b)[0, 0].item()
        seconds.append(time.perf_counter() - began)
    return 2 * 2048 * 512 * 1024 / min(seconds)


def use_threads(threads: int) -> None:
    """Compute with so many threads; 0: as many as this process may run on."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(threads or available or 1)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the process as it was: torch's random numbers and threads, and the environment.

    Not so what ``keep_freed_memory`` does; and a GPU that nobody has used so far has no random
    numbers to keep.
    """
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = list(range(torch.cuda.device_count())) if used else []
    threads = torch.get_num_threads()
    before = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        torch.set_num_threads(threads)
        if before is None:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
        if SETS_SPIN_COUNT:  # torch is here, and has read it
            os.environ.pop("GOMP_SPINCOUNT", None)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, for the next step asks for the same blocks again.

    Otherwise it may hand blocks of some megabytes back to the system, and a step then spends up to
    as much time on page faults as on arithmetic. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_MAX)
        mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
