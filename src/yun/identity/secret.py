"""Secrets: passwords through argon2, random bearer secrets through SHA-256, and the machine's root token."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from yun.base.config import Settings
from yun.base.errors import Unavailable
from yun.base.messages import _

TOKEN = "yun_t_"
SESSION = "yun_s_"
ROOT = "yun_r_"

_HASHER = PasswordHasher()
# Each verification takes 64 MiB; a burst of log-ins must not take the machine's memory.
_SLOTS = threading.BoundedSemaphore(2)
WAIT_SECONDS = 5.0


@contextmanager
def _slot() -> Iterator[None]:
    """A turn at hashing. Raises `Unavailable` where so many wait that they would take all threads of the web."""
    if not _SLOTS.acquire(timeout=WAIT_SECONDS):
        raise Unavailable(_("Too many log-ins at once."), hint=_("Try again in a moment."))
    try:
        yield
    finally:
        _SLOTS.release()


def hash_password(password: str) -> str:
    """The argon2id hash to keep; takes some tens of milliseconds. Raises `Unavailable` in a flood of log-ins."""
    with _slot():
        return _HASHER.hash(password)


@cache
def _nobodys_hash() -> str:
    return hash_password(secrets.token_urlsafe(32))


def verify_password(kept: str | None, password: str) -> bool:
    """Whether the password is the one of the hash. Takes the same time where there is no hash to compare with."""
    target = kept or _nobodys_hash()
    with _slot():
        try:
            _HASHER.verify(target, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False
    return kept is not None


def outdated(kept: str) -> bool:
    """Whether the hash was made with weaker parameters than today's and should be made anew."""
    return _HASHER.check_needs_rehash(kept)


def new_secret(prefix: str) -> str:
    """A secret of 256 random bits, recognizable by ``prefix``."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a random secret: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def generated_password() -> str:
    """A password to hand to a person: 20 characters in groups, about 100 bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    groups = ["".join(secrets.choice(alphabet) for _i in range(5)) for _g in range(4)]
    return "-".join(groups)


def root_token_path(settings: Settings) -> Path:
    """The file whose reader is the machine's root."""
    return settings.state_dir / "root.token"


def ensure_root_token(settings: Settings) -> str:
    """The root token, made on first use in a file that only its owner can read; wrong modes are mended."""
    path = root_token_path(settings)
    write_private(path, new_secret(ROOT) + "\n", replace=False)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return path.read_text().strip()


def is_root_token(settings: Settings, token: str) -> bool:
    """Whether ``token`` is the root token, compared in constant time. False where there is no file yet."""
    try:
        kept = root_token_path(settings).read_text().strip()
    except OSError:
        return False
    return len(kept) > len(ROOT) and hmac.compare_digest(digest(kept), digest(token))


def write_private(path: Path, text: str, *, replace: bool) -> None:
    """Write a file of mode 0600, whole or not at all; an existing one is kept unless ``replace``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not replace:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(draft, path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)  # fails where another process was first: its token stays
    finally:
        draft.unlink(missing_ok=True)
