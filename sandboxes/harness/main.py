"""What the container runs: the supervisor stays in `supervise`; what it forks leaves it once."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from supervisor import supervise

silence, purpose = float(sys.argv[1]), sys.argv[2]
door = supervise(silence)  # returns in the zygote only

import zygote  # noqa: E402 - the supervisor has no use for it

entry, header = zygote.serve(door, judges=purpose == "judge")
del door, zygote, silence, purpose
entry(header)
