"""What the container runs: the supervisor stays in `supervise`; what it forks leaves it once."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from supervisor import supervise

door = supervise()  # returns in the zygote only

import zygote  # noqa: E402 - the supervisor has no use for it

entry, header = zygote.serve(door, judges="judge" in sys.argv[1:])
del door, zygote
entry(header)
