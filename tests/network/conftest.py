"""A cloud of one fake host with its networks in memory, two projects, and contexts to call verbs with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from yun.base.config import Settings
from yun.base.context import SYSTEM, Actor, Context
from yun.base.db import Database
from yun.base.ids import new_id
from yun.drivers.bundle import Drivers, HostDrivers
from yun.drivers.host.fake import FakeMachine
from yun.drivers.hypervisor.fake import FakeHypervisor
from yun.drivers.network.fake import FakeNetworkEngine, World
from yun.identity.model import Project
from yun.network import flows as _flows
from yun.network import service, steps
from yun.network.model import Port
from yun.operations import flows as _operations  # noqa: F401
from yun.operations import service as operations
from yun.operations.engine import Engine
from yun.operations.flow import Op, operation
from yun.operations.intent import Intent, Subject
from yun.operations.model import Operation, State

Asking = Callable[..., AbstractContextManager[Context]]
Do = Callable[..., Operation]


@operation("test.plug")
def plug(op: Op, instance_id: str, port_ids: list[str], floating_ids: list[str], host_id: str) -> Any:
    """What a creation of an instance does to the network."""
    op.step(steps.keep_ports, instance_id)
    for port_id in port_ids:
        op.step(steps.plug_port, port_id, host_id)
    for floating_id in floating_ids:
        op.step(steps.apply_floating_ip, floating_id)


@operation("test.unplug")
def unplug(op: Op, port_ids: list[str]) -> Any:
    """What a deletion of an instance does to the network."""
    for port_id in port_ids:
        op.step(steps.unplug_port, port_id)


@operation("test.purge")
def purge(op: Op, instance_id: str) -> Any:
    """What purging an instance does to the network."""
    op.step(steps.purge_ports, instance_id)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    from dataclasses import replace

    return replace(settings, dns_upstream="192.0.2.53", default_cidr="10.77.0.0/24", external_cidr="172.31.240.0/24")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine("node1")


@pytest.fixture
def engine(database: Database, settings: Settings, machine: FakeMachine, world: World) -> Engine:
    local = HostDrivers(hypervisor=FakeHypervisor(), volume=None, machine=machine)  # type: ignore[arg-type]
    drivers = Drivers(network=FakeNetworkEngine(world), connect=lambda _h: local)
    made = Engine(database, drivers, settings)
    _flows.attach(made)
    return made


@pytest.fixture
def projects(database: Database) -> tuple[str, str]:
    ids = new_id("prj"), new_id("prj")
    with database.write() as session:
        session.add_all(Project(id=i, name=n) for i, n in zip(ids, ("default", "other"), strict=True))
    return ids


@pytest.fixture
def asking(database: Database, settings: Settings, projects: tuple[str, str]) -> Asking:
    """A context in a writing transaction: the system in the first project, unless told otherwise."""

    @contextmanager
    def ask(actor: Actor = SYSTEM, project: str | None = projects[0]) -> Iterator[Context]:
        with database.write() as session:
            yield Context(actor=actor, session=session, settings=settings, project_id=project)

    return ask


@pytest.fixture
def do(asking: Asking, engine: Engine, database: Database) -> Do:
    """Submit the intent that ``make(ctx)`` returns, let the engine run, and return the ended operation."""

    def call(make: Callable[[Context], Intent], *, state: str = State.SUCCEEDED, **who: Any) -> Operation:
        with asking(**who) as ctx:
            identifier = operations.submit(ctx, make(ctx)).id
        engine.drain()
        with database.read() as session:
            done = session.scalars(sa.select(Operation).where(Operation.id == identifier)).one()
        assert done.state == state, (done.state, done.error)
        return done

    return call


@pytest.fixture
def cloud(do: Do) -> None:
    """The default networks of both projects are there."""
    do(service.ensure_default)


@pytest.fixture
def plugged(do: Do, cloud: None, database: Database) -> Callable[..., Port]:
    """Make a port for an instance and plug it, with a floating IP if asked; returns its row."""

    def call(
        hostname: str = "hello",
        *,
        floating: bool = False,
        instance_id: str | None = None,
        state: str = State.SUCCEEDED,
        **options: Any,
    ) -> Port:
        instance_id = instance_id or new_id("ins")

        def make(ctx: Context) -> Intent:
            plan = service.plan_port(ctx, instance_id=instance_id, hostname=hostname, **options)
            outside = service.plan_floating_ip(ctx, port=plan) if floating else None

            def write(session: Any) -> None:
                plan.write(session)
                if outside:
                    outside.write(session)

            from yun.hosts.service import local_host

            return Intent(
                kind="test.plug",
                title=plan.effect,
                subject=Subject("instance", instance_id, hostname),
                subjects=(*plan.subjects, *(outside.subjects if outside else ())),
                arguments={
                    "instance_id": instance_id,
                    "port_ids": [plan.id],
                    "floating_ids": [outside.id] if outside else [],
                    "host_id": local_host(ctx.session).id,
                },
                write=write,
            )

        do(make, state=state)
        with database.read() as session:
            mine = sa.select(Port).where(Port.instance_id == instance_id).order_by(Port.device_index.desc())
            return session.scalars(mine.limit(1)).one()

    return call
