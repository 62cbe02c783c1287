"""How much may pass a limit at once. Pure."""

from __future__ import annotations

LOWEST, HIGHEST = 100, 100_000_000
"""Limits in kbit/s."""
MOST_BURST = 1_000_000_000
"""Bursts in kbit."""
SMALLEST_BURST = 1_000


def burst_for(kbps: int) -> int:
    """The burst in kbit that a limit gets when nobody says: what goes through in 0.4 seconds.

    A limit drops what is beyond it, and TCP slows down more than it must for each drop. Measured at 10 Mbit/s: with
    0.1 s of burst TCP gets half of the rate, with 0.2 s nearly all, with 0.4 s all, with a second a seventh more.
    """
    return max(kbps * 2 // 5, SMALLEST_BURST)
