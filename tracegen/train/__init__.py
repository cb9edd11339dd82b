"""The student: regions and weights, packing, the trainer, the checks before it and the watch during it."""
