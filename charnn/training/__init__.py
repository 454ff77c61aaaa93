"""Truncated backpropagation through time, and all that it takes to do it well."""

import os

# GNU OpenMP's threads wait for work by spinning, for a long time by default. The fused kernels meet
# thousands of times a second, so on a processor that is shared with anything else every meeting
# waits for a thread that is not running: a step was seen to take a hundred times as long. A short
# spin costs nothing on a quiet machine. It must be set before torch is imported.
SETS_SPIN_COUNT = "GOMP_SPINCOUNT" not in os.environ
if SETS_SPIN_COUNT:
    os.environ["GOMP_SPINCOUNT"] = "3000"
