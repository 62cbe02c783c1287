"""What a guest is told at its first boot: NoCloud meta-data, user-data and network-config, made from the rows."""

from __future__ import annotations

import base64
import email
import hashlib
from dataclasses import dataclass
from email.message import Message as Mail
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from typing import Any

import yaml

from yun.base.errors import Invalid
from yun.base.messages import _
from yun.base.units import format_size

USER_DATA_BYTES = 64 * 1024
PASSWORD_LENGTH = 256
_KINDS = {
    "#!": "x-shellscript",
    "#include": "x-include-url",
    "#cloud-config-archive": "cloud-config-archive",
    "#cloud-boothook": "cloud-boothook",
    "#part-handler": "part-handler",
    "## template: jinja": "jinja2",
}


@dataclass(frozen=True)
class Six:
    """The IPv6 side of a card: ``mode`` is how the guest gets its address, empty where it sets ``address`` (with prefix
    length) itself."""

    mode: str = ""
    address: str = ""
    gateway: str = ""
    dns_servers: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuestNic:
    """A network card as the guest should set it up; ``address`` with prefix length, unused where DHCP serves it.
    ``four``: it has an IPv4 side at all; ``six`` its IPv6 side."""

    mac: str
    dhcp: bool = True
    address: str = ""
    gateway: str = ""
    dns_servers: tuple[str, ...] = ()
    four: bool = True
    six: Six | None = None


@dataclass(frozen=True)
class Guest:
    """All that the seed of one machine is made from. ``password_hash`` is a crypt(3) hash or empty. ``renew`` is for a
    machine whose disk was another's: what cloud-init itself does not renew is renewed too."""

    instance_id: str
    hostname: str
    ssh_keys: tuple[str, ...] = ()
    password_hash: str = ""
    user_data: str = ""
    nics: tuple[GuestNic, ...] = ()
    renew: bool = False


RENEW = [
    "cloud-init-per", "instance", "yun-machine-id", "sh", "-c",
    "[ -e /etc/machine-id ] || exit 0; rm -f /etc/machine-id /var/lib/dbus/machine-id /var/lib/systemd/random-seed; "
    "if command -v systemd-machine-id-setup >/dev/null; then systemd-machine-id-setup; "
    "else tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id; fi; "
    "[ -d /var/lib/dbus ] && ln -sf /etc/machine-id /var/lib/dbus/machine-id || true",
]
"""Run early in the first boot of a copy: cloud-init renews host name and SSH host keys, but not the machine ID.
systemd-machine-id-setup alone might take the ID from the hypervisor's UUID, which is the copy's own: fine as well."""


def hash_password(password: str) -> str:
    """The SHA-512 crypt(3) hash that is kept and given to the guest; the password itself is forgotten."""
    from passlib.hash import sha512_crypt

    return str(sha512_crypt.using(rounds=20_000).hash(check_password(password)))


def check_password(password: str) -> str:
    """The password. Raises `Invalid` (without repeating it) where it is short, long or not one line."""
    if not 6 <= len(password) <= PASSWORD_LENGTH or any(c < " " or c == "\x7f" for c in password):
        right = _("one line of 6 to {most} characters", most=PASSWORD_LENGTH)
        raise Invalid(_("This password cannot be used."), fields={"password": right})
    return password


