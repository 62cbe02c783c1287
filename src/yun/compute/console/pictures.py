"""Pictures of screens: taken by the hypervisor, scaled, and kept for some seconds so that many viewers cost one."""

from __future__ import annotations

import asyncio
import io
import time
from collections import OrderedDict
from collections.abc import Callable

import anyio.to_thread
from anyio import CapacityLimiter

FRESH_SECONDS = 5.0
MOST = 512


class Pictures:
    """Recent pictures by instance and width; ``limiter`` bounds how many are taken at a time."""

    def __init__(self, limiter: CapacityLimiter, clock: Callable[[], float] = time.monotonic) -> None:
        self._limiter, self._clock = limiter, clock
        self._kept: OrderedDict[tuple[str, int | None], tuple[float, bytes]] = OrderedDict()
        self._locks: dict[tuple[str, int | None], asyncio.Lock] = {}

    async def get(self, identifier: str, width: int | None, take: Callable[[], bytes]) -> bytes:
        """The PNG of ``take()`` scaled down to ``width`` pixels, at most `FRESH_SECONDS` old.

        Several askers at once wait for one picture. Raises what ``take`` raises.
        """
        key = (identifier, width)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            kept = self._kept.get(key)
            if kept is None or self._clock() - kept[0] > FRESH_SECONDS:
                picture = await anyio.to_thread.run_sync(lambda: scaled(take(), width), limiter=self._limiter)
                kept = (self._clock(), picture)
                self._kept[key] = kept
            self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            gone, _old = self._kept.popitem(last=False)
            self._locks.pop(gone, None)
        return kept[1]


def scaled(picture: bytes, width: int | None) -> bytes:
    """A PNG no wider than ``width``, its proportions kept."""
    if width is None:
        return picture
    from PIL import Image

    image: Image.Image = Image.open(io.BytesIO(picture))
    if image.width <= width:
        return picture
    height = max(1, round(image.height * width / image.width))
    out = io.BytesIO()
    image.convert("RGB").resize((width, height), Image.Resampling.BOX).save(out, "PNG")
    return out.getvalue()
