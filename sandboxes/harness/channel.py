"""How a forked job talks with the supervisor: length, nonce, payload, one answer for each message."""

from __future__ import annotations

import os

NONCE = 16


class Channel:
    """The job's end of its two pipes."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer = reader, writer
        self.nonce = b"\0" * NONCE

    def hear(self) -> bytes:
        """The next message; ends the job where there is none."""
        size = int.from_bytes(self.exactly(4), "big")
        message = self.exactly(size)
        self.nonce = message[:NONCE]
        return message[NONCE:]

    def say(self, payload: bytes) -> None:
        """Answers the last message."""
        data = (len(payload) + NONCE).to_bytes(4, "big") + self.nonce + payload
        view = memoryview(data)
        while view:
            view = view[os.write(self.writer, view) :]

    def exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = os.read(self.reader, min(size, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
