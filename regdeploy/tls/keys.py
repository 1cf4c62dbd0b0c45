"""The kinds of keys that certificates are asked for with."""

from __future__ import annotations

#: The usual one first.
KEY_TYPES = ("ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096")
