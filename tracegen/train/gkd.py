"""On-policy distillation through TRL's trainer (Agarwal et al., arXiv 2306.13649), an optional extra.

The student writes, the teacher scores every token of it; a share of the batches are the dataset's own rows.
TRL's data path does the rendering here, so the regions and weights of `[train]` do not apply: the whole
completion is trained. Not covered: packing, stages, resuming.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tracegen.errors import UserError
from tracegen.student import Gkd, Student, Train
