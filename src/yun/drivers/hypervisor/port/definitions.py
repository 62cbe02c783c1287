"""The part of the hypervisor's port that defines machines, marks them and forgets them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from yun.drivers.hypervisor.port.answers import Stranger
from yun.drivers.hypervisor.port.spec import DomainSpec


class Definitions(Protocol):
    """What a host knows as its machines, running or not."""

    def define(self, spec: DomainSpec) -> None:
        """Make or replace the persistent definition; a running domain goes on, changes count at its next start."""
        ...

    def undefine(self, uuid: str) -> None:
        """Forget the definition; files that its spec named stay (disks, ``nvram``, serial log), so the same spec brings
        the same machine back. Precondition: stopped (a running domain is refused with a `DriverError` that is not
        retryable); a missing one is fine."""
        ...

    def discard_log(self, path: str) -> None:
        """The serial log at ``path``, as a spec named it, is gone for good with its older parts; a missing one is
        fine. Precondition: no domain writes to it any more."""
        ...

    def discard_tpm(self, uuid: str) -> None:
        """What the domain's TPM kept is gone for good; nothing happens where it had none. Precondition: undefined."""
        ...

    def copy_tpm(self, source: str, target: str) -> bool:
        """What the TPM of the domain ``source`` keeps at this moment is kept for the domain ``target`` too, running or
        not; False where it keeps nothing. What ``target`` has already stays. Precondition: ``target`` is off."""
        ...

    def set_autostart(self, uuid: str, on: bool) -> None:
        """Whether the daemon starts the domain when the host boots."""
        ...

    def strangers(self, besides: Collection[str] = ()) -> list[Stranger]:
        """All domains that bear no mark of a cloud, by name, but for those whose UUID is among ``besides``. One that
        vanishes meanwhile is left out."""
        ...

    def claim(self, uuid: str, metadata: Mapping[str, str]) -> None:
        """The domain bears our mark, as what runs and as what is defined; nothing else of it changes."""
        ...

    def disown(self, uuid: str) -> None:
        """The domain bears no mark of ours any more; nothing else of it changes. Fine where it is missing."""
        ...
