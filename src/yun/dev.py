"""``yun dev``: the whole cloud on drivers in memory, one process, no root; for work on the panel and for measuring."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yun.base.config import Settings, load
from yun.base.errors import Conflict, Invalid, Unavailable
from yun.base.messages import _
from yun.server import fail, run
from yun.web.command import Command, option

if TYPE_CHECKING:
    from yun.worker import Cloud


MARK = "in-memory"


def forget(settings: Settings) -> None:
    """Remove an earlier run's database: its machines were in memory and are gone. Raises `Conflict` for a database
    that no `yun dev` made."""
    mark, database = settings.state_dir / MARK, settings.state_dir / "yun.db"
    if database.exists() and not mark.exists():
        raise Conflict(
            _("{path} holds a real cloud.", path=str(settings.state_dir)),
            hint=_("Choose an empty directory with YUN_STATE_DIR."),
        )
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    mark.touch()


@click.command("dev", cls=Command, help=_("Run a whole cloud in memory, for work on the panel."))
@option("--port", type=int, default=8480, help=_("TCP port to listen on."))
@option("--seed", type=click.IntRange(0, 100_000), default=0, help=_("Fill it with so many instances."))
@option("--boot-seconds", type=float, default=2.0, help=_("How long a guest in memory takes to boot."))
def dev(port: int, seed: int, boot_seconds: float) -> None:
    """Print ``ready http://127.0.0.1:PORT`` and serve until told to stop."""
    from yun.worker import fake_drivers

    environ = {"YUN_DEFAULT_CIDR": "10.64.0.0/14", "YUN_STATE_DIR": "yun-dev", **os.environ}
    try:
        settings = load({**environ, "YUN_FAKE": "true", "YUN_PORT": str(port), "YUN_LISTEN": "127.0.0.1"})

        forget(settings)
        from yun.seed import enlarge

        drivers = fake_drivers(boot_seconds)
        enlarge(drivers, seed)

        def fill(cloud: Cloud) -> None:
            from yun.seed import fill_found, fill_images, fill_instances

            fill_images(cloud)
            fill_instances(cloud, seed)
            if seed:
                fill_found(cloud)

        run(settings, ready="ready", drivers=drivers, seed=fill)
    except (Conflict, Invalid, Unavailable) as error:
        raise fail(error) from error
