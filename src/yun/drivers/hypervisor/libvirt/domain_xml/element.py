"""Small words for building XML elements."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

NAMESPACE = "urn:yun:domain:1"
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text with every character that XML 1.0 cannot carry replaced."""
    return _ILLEGAL.sub("\ufffd", text)


def add(parent: ET.Element, tag: str, *, text: str | None = None, **attributes: object) -> ET.Element:
    """A child of ``parent``; attributes that are None are left out, a trailing ``_`` of a name is dropped."""
    made = {k.rstrip("_"): clean(str(v)) for k, v in attributes.items() if v is not None}
    child = ET.SubElement(parent, tag, made)
    if text is not None:
        child.text = clean(text)
    return child
