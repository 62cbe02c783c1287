"""A cloud's first minutes: the rows every cloud has, and, once the host is known, its pool and its networks.

All of it is idempotent and runs at every start; what exists stays as it is.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.config import Settings
from yun.base.context import SYSTEM, Context
from yun.base.errors import Unavailable, YunError
from yun.base.log import logger
from yun.compute.service.flavors import ensure_flavors
from yun.hosts.model import Host
from yun.identity.model import Project
from yun.identity.service import ensure_first
from yun.network import service as network
from yun.operations.intent import Subject
from yun.operations.model import OPEN, Operation
from yun.operations.service import submit
from yun.storage import service as storage
from yun.storage.model import Pool
from yun.worker import Cloud

log = logger(__name__)
RETRY_SECONDS = 0.5
MARK = "cloud.id"


def prepare(cloud: Cloud) -> None:
    """The rows that need no daemon: first project, administrator, flavors. Before the engine starts."""
    with cloud.database.write() as session:
        ensure_first(session, cloud.settings)
        ensure_flavors(session)


def claim(cloud: Cloud) -> None:
    """The network engine knows which of its things are this cloud's. After `prepare`, before the engine starts."""
    with cloud.database.read() as session:
        cloud_id = known_cloud(cloud.settings, session)
    cloud.drivers.network.own(cloud_id)
    (cloud.settings.state_dir / MARK).write_text(cloud_id + "\n")


def known_cloud(settings: Settings, session: Session | None) -> str:
    """The cloud's id, with which it marks what it makes outside itself: as the state directory keeps it, else the id
    of its first project, which is made once and never given up. Empty where neither can be told."""
    with suppress(OSError):
        if kept := (settings.state_dir / MARK).read_text().strip():
            return kept
    if session is None:
        return ""
    return session.scalar(sa.select(Project.id).order_by(Project.created_at, Project.id).limit(1)) or ""


def begin(cloud: Cloud) -> threading.Thread:
    """Set the cloud up as far as its daemons allow, in the background, until it is done or the engine stops."""
    thread = threading.Thread(target=_until_done, args=(cloud,), name="yun-first", daemon=True)
    thread.start()
    return thread


def _until_done(cloud: Cloud) -> None:
    cloud.engine.nudge("host.tend", Subject("host", "local", "local"))
    while not cloud.engine.stopping.wait(RETRY_SECONDS):
        try:
            if settle(cloud):
                return
        except Unavailable as error:
            log.info("not set up yet: %s", error)
        except YunError:
            log.exception("the first set-up failed; trying again")
            cloud.engine.stopping.wait(10)


def settle(cloud: Cloud) -> bool:
    """Ask for what is still missing; true once everything has been asked for.

    Raises `Unavailable` as long as the host is not known.
    """
    with cloud.database.write() as session:
        if session.scalar(sa.select(Host.id).limit(1)) is None:
            return False
        ctx = Context(actor=SYSTEM, session=session, settings=cloud.settings)
        if session.scalar(sa.select(Pool.id).limit(1)) is None:
            submit(ctx, storage.create_pool(ctx, name="default", path=str(cloud.settings.state_dir / "pool")))
        under_way = sa.select(Operation.seq).where(
            Operation.kind == "network.ensure_default", Operation.state.in_(OPEN)
        )
        if session.scalar(under_way.limit(1)) is None:
            submit(ctx, replace(network.ensure_default(ctx), quiet=True))
    return True