def check_user_data(text: str) -> str:
    """The user data. Raises `Invalid` where it is too big, not readable, or of a kind that cloud-init ignores."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > USER_DATA_BYTES:
        most = format_size(USER_DATA_BYTES)
        raise Invalid(
            _("The user data is {size}; at most {most} are allowed.", size=format_size(size), most=most),
            hint=_("Let it fetch what is big: #include takes addresses."),
            fields={"user_data": _("at most {most}", most=most)},
        )
    if any(0xD800 <= ord(c) < 0xE000 or c == "\0" for c in text):
        raise Invalid(_("The user data is not text."), fields={"user_data": _("UTF-8 text")})
    if text.strip():
        kind = _kind(text)
        if kind == "cloud-config":
            _parse(text)
        elif kind == "":
            raise Invalid(
                _("The user data is of no kind that cloud-init knows."),
                fields={"user_data": _("a first line such as #cloud-config, #!/bin/sh or #include")},
            )
    return text


def seed_files(guest: Guest) -> dict[str, bytes]:
    """The files of a NoCloud seed; the same guest always gives the same bytes."""
    meta = {"instance-id": guest.instance_id, "local-hostname": guest.hostname}
    return {
        "meta-data": _dump(meta).encode(),
        "user-data": user_data(guest),
        "network-config": _dump(network_config(guest.nics)).encode(),
    }


def user_data(guest: Guest) -> bytes:
    """The person's user data joined with what the cloud itself has to say: one document where the person's is
    cloud-config or nothing, a MIME message of both where it is a script or another kind."""
    kind = _kind(guest.user_data) if guest.user_data.strip() else "cloud-config"
    if kind == "cloud-config":
        config = _parse(guest.user_data) if guest.user_data.strip() else {}
        return _cloud_config(_joined(config, guest))
    ours = _cloud_config(_joined({}, guest))
    message = MIMEMultipart(boundary="=" * 15 + hashlib.sha256(ours + guest.user_data.encode()).hexdigest()[:24])
    message.attach(_part(ours.decode(), "cloud-config", "cloud.yaml"))
    if kind == "mime":
        for part in _parts(email.message_from_string(guest.user_data)):
            message.attach(part)
    else:
        message.attach(_part(guest.user_data, kind, "user-data"))
    return message.as_bytes()


def network_config(nics: tuple[GuestNic, ...]) -> dict[str, Any]:
    """Version 2 network configuration; cards are found by MAC and named eth0, eth1… in order."""
    ethernets: dict[str, Any] = {}
    for number, nic in enumerate(nics):
        name = f"eth{number}"
        config: dict[str, Any] = {"match": {"macaddress": nic.mac}, "set-name": name}
        if nic.four:
            _four(config, nic)
        if nic.six:
            _six(config, nic.six)
        ethernets[name] = config
    return {"version": 2, "ethernets": ethernets}


def _four(config: dict[str, Any], nic: GuestNic) -> None:
    if nic.dhcp or not nic.address:
        config["dhcp4"] = True
        return
    config["addresses"] = [nic.address]
    if nic.gateway:
        config["gateway4"] = nic.gateway
    if nic.dns_servers:
        config["nameservers"] = {"addresses": list(nic.dns_servers)}


def _six(config: dict[str, Any], six: Six) -> None:
    """Routers are heard in every mode; without one the guest sets its address and way out itself."""
    config["accept-ra"] = bool(six.mode)
    if six.mode:
        config["dhcp6"] = six.mode == "dhcpv6-stateful"
        return
    config["addresses"] = [*config.get("addresses", ()), six.address]
    if six.gateway:
        config["gateway6"] = six.gateway
    if six.dns_servers:
        listed = config.setdefault("nameservers", {"addresses": []})
        listed["addresses"] = [*listed["addresses"], *six.dns_servers]


def _joined(config: dict[str, Any], guest: Guest) -> dict[str, Any]:
    out = dict(config)
    if "fqdn" not in out:
        out.setdefault("hostname", guest.hostname)
    out.setdefault("manage_etc_hosts", "localhost")
    if guest.renew:
        theirs = out.get("bootcmd")
        out["bootcmd"] = [RENEW, *(theirs if isinstance(theirs, list) else [])]
    if guest.ssh_keys:
        theirs = out.get("ssh_authorized_keys") or []
        out["ssh_authorized_keys"] = list(dict.fromkeys([*theirs, *guest.ssh_keys]))
    if guest.password_hash:
        out["password"] = guest.password_hash
        theirs = out.get("chpasswd")
        out["chpasswd"] = {**(theirs if isinstance(theirs, dict) else {}), "expire": False}
        out.setdefault("ssh_pwauth", True)
    users = out.get("users")
    if (guest.ssh_keys or guest.password_hash) and isinstance(users, list) and "default" not in users:
        out["users"] = ["default", *users]
    return out


def _kind(text: str) -> str:
    first = text.lstrip().split("\n", 1)[0].strip().lower()
    if first.split("#cloud-config", 1)[0] == "" and first.split()[0] == "#cloud-config":
        return "cloud-config"
    for start, kind in _KINDS.items():
        if first.startswith(start):
            return kind
    head = text[:4096].lower()
    return "mime" if "mime-version:" in head and "content-type:" in head else ""


def _parse(text: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise Invalid(
            _("The user data is not valid YAML: line {line}.", line=line),
            fields={"user_data": _("valid YAML after #cloud-config")}, private=type(error).__name__,
        ) from None  # fmt: skip
    except (RecursionError, ValueError):
        config = False
    if config is None:
        return {}
    keys = config.get("ssh_authorized_keys", []) if isinstance(config, dict) else None
    if not isinstance(config, dict) or not (keys is None or isinstance(keys, list)):
        raise Invalid(
            _("The user data is not a cloud-config document."),
            fields={"user_data": _("a YAML mapping after #cloud-config")},
        )
    return config


def _cloud_config(config: dict[str, Any]) -> bytes:
    return b"#cloud-config\n" + _dump(config).encode()


def _dump(value: Any) -> str:
    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, default_flow_style=False, width=2**30))


def _part(text: str, kind: str, name: str) -> Mail:
    part = MIMENonMultipart("text", kind, charset="utf-8")
    if text.isascii():
        part["Content-Transfer-Encoding"] = "7bit"
        part.set_payload(text)
    else:
        part["Content-Transfer-Encoding"] = "base64"
        part.set_payload(base64.encodebytes(text.encode()).decode())
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part


def _parts(message: Mail) -> list[Mail]:
    return [part for part in message.walk() if not part.is_multipart()]
