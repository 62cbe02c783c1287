"""Settings: one frozen class, read from ``YUN_…`` variables and one TOML file.

The environment wins over the file; the file is ``$YUN_CONFIG``, else ``config.toml`` in the state directory. What
operators change while the cloud runs (flavors, networks, quotas) is a row in the database and never a setting.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from yun.base.errors import Invalid
from yun.base.messages import _


def _setting(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class Settings:
    """The effective settings; each field's ``doc`` is its entry in the reference."""

    state_dir: Path = _setting(Path("/var/lib/yun"), "Where the database, disks, images, logs and sockets live.")
    database_url: str = _setting("", "SQLAlchemy address of the database; empty means SQLite in the state directory.")
    listen: str = _setting("127.0.0.1", "Address the panel and the API listen on; beyond loopback TLS is required.")
    port: int = _setting(8480, "TCP port of the panel and the API.")
    tls_cert: str = _setting("", "PEM certificate chain; required when `listen` is not loopback.")
    tls_key: str = _setting("", "PEM private key of `tls_cert`.")
    public_url: str = _setting(
        "", "Address people use when a proxy stands in front, such as https://cloud.example.org."
    )
    node_name: str = _setting("", "Name of this control-plane process; empty means the host's name.")
    workers: int = _setting(16, "Operations that one process runs at the same time.")
    libvirt_uri: str = _setting("qemu:///system", "Libvirt connection of the local host.")
    accel: str = _setting("auto", "auto probes KVM and falls back to TCG; kvm and tcg override the probe.")
    ovn_nb: str = _setting("unix:/run/ovn/ovnnb_db.sock", "OVN northbound database.")
    ovn_sb: str = _setting("unix:/run/ovn/ovnsb_db.sock", "OVN southbound database; only read.")
    datapath: str = _setting("auto", "Open vSwitch datapath: auto, system (kernel) or netdev (userspace).")
    external_cidr: str = _setting("172.31.240.0/22", "Range of the default external network: floating IPs live here.")
    default_cidr: str = _setting("10.77.0.0/20", "Range of the default project network.")
    dns_upstream: str = _setting("", "Resolvers that guests get, comma separated; empty means those of the host.")
    underlay_mtu: int = _setting(
        1500, "Largest packet between hosts, in bytes; networks carry 58 less, which is what a tunnel takes."
    )
    undo_days: float = _setting(7.0, "How long a finished operation can be undone and the trash is kept, in days.")
    history_days: float = _setting(365.0, "How long finished operations and events stay in the history, in days.")
    heartbeat_seconds: float = _setting(2.0, "How often a process proves that it lives.")
    node_timeout: float = _setting(15.0, "Seconds without a proof of life after which another process takes over.")
    metrics_seconds: float = _setting(10.0, "How often the hosts' and instances' use is measured.")
    driver_timeout: float = _setting(30.0, "Seconds a call to a daemon may take before it counts as unavailable.")
    session_idle_hours: float = _setting(12.0, "A log-in ends after this many hours without use.")
    session_days: float = _setting(14.0, "A log-in ends after this many days at the latest.")
    log_level: str = _setting("info", "debug, info, warning or error.")
    fake: bool = _setting(False, "Run on the in-memory drivers (`yun dev`).")

    @property
    def url(self) -> str:
        """The database's address, SQLite in the state directory by default."""
        return self.database_url or f"sqlite:///{self.state_dir / 'yun.db'}"

    @property
    def loopback(self) -> bool:
        """Whether the panel is reachable from this machine alone."""
        return self.listen in ("127.0.0.1", "::1", "localhost")


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. Raises `Invalid` naming the setting that does not parse or does not exist."""
    environ = os.environ if environ is None else environ
    state = Path(environ.get("YUN_STATE_DIR", Settings.state_dir))
    path = Path(environ.get("YUN_CONFIG", state / "config.toml"))
    raw: dict[str, Any] = {}
    if path.exists():
        try:
            raw = tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Invalid(_("{path} is not valid TOML: {reason}", path=str(path), reason=str(error))) from error
    known = {f.name: f for f in fields(Settings)}
    for name in raw:
        if name not in known:
            unknown = _("There is no setting named {name} in {path}.", name=name, path=str(path))
            raise Invalid(unknown, fields={name: _("remove it, or see the reference of settings")})
    for name in known:
        if (text := environ.get("YUN_" + name.upper())) is not None:
            raw[name] = text
    return Settings(**{name: _convert(name, known[name].default, value) for name, value in raw.items()})


def _convert(name: str, default: Any, value: Any) -> Any:
    try:
        if isinstance(default, bool):
            if isinstance(value, bool):
                return value
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]
        if isinstance(default, Path):
            return Path(value).resolve()
        return type(default)(value)
    except (ValueError, KeyError, TypeError) as error:
        message = _("The setting {name} cannot be {value}.", name=name, value=str(value)[:80])
        expected = _("a value of type {type}", type=type(default).__name__)
        raise Invalid(message, fields={name: expected}) from error
