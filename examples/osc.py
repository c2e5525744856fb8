"""Blendshape weights as OSC over UDP, in the addresses of the VMC protocol, which many avatar engines take."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

_IMMEDIATELY = struct.pack(">Q", 1)


def _string(text: str) -> bytes:
    data = text.encode("ascii") + b"\0"
    return data + b"\0" * (-len(data) % 4)


def message(address: str, *arguments: str | float) -> bytes:
    """One OSC 1.0 message with string and float32 arguments."""
    tags = "," + "".join("s" if isinstance(value, str) else "f" for value in arguments)
    body = b"".join(_string(value) if isinstance(value, str) else struct.pack(">f", value) for value in arguments)
    return _string(address) + _string(tags) + body


def bundle(messages: list[bytes]) -> bytes:
    """One OSC bundle, to be applied at once."""
    return _string("#bundle") + _IMMEDIATELY + b"".join(struct.pack(">i", len(item)) + item for item in messages)


class OscSender:
    """Sends weights to `host`:`port`; losing a packet is no matter, the next one comes in a moment.

    Args:
        host: name or IPv4 address of the receiver.
        port: its UDP port.

    Raises:
        OSError: the host is unknown.
    """

    def __init__(self, host: str, port: int) -> None:
        # Once: a name server may take seconds, and is asked anew for every packet otherwise.
        self._target = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, weights: Mapping[str, float]) -> None:
        """Send all weights and the word to apply them.

        Raises:
            OSError: the host is unreachable.
        """
        values = [message("/VMC/Ext/Blend/Val", name, float(value)) for name, value in weights.items()]
        self._socket.sendto(bundle([*values, message("/VMC/Ext/Blend/Apply")]), self._target)

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._socket.close()
