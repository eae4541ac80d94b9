"""The seam for codecs, and the cipher that comes with it."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgqueue.contrib import encryption
from pgqueue.contrib.encryption import Encryption
from pgqueue.model.codecs import Codec, check_codec
from pgqueue.model.errors import ConfigurationError, InvalidPayload

OLD, NEW = Encryption.new_key(), Encryption.new_key()


class Reversed:
    """The smallest codec."""

    def __init__(self, name: Any = "reversed") -> None:
        self.name = name

    def encode(self, payload: bytes, /) -> bytes:
        """Turn around."""
        return payload[::-1]

    def decode(self, stored: bytes, /) -> bytes:
        """Turn around."""
        return stored[::-1]


@pytest.mark.parametrize("name", ["a", "fernet", "a-b_9", "x" * 40])
def test_a_codec_is_any_object_with_a_name_and_both_ways(name: str) -> None:
    codec: Codec = Reversed(name)
    assert check_codec(codec) is codec
    assert check_codec(Encryption(keys=[NEW])).name == "fernet"


@pytest.mark.parametrize("name", ["", "x" * 41, "A", "a b", "a\n", "ä", None, 1], ids=repr)
def test_a_codec_has_a_short_name(name: object) -> None:
    with pytest.raises(ConfigurationError, match="is not 1 to 40 characters"):
        check_codec(Reversed(name))


@pytest.mark.parametrize(
    "value", [None, "fernet", Reversed, Encryption, object()], ids=lambda value: type(value).__name__
)
def test_what_is_no_codec_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="is not a codec"):
        check_codec(value)


@settings(derandomize=True, deadline=None, database=None, max_examples=30)
@given(st.binary(max_size=200))
def test_what_is_encrypted_comes_back(payload: bytes) -> None:
    cipher = Encryption(keys=[NEW])
    stored = cipher.encode(payload)
    assert cipher.decode(stored) == payload
    assert len(payload) < 8 or payload not in stored
    assert cipher.encode(payload) != stored


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    before, during, after = Encryption(keys=[OLD]), Encryption(keys=[NEW, OLD.encode()]), Encryption(keys=[NEW])
    old = before.encode(b"{}")
    assert during.decode(old) == b"{}"
    assert after.decode(during.encode(b"{}")) == b"{}"
    with pytest.raises(InvalidPayload, match="no key fits"):
        after.decode(old)


def test_a_payload_is_rotated_to_the_first_key() -> None:
    rotated = Encryption(keys=[NEW, OLD]).rotate(Encryption(keys=[OLD]).encode(b"{}"))
    assert Encryption(keys=[NEW]).decode(rotated) == b"{}"
    with pytest.raises(InvalidPayload, match="no key fits"):
        Encryption(keys=[OLD]).rotate(rotated)


@pytest.mark.parametrize("position", [0, 1, 20, 60, -6])
def test_a_changed_payload_is_refused(position: int) -> None:
    cipher = Encryption(keys=[NEW])
    stored = bytearray(cipher.encode(b'{"amount": 1}'))
    stored[position] = ord("A") if stored[position] != ord("A") else ord("B")
    with pytest.raises(InvalidPayload) as refusal:
        cipher.decode(bytes(stored))
    assert "Encryption(keys=[newest, ...older])" in refusal.value.remedy


@pytest.mark.parametrize("stored", [b"", b"{}", b"\xff\0", b"gAAAAA"], ids=repr)
def test_what_was_never_encrypted_is_refused(stored: bytes) -> None:
    with pytest.raises(InvalidPayload):
        Encryption(keys=[NEW]).decode(stored)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ([], "keys is empty"),
        (NEW, "keys is a str and not a list"),
        (None, "keys is a NoneType and not a list"),
        (["my secret"], "keys[0] is not 32 bytes"),
        ([NEW, NEW[:-5]], "keys[1] is not 32 bytes"),
        ([NEW, "\u20ac" * 44], "keys[1] is not 32 bytes"),
        ([1], "keys[0] is not 32 bytes"),
    ],
    ids=["none", "text", "None", "short", "cut", "not ascii", "number"],
)
def test_a_key_that_is_none_is_refused_and_not_shown(keys: Any, named: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Encryption(keys=keys)
    assert named in refusal.value.problem
    assert "my secret" not in str(refusal.value)
    assert NEW[:20] not in str(refusal.value)


def test_no_key_is_shown() -> None:
    assert NEW not in repr(vars(Encryption(keys=[NEW])))


def test_without_the_package_the_remedy_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(ConfigurationError) as refusal:
        importlib.reload(encryption)
    assert 'pip install "pgqueue[crypto]"' in refusal.value.remedy
