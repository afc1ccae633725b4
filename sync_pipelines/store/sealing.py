"""Seals texts with AES-GCM under a ring of keys: the first seals, all of them open."""

import base64
import binascii
import hashlib
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sync_pipelines.model.errors import SetupError
from sync_pipelines.model.secret import Secret

_KEY_BYTES = 32
_NONCE_BYTES = 12
_SALT = b"sync_pipelines store credentials"


def new_key() -> str:
    """A fresh random key as text, for the first place of the key ring."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


class KeyRing:
    """Opens what any of its keys sealed; seals with the first. Keys never show in it."""

    def __init__(self, keys: tuple[Secret, ...]) -> None:
        if not keys:
            raise SetupError(
                "No encryption key is set: make one with `sync-pipelines key new` and set "
                "SYNC_PIPELINES_ENCRYPTION_KEYS."
            )
        self._ciphers = {_key_id(key): AESGCM(_derived(key)) for key in keys}
        self.sealing_key = next(iter(self._ciphers))
        """Names the first key without telling anything of it; stored beside what it sealed."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its keys, newest first."""
        return tuple(self._ciphers)

    def seal(self, text: str, *, about: str) -> str:
        """The sealed text. `about` says what it belongs to; it opens only with the same."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self.sealing_key].encrypt(nonce, text.encode(), about.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, sealed: str, *, key_id: str, about: str) -> str:
        """The text again. SetupError, with `about` as its detail, when no key of the ring opens it."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SetupError(
                "Stored credentials were sealed with a key that is not in SYNC_PIPELINES_ENCRYPTION_KEYS: add the key "
                "that was used then at the end of the list. Without it the customer must connect again, the endpoint "
                "must be made anew, or the secrets of what was made by API sent again.",
                detail=about,
            )
        try:
            packed = base64.urlsafe_b64decode(sealed)
            return cipher.decrypt(packed[:_NONCE_BYTES], packed[_NONCE_BYTES:], about.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise SetupError(
                "Stored credentials were changed outside of this project, so that SYNC_PIPELINES_ENCRYPTION_KEYS does "
                "not open them any more: the customer must connect again, the endpoint must be made anew, or the "
                "secrets of what was made by API sent again.",
                detail=about,
            ) from error


@lru_cache(maxsize=32)
def _derived(key: Secret) -> bytes:
    """256 bits of a key text. One that `new_key` made is random already; any other text is stretched first."""
    text = key.reveal()
    material = _random_bytes(text)
    if material is None:
        material = hashlib.scrypt(text.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=_KEY_BYTES)
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=_SALT).derive(material)


def _key_id(key: Secret) -> str:
    return hashlib.sha256(b"key id" + _derived(key)).hexdigest()[:12]


def _random_bytes(text: str) -> bytes | None:
    try:
        decoded = base64.urlsafe_b64decode(text)
    except (ValueError, binascii.Error):
        return None
    return decoded if len(decoded) == _KEY_BYTES else None
