"""How a forked job talks with the supervisor: length, nonce, payload; one answer a message, in turn."""

from __future__ import annotations

import os

NONCE = 16
CHUNK = 1 << 16


class Channel:
    """The job's end of its two pipes."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer = reader, writer
        self.nonce = b"\0" * NONCE
        self.inbox = bytearray()

    def hear(self) -> bytes:
        """The next message; ends the job where there is none."""
        self.fill(4)
        size = int.from_bytes(self.inbox[:4], "big") + 4
        self.fill(size)
        self.nonce = bytes(self.inbox[4 : 4 + NONCE])
        message = bytes(self.inbox[4 + NONCE : size])
        del self.inbox[:size]
        return message

    def say(self, payload: bytes) -> None:
        """Answers the last message."""
        data = (len(payload) + NONCE).to_bytes(4, "big") + self.nonce + payload
        view = memoryview(data)
        while view:
            view = view[os.write(self.writer, view) :]

    def fill(self, size: int) -> None:
        """Reads until so many bytes are there."""
        while len(self.inbox) < size:
            part = os.read(self.reader, max(CHUNK, min(size - len(self.inbox), 1 << 20)))
            if not part:
                os._exit(0)
            self.inbox += part


def pack(messages: list[bytes]) -> bytes:
    """Messages as one body: the length (4 bytes) in front of each."""
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def split(body: bytes) -> list[bytes]:
    """The messages in a body."""
    found, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        found.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return found
