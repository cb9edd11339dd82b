"""What the container runs. The supervisor never leaves `supervise`; each of its forks comes out of it once."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import candidate
from supervisor import supervise

if "judge" in sys.argv[1:]:
    import judge  # noqa: F401 - loaded ahead of its first job

entry, header = supervise(candidate.ENTRIES)
entry(header)
