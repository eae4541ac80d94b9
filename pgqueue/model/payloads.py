"""How an application's payloads are stored and read: as JSON, or by a codec."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from pgqueue.model.codecs import Codec, check_codec
from pgqueue.model.errors import (
    ConfigurationError,
    InvalidArguments,
    InvalidPayload,
    PayloadUnreadable,
    SignatureMismatch,
)
from pgqueue.model.payload import CallShape

_CODEC = "$codec"
_BODY = "$body"


class Payloads:
    """The codecs of an application.

    Args:
        codec: What new payloads are stored by; None: as JSON.
        codecs: More that payloads may have been stored by.

    Raises:
        ConfigurationError: One is not a codec, or two have the same name.
    """

    def __init__(self, codec: Codec | None, codecs: Sequence[Codec]) -> None:
        self.codec = None if codec is None else check_codec(codec)
        self._known: dict[str, Codec] = {}
        for one in [*([] if codec is None else [codec]), *codecs]:
            if self._known.setdefault(check_codec(one).name, one) is not one:
                raise ConfigurationError(f"Two codecs have the name {one.name!r}.", "Give each a name of its own.")

    def arguments(self, shape: CallShape, stored: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Read arguments as a claim gives them: a JSON object, or "name:base64" of a codec.

        Raises:
            PayloadUnreadable: No codec has this name, or it refuses what is stored.
            SignatureMismatch: They are not the parameters of the signature as it is now.
            InvalidArguments: A value is not what the signature says. What a codec hides is not shown.
        """
        if stored[0] == "{":
            return shape.decode(stored)
        name, _, body = stored.partition(":")
        try:
            text = self._decode(name, body)
        except InvalidPayload as error:
            raise PayloadUnreadable(error.problem, error.remedy) from None
        try:
            return shape.decode(text)
        except SignatureMismatch:
            raise SignatureMismatch(
                f"{shape.name}: the parameters that the codec {name!r} hides are not those of the signature, and are not shown.",
                f"Run a worker of the version that enqueued the job; here the signature is {shape.signature}.",
            ) from None
        except InvalidArguments:
            raise InvalidArguments(
                f"{shape.name}: the arguments that the codec {name!r} hides do not fit the signature, and are not shown.",
                f"Its signature is {shape.signature}.",
            ) from None

    def result(self, shape: CallShape, value: object) -> str | None:
        """Return the JSON under which a result is stored, None for None.

        Raises:
            InvalidPayload: It is not what is annotated, no JSON, or too large; what a codec hides is not shown.
        """
        try:
            return self._sealed(shape.encode_result(value))
        except InvalidPayload:
            if self.codec is None:
                raise
            raise InvalidPayload(
                f"{shape.name}: what it returned cannot be kept, and is not shown, for a codec hides results.",
                "Return what the annotation says, of at most 64 KiB.",
            ) from None

    def _sealed(self, result: str | None) -> str | None:
        """Seal a result; one that looks like a codec's is stored by one without a name."""
        if result is None or (self.codec is None and not _looks_sealed(result)):
            return result
        sealed = result.encode() if self.codec is None else self.codec.encode(result.encode())
        name = "" if self.codec is None else self.codec.name
        return json.dumps({_CODEC: name, _BODY: base64.b64encode(sealed).decode("ascii")})

    def open_result(self, stored: Any) -> Any:
        """Return a result from the parsed JSON under which it was stored.

        Raises:
            InvalidPayload: No codec has its name, or it refuses what is stored.
        """
        if _is_sealed(stored):
            return json.loads(self._decode(stored[_CODEC], stored[_BODY], plain=True))
        return stored

    def _decode(self, name: str, body: str, *, plain: bool = False) -> str:
        codec = self._known.get(name)
        if codec is None and (name or not plain):
            raise InvalidPayload(
                f"The payload was stored by the codec {name!r}, which this application does not have.",
                "Pass it to PgQueue(codec=...) or PgQueue(codecs=[...]).",
            )
        try:
            sealed = base64.b64decode(body)
            return (sealed if codec is None else codec.decode(sealed)).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidPayload(
                f"The codec {name!r} gave no text back ({error}).", "Check that its keys are the ones of the producers."
            ) from None


def _is_sealed(stored: Any) -> bool:
    return isinstance(stored, dict) and stored.keys() == {_CODEC, _BODY}


def _looks_sealed(result: str) -> bool:
    return _CODEC in result and _is_sealed(json.loads(result))
