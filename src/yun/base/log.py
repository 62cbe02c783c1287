"""Logging: one line a record on stderr, with the operation or request it belongs to; secrets never."""

from __future__ import annotations

import contextvars
import logging
import sys

subject: contextvars.ContextVar[str] = contextvars.ContextVar("yun_log_subject", default="-")


class _Subject(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.subject = subject.get()
        return True


def configure(level: str = "info") -> None:
    """Send the house's log to stderr at ``level``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Subject())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s [%(subject)s] %(message)s"))
    root = logging.getLogger("yun")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False


def logger(name: str) -> logging.Logger:
    """The logger of a module, below ``yun``."""
    return logging.getLogger(name if name.startswith("yun") else f"yun.{name}")
