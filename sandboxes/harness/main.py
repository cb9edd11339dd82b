"""What the container runs: the supervisor stays in `supervise`, each of its forks leaves it once."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import candidate
from supervisor import supervise

if "judge" in sys.argv[1:]:
    import judge

    judge.warm()

entry, header = supervise(candidate.ENTRIES)
entry(header)
