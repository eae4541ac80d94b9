"""Payloads that only who has a key can read: a codec on the package cryptography.

Fernet: AES-128 in CBC mode and HMAC-SHA256, with the time of encryption in the clear.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgqueue.model.errors import ConfigurationError, InvalidPayload

try:
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet
except ImportError:
    raise ConfigurationError(
        "Encryption needs the package cryptography, which is not installed.",
        'Install it: pip install "pgqueue[crypto]".',
    ) from None


class Encryption:
    """A codec that encrypts payloads.

    Args:
        keys: As ``new_key`` makes them. The first encrypts, all decrypt: put a new one in front, and take an old one
            away when nothing is stored under it any more.

    Raises:
        ConfigurationError: There is no key, or one is malformed.
    """

    name = "fernet"

    def __init__(self, keys: Iterable[str | bytes]) -> None:
        if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
            raise ConfigurationError(f"keys is a {type(keys).__name__} and not a list.", "Write keys=[key].")
        ciphers = [_cipher(number, key) for number, key in enumerate(keys)]
        if not ciphers:
            raise ConfigurationError("keys is empty.", "Pass at least one key, made once with Encryption.new_key().")
        self._ciphers = MultiFernet(ciphers)

    @staticmethod
    def new_key() -> str:
        """Return a random key. Keep it where your secrets are: without it nothing can be read."""
        return Fernet.generate_key().decode()

    def encode(self, payload: bytes, /) -> bytes:
        """Encrypt with the first key."""
        return self._ciphers.encrypt(payload)

    def decode(self, stored: bytes, /) -> bytes:
        """Decrypt with whichever key fits.

        Raises:
            InvalidPayload: No key fits, or the bytes were changed.
        """
        try:
            return self._ciphers.decrypt(stored)
        except InvalidToken:
            raise _unreadable(stored) from None

    def rotate(self, stored: bytes) -> bytes:
        """Encrypt with the first key what is stored under any of them; the time of encryption stays.

        Raises:
            InvalidPayload: No key fits, or the bytes were changed.
        """
        try:
            return self._ciphers.rotate(stored)
        except InvalidToken:
            raise _unreadable(stored) from None


def _cipher(number: int, key: object) -> Fernet:
    try:
        if isinstance(key, str | bytes):
            return Fernet(key)
    except ValueError:
        pass
    # The key itself is a secret, also a malformed one.
    raise ConfigurationError(
        f"keys[{number}] is not 32 bytes in URL-safe base64.",
        "Make a key with Encryption.new_key(), and pass it unchanged.",
    )


def _unreadable(stored: bytes) -> InvalidPayload:
    return InvalidPayload(
        f"A stored payload of {len(stored)} bytes cannot be decrypted: no key fits, or it was changed.",
        "Add the key that it was encrypted with to Encryption(keys=[newest, ...older]).",
    )
