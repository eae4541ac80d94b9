"""What may change a payload's bytes before they are stored, for example a cipher."""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

from pgqueue.model.errors import ConfigurationError

_NAME = re.compile(r"[a-z0-9_-]{1,40}")


@runtime_checkable
class Codec(Protocol):
    """Changes the JSON of a payload, in UTF-8, into other bytes and back. May be called from any thread.

    Attributes:
        name: Stored beside the bytes: 1 to 40 characters of a-z, 0-9, "_" and "-".
    """

    @property
    def name(self) -> str:
        """Return the name under which its payloads are stored."""
        ...

    def encode(self, payload: bytes, /) -> bytes:
        """Return what is stored."""
        ...

    def decode(self, stored: bytes, /) -> bytes:
        """Return the payload.

        Raises:
            InvalidPayload: These bytes were not made by this codec, or were changed.
        """
        ...


def check_codec(value: object) -> Codec:
    """Return a codec if it is one.

    Raises:
        ConfigurationError: It lacks a method, or its name cannot be stored.
    """
    if isinstance(value, type) or not isinstance(value, Codec):
        raise ConfigurationError(
            f"codec={value!r} is not a codec.",
            "Pass an object with name, encode and decode, such as pgqueue.contrib.encryption.Encryption(keys=[...]).",
        )
    if not isinstance(value.name, str) or not _NAME.fullmatch(value.name):
        raise ConfigurationError(
            f"The codec's name {value.name!r} is not 1 to 40 characters of a-z, 0-9, _ and -.",
            'Give it a short name, for example "fernet".',
        )
    return value
