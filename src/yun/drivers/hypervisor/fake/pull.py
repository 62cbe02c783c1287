"""Pulling a disk's base files into it and merging files below it, in memory: each look brings the job a little
further."""

from __future__ import annotations

from dataclasses import dataclass

from yun.base.errors import DriverError
from yun.base.messages import _
from yun.drivers.hypervisor.fake.calls import Calls
from yun.drivers.hypervisor.fake.world import ACTIVE


@dataclass
class FakePull:
    """A job: down to which file, of which boot of the machine, and how often it was looked at. A commit has a ``top``,
    and ``path`` is the file that stands on that."""

    path: str
    base: str
    boot: int
    looks: int = 0
    top: str = ""


class FakePulls(Calls):
    """The part of the driver in memory that pulls. ``world.pull_looks`` says after how many looks a job is done."""

    def begin_pull(self, uuid: str, slot: str, base: str) -> None:
        with self._call("begin_pull", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            path = {d.slot: d.path for d in domain.live.disks if not d.readonly}.get(slot)
            if path is None:
                raise DriverError(_("The slot {slot} is empty.", slot=slot))
            if base == path:
                raise DriverError(_("The hypervisor refused: {reason}", reason="base is the disk itself"))
            if self._job(uuid, slot) is None:
                self.world.pulls[uuid, slot] = FakePull(path, base, domain.boots)

    def begin_commit(self, uuid: str, slot: str, top: str, base: str) -> None:
        with self._call("begin_commit", uuid):
            domain = self._active(uuid)
            assert domain.live is not None
            path = {d.slot: d.path for d in domain.live.disks if not d.readonly}.get(slot)
            if path is None:
                raise DriverError(_("The slot {slot} is empty.", slot=slot))
            if self._job(uuid, slot) is not None:
                return
            chain = self._below(path)
            if top not in chain[1:] or base not in chain[chain.index(top) + 1 :]:
                raise DriverError(_("The hypervisor refused: {reason}", reason="not in this order in the chain"))
            above = chain[chain.index(top) - 1]
            if self.files is not None and not all(self.files.world.files[each].writable for each in (base, above)):
                raise DriverError(_("The hypervisor refused: {reason}", reason="Permission denied"))
            self.world.pulls[uuid, slot] = FakePull(above, base, domain.boots, top=top)

    def _below(self, path: str) -> list[str]:
        """A file and what it stands on, in this order."""
        chain = [path]
        while under := self._stands_on(chain[-1]):
            chain.append(under)
        return chain

    def _stands_on(self, path: str) -> str:
        if self.files is not None:
            file = self.files.world.files.get(path)
            return file.backing if file is not None else ""
        return self.world.backings.get(path, "")

    def pull_state(self, uuid: str, slot: str) -> float | None:
        with self._call("pull_state", uuid):
            job = self._job(uuid, slot)
            if job is None:
                return None
            if job.looks >= self.world.pull_looks:
                self._done(job)
                del self.world.pulls[uuid, slot]
                return None
            job.looks += 1
            return job.looks / (self.world.pull_looks + 1)

    def flush_disk(self, uuid: str, slot: str) -> None:
        with self._call("flush_disk", uuid):
            domain = self._active(uuid)
            if domain.live is None or slot not in {d.slot for d in domain.live.disks}:
                raise DriverError(_("The slot {slot} is empty.", slot=slot))

    def abandon_pull(self, uuid: str, slot: str) -> None:
        with self._call("abandon_pull", uuid):
            self.world.pulls.pop((uuid, slot), None)

    def _job(self, uuid: str, slot: str) -> FakePull | None:
        """The job, unless the process that did it is gone."""
        job, domain = self.world.pulls.get((uuid, slot)), self.world.domains.get(uuid)
        if job is not None and (domain is None or domain.power not in ACTIVE or domain.boots != job.boot):
            del self.world.pulls[uuid, slot]
            return None
        return job

    def _done(self, job: FakePull) -> None:
        self.world.backings[job.path] = job.base
        if self.files is None:
            return
        files = self.files.world.files
        files[job.path].backing = job.base
        if job.top:
            into, top = files[job.base], files[job.top]
            into.content, into.virtual, into.length = top.content, top.virtual, max(into.length, top.length)
            into.stamp()
            files[job.path].stamp()
