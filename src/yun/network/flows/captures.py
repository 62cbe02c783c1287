"""Operations of recordings and counters."""

from __future__ import annotations

from typing import Any

from yun.network.steps import captures
from yun.operations.flow import Op, operation, periodic


@operation("port.capture")
def capture(op: Op, capture_id: str) -> Any:
    """Record a port's packets; it goes on by itself and ends by itself."""
    op.step(captures.keep_capture, capture_id)
    op.step(captures.begin_capture, capture_id)
    return {"capture_id": capture_id}


@operation("capture.stop")
def stop(op: Op, capture_id: str) -> Any:
    """End a recording."""
    op.step(captures.end_capture, capture_id)
    return {"capture_id": capture_id}


@operation("capture.delete")
def delete(op: Op, capture_id: str) -> Any:
    """Delete a recording."""
    op.step(captures.drop_capture, capture_id)
    return {"capture_id": capture_id}


@periodic("capture.tend", every=5.0)
@operation("capture.tend")
def tend(op: Op) -> None:
    """Look which recordings have ended, and forget the old ones."""
    op.step(captures.look_at_captures)


@periodic("port.sample", every=10.0)
@operation("port.sample")
def sample(op: Op) -> None:
    """Measure what goes through ports."""
    op.step(captures.count)
