"""The processor models that libvirt offers for an accelerator, read from its domain capabilities."""

from __future__ import annotations

from typing import Any, Literal
from xml.etree import ElementTree as ET

TYPES = {"kvm": "kvm", "tcg": "qemu"}


def offered(conn: Any, accel: Literal["kvm", "tcg"]) -> dict[str, bool]:
    """Names, and whether each is usable in full."""
    told = ET.fromstring(conn.getDomainCapabilities(None, None, None, TYPES[accel]))
    models = told.iterfind("cpu/mode[@name='custom']/model")
    return {str(model.text): model.get("usable") != "no" for model in models if model.text}
