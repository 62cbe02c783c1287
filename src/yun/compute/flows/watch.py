"""The watch on the hypervisors' nudges, and what is looked at now and then."""

from __future__ import annotations

import sqlalchemy as sa

from yun.base.errors import YunError
from yun.base.log import logger
from yun.compute import steps
from yun.compute.service.tending import nudged
from yun.drivers.hypervisor.port import Hypervisor
from yun.hosts.model import Host
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation, periodic

log = logger(__name__)


@periodic("instance.tend_all", every=30.0)
@operation("instance.tend_all")
def tend_all(op: Op) -> None:
    """Look at all machines at once, order a closer look at those that are not as their rows say."""
    for watch in WATCHES:
        watch.follow_all()
    op.step(steps.look_at_all)


@periodic("instance.sample", every=10.0)
@operation("instance.sample")
def sample(op: Op) -> None:
    """Measure what running machines use."""
    op.step(steps.measure)


class Watch:
    """Turns the nudges of every host's hypervisor into looks at instances. Holds no truth: a lost nudge costs time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.followed: list[Hypervisor] = []

    def follow_all(self) -> None:
        """Listen to every host's hypervisor that is not listened to yet."""
        try:
            with self.engine.database.read() as session:
                hosts = list(session.scalars(sa.select(Host.id)))
            for host_id in hosts:
                hypervisor = self.engine.drivers.on(host_id).hypervisor
                if hypervisor not in self.followed:
                    self.followed.append(hypervisor)
                    hypervisor.subscribe(self.nudge)
        except YunError as error:
            log.warning("cannot listen to all hypervisors yet: %s", error)

    def nudge(self, uuid: str) -> None:
        """A domain changed (all may have, for an empty ``uuid``): order a look. From a thread of the driver's."""
        try:
            with self.engine.database.read() as session:
                meant = nudged(session, uuid)
        except YunError as error:
            log.warning("nudge of %s lost: %s", uuid, error)
            return
        if meant is not None:
            kind, subject, arguments = meant
            self.engine.nudge(kind, subject, **arguments)


WATCHES: list[Watch] = []


def attach(engine: Engine) -> None:
    """Begin to watch: called once by the worker when the engine has started."""
    watch = Watch(engine)
    WATCHES.append(watch)
    watch.follow_all()
    watch.nudge("")
