"""A digest inside a Parquet file, so that no changed byte goes unseen. Any Parquet reader reads the file."""

import hashlib

SEAL = bytes.fromhex("9a1f5e0c7bd84d21a6c3f2708e94b15d")
"""Precedes the SHA-256 digest of a file's other bytes. Both are before the footer, where no reader looks."""


def sealed(content: bytes) -> bytes:
    """Insert the digest of a Parquet file before its footer, whose length is near the end of the file."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return content[:footer] + SEAL + hashlib.sha256(content).digest() + content[footer:]


def unsealed(content: bytes) -> bytes:
    """Undo :func:`sealed`; a file without a digest stays as it is. Raises ValueError if bytes changed."""
    before, seal, after = content.rpartition(SEAL)
    if not seal:
        return content
    size = hashlib.sha256().digest_size
    digest, plain = after[:size], before + after[size:]
    if hashlib.sha256(plain).digest() != digest:
        raise ValueError("its bytes have changed since it was written")
    return plain
