"""The processor models of a host: which a machine can have, and what of one the host does not give."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from yun.base.errors import Invalid
from yun.base.messages import Message, _
from yun.compute.hardware import KVM_ONLY
from yun.hosts.model import Host

WAYS = (*KVM_ONLY, "maximum")
"""Not models, but ways to take what the accelerator has."""
MOST_NEAR = 4


def models_of(host: Host) -> dict[str, bool]:
    """The models by name, and whether the host gives all of each; empty where it was not asked yet."""
    return dict((host.facts.get("cpu_models") or {}).get("usable") or {})


def choices(host: Host) -> list[str]:
    """What the field offers: the ways that the host has, then its models by name, those it gives in full first."""
    known = models_of(host)
    ways = [way for way in WAYS if way == "maximum" or host.accel == "kvm"]
    return [*ways, *sorted(known, key=lambda name: (not known[name], name.lower()))]


def refuse_model(host: Host, values: Mapping[str, Any]) -> None:
    """Raise `Invalid` for a model that the host does not know, naming near ones: the machine would not start. A host
    that was not asked yet refuses none."""
    known, wanted = models_of(host), values.get("cpu_model") or ""
    if not known or not wanted or wanted in WAYS or wanted in known:
        return
    near = near_names(wanted, choices(host))
    right = _("such as {names}", names=", ".join(near)) if near else _("a model by name, or maximum")
    raise Invalid(
        _("Host {host} knows no processor model {model}.", host=host.name, model=wanted[:60]),
        fields={"cpu_model": right}, details={"near": near, "models": sorted(known)},
    )  # fmt: skip


def near_names(wanted: str, names: list[str]) -> list[str]:
    """Names that look like it, the nearest first; capitals do not count."""
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), list(lower), n=MOST_NEAR, cutoff=0.5)
    begun = [name for name in lower if len(wanted) > 2 and name.startswith(wanted.lower())]
    return [lower[name] for name in dict.fromkeys([*close, *begun])][:MOST_NEAR]


def said_model(host: Host, values: Mapping[str, Any]) -> tuple[Message, ...]:
    """What the host does not give of the model, for the preview."""
    model = values.get("cpu_model")
    if not model or models_of(host).get(model, True):
        return ()
    return (
        _("Host {host} does not give all that is in the model {model}: the machine starts without the rest.",
          host=host.name, model=model),
    )  # fmt: skip
