"""The processor models of the machine room in memory."""

from __future__ import annotations

MODELS = {
    "qemu64": True, "kvm64": True, "Penryn": True, "Nehalem": True, "Nehalem-IBRS": True, "Westmere": True,
    "SandyBridge": True, "Haswell": False, "Skylake-Server": False, "EPYC": True, "EPYC-Rome": False,
    "EPYC-Milan": False,
}  # fmt: skip
"""By name, and whether all that is in one is given."""
