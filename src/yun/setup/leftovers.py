"""What a cloud leaves outside its state directory, and how each of it is removed: networks, files, tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from yun.base.config import Settings
from yun.base.db import Base, Database
from yun.base.errors import YunError
from yun.base.log import logger
from yun.drivers.network.port import NetworkEngine
from yun.first import MARK, known_cloud

log = logger(__name__)
SIGNS = ("yun.db", MARK, "root.token", "host/services.json")


@dataclass
class Known:
    """What the database knows of things outside; empty where it cannot be read."""

    cloud_id: str = ""
    networks: dict[str, set[str]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


def there_is_a_cloud(settings: Settings) -> bool:
    """Whether the state directory holds a cloud, or what is left of one: nothing else is ever removed."""
    return any((settings.state_dir / name).exists() for name in SIGNS)


@contextmanager
def _reading(settings: Settings) -> Iterator[Session]:
    database = Database(settings.url)
    try:
        with database.read() as session:
            yield session
    finally:
        database.close()


def look(settings: Settings) -> Known:
    """What is to be removed outside the state directory."""
    found = Known(cloud_id=known_cloud(settings, None))
    try:
        with _reading(settings) as session:
            found.cloud_id = known_cloud(settings, session)
            found.networks = _network_ids(session)
            found.files = [p for p in _files(session) if not p.is_relative_to(settings.state_dir)]
    except (YunError, sa.exc.SQLAlchemyError) as error:
        log.warning("the database cannot be read: %s", error)
    return found


def _network_ids(session: Session) -> dict[str, set[str]]:
    from yun.network.model import Network, Port, Router, SecurityGroup

    tables = {"network": Network.id, "router": Router.id, "group": SecurityGroup.id, "port": Port.id}
    return {kind: set(session.scalars(sa.select(column))) for kind, column in tables.items()}


def _files(session: Session) -> list[Path]:
    """Disks of all pools, and each instance's seed and firmware variables wherever they may lie."""
    from yun.compute import places
    from yun.compute.model import Instance
    from yun.storage.model import Head, Layer, Pool

    paths = [p for p in (*session.scalars(sa.select(Head.path)), *session.scalars(sa.select(Layer.path))) if p]
    instances = list(session.scalars(sa.select(Instance.id)))
    for pool in session.scalars(sa.select(Pool.path)):
        paths += [place(pool, i) for i in instances for place in (places.seed, places.nvram)]
    return [Path(p) for p in paths]


def remove_networks(engine: NetworkEngine, known: Known) -> int:
    """Nothing of this cloud is in the network engine; how many things there were. Another cloud's things stay."""
    if not known.cloud_id:
        return 0
    everything = engine.inventory()
    engine.own(known.cloud_id)
    ours = engine.inventory()
    count = 0
    removers: tuple[tuple[str, Callable[[str], None]], ...] = (
        ("router", engine.remove_router), ("port", engine.remove_port),
        ("network", engine.remove_network), ("group", engine.remove_group),
    )  # fmt: skip
    for kind, remove in removers:
        # What was made before things were marked is known by its row.
        unmarked = known.networks.get(kind, set()) & everything.get(kind, set())
        for identifier in ours.get(kind, set()) | unmarked:
            remove(identifier)
            count += 1
    return count


def remove_files(known: Known) -> int:
    """The files are gone, and with them the directories that are empty then; how many files there were. Nothing else
    in a pool is touched."""
    count = 0
    for path in known.files:
        count += path.exists()
        path.unlink(missing_ok=True)
    for directory in {p.parent for p in known.files}:
        with suppress(OSError):
            directory.rmdir()
    return count


def remove_sockets(settings: Settings) -> None:
    """The directory of serial sockets is gone, also where it lies under /run."""
    from yun.compute import places

    shutil.rmtree(places.serial_directory(settings), ignore_errors=True)


def drop_tables(settings: Settings) -> None:
    """Our tables are gone from a database that is not in the state directory."""
    from yun.rooms import furniture

    furniture("model")
    database = Database(settings.url)
    try:
        Base.metadata.drop_all(database.engine)
        with database.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    finally:
        database.close()
