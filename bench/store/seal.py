"""A digest inside a Parquet file, so that no changed byte goes unseen, and a label that is read at once.

Both are before the footer, where no reader looks: any Parquet reader reads the file. Reading the footer of a
small file takes most of the time.
"""

import hashlib

SEAL = bytes.fromhex("9a1f5e0c7bd84d21a6c3f2708e94b15d")
"""Precedes the SHA-256 digest of a file's other bytes, which the label is among."""
LABEL = bytes.fromhex("d2606b4f93c14e0fb1a85c37e0f4297a")
"""Precedes the label, which ends where the seal begins."""
DIGEST_SIZE = hashlib.sha256().digest_size


def sealed(content: bytes, label: bytes = b"") -> bytes:
    """Insert a label and the digest of a Parquet file before its footer, whose length is near its end."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    before, after = content[:footer] + (LABEL + label if label else b""), content[footer:]
    return before + SEAL + hashlib.sha256(before + after).digest() + after


def unsealed(content: bytes) -> bytes:
    """Remove the digest; a file without one stays as it is. Raises ValueError if bytes changed."""
    before, seal, after = _parts(content)
    return before + after if seal else content


def label_of(content: bytes) -> bytes:
    """Return the label; empty if the file has none, or no digest. Raises ValueError if bytes changed."""
    before, seal, _ = _parts(content)
    return before.rpartition(LABEL)[2] if seal and LABEL in before else b""


def _parts(content: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what is before the seal, the seal, and what is after the digest. Raises ValueError."""
    before, seal, after = content.rpartition(SEAL)
    digest, after = (after[:DIGEST_SIZE], after[DIGEST_SIZE:]) if seal else (b"", after)
    if seal and hashlib.sha256(before + after).digest() != digest:
        raise ValueError("its bytes have changed since it was written")
    return before, seal, after
