"""tracegen: sample, verify, recover, label and publish reasoning traces."""

__version__ = "0.1.0"
