"""The first machine: an image, the networks, `hello` itself, and the wait until it answers SSH."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yun.base.config import Settings
from yun.base.errors import Unavailable
from yun.base.messages import Message, _
from yun.base.units import GIB
from yun.drivers.host.command import environment, run
from yun.setup.stage import Tell
from yun.web.client import Client
from yun.web.command import Failure

NAME = "hello"
RECIPE = "tiny"
SSH_SECONDS = 240.0
NETWORK_SECONDS = 60.0
POOL_SECONDS = 30.0


def make(client: Client, settings: Settings, tell: Tell) -> str | None:
    """The machine ``hello`` runs and answers SSH; its outside address, None where a person has deleted it before.

    What a person did to it since (stopped, deleted) is respected.
    """
    _at_home(client)
    image = _image(client, tell)
    _networks(client, tell)
    key = ssh_key(settings)
    made = settings.state_dir / "hello.made"
    with tell.stage(_("machine hello"), _("See yun history, and run this again.")) as done:
        found = _find(client, f"/instances/{NAME}")
        if found is None and made.exists():
            done(_("deleted by somebody; it stays so"))
            return None
        if found is None:
            body = {
                "name": NAME, "image": image, "vcpus": 1, "memory_mib": 256, "disk_bytes": GIB, "floating_ip": True,
                "ssh_keys": public_keys(key), "description": "",
            }  # fmt: skip
            client.change("POST", "/instances", body, show=False)
            made.write_text("")
            found = client.get(f"/instances/{NAME}")
            done(_("created and started"))
        else:
            done(_("already there, {state}", state=_(str(found["state"]))))
    address = outside_address(found)
    if found["state"] != "running" or address is None:
        return address
    with tell.stage(_("SSH to hello"), _("Look at its console in the panel, or with: yun console hello")) as done:
        user = found.get("default_user") or "root"
        await_ssh(settings, key, f"{user}@{address}")
        done(_("{address} answers", address=address))
    return address


def first_image(client: Client, settings: Settings, tell: Tell) -> None:
    """There is an image to start machines from: the tiny one, where there is none and none was made here before."""
    _at_home(client)
    made = settings.state_dir / "image.made"
    if made.exists() or any(found["state"] == "active" for found in client.items("/images")):
        made.touch()
        return
    _image(client, tell)
    made.touch()


def _at_home(client: Client) -> None:
    """What `yun up` makes belongs to the default project."""
    client.options.project = client.options.project or "default"
    client.http.headers["X-Yun-Project"] = client.options.project


def _find(client: Client, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.get(path)
        return found
    except Failure as error:
        if error.problem.get("code") == "not_found":
            return None
        raise


def _image(client: Client, tell: Tell) -> str:
    """An image to start from: the tiny one, built here where it is missing."""
    with tell.stage(_("image"), _("It is built from distribution packages; see that apt-get works.")) as done:
        for found in client.items("/images"):
            if found["name"] == RECIPE and found["state"] == "active":
                done(_("{name} is there", name=RECIPE))
                return str(found["id"])
        _await_pool(client)
        answer = client.change("POST", "/images/build", {"recipe": RECIPE, "visibility": "public"}, show=False)
        done(_("{name} built", name=RECIPE))
        return str(answer["id"])


def _await_pool(client: Client) -> None:
    """Wait for the storage pool that `yun serve` makes at its first start; building tells why there is none."""
    until = time.monotonic() + POOL_SECONDS
    while not list(client.items("/pools")) and time.monotonic() < until:
        time.sleep(0.2)


def _networks(client: Client, tell: Tell) -> None:
    """The outside network and the project's own one, which `yun serve` makes at its first start, are in place."""
    with tell.stage(_("networks"), _("See what is wrong with: yun doctor")) as done:
        until = time.monotonic() + NETWORK_SECONDS
        while not (names := _default_networks(client)):
            if time.monotonic() > until:
                raise Unavailable(_("The default networks were not made in time."))
            time.sleep(0.3)
        done(Message(", ".join(names)))


def _default_networks(client: Client) -> list[str]:
    """Names of the networks once `yun serve` has made its default ones; empty while it is at it.

    Raises `Unavailable` with the reason where it failed.
    """
    for found in client.items("/operations", limit=200):
        if found["kind"] == "network.ensure_default":
            if found["state"] == "failed":
                reason = (found.get("error") or {}).get("message") or ""
                raise Unavailable(_("The default networks could not be made: {reason}", reason=reason))
            if found["state"] != "succeeded":
                return []
            break
    return sorted(str(n["name"]) for n in client.items("/networks"))


def outside_address(instance: dict[str, Any]) -> str | None:
    """The floating IP of an instance as the API shows it."""
    for port in instance.get("ports", []):
        if floating := port.get("floating_ip"):
            return str(floating["address"] if isinstance(floating, dict) else floating)
    return None


def ssh_key(settings: Settings) -> Path:
    """Root's key for the cloud's own machines (``ssh/id_ed25519`` in the state directory), made on first use."""
    path = settings.state_dir / "ssh" / "id_ed25519"
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "yun", "-f", str(path)])
    return path


def public_keys(key: Path, home: Path = Path("/root")) -> list[str]:
    """The cloud's own public key and those that root has already."""
    texts = [key.with_suffix(".pub").read_text().strip()]
    for name in ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"):
        path = home / ".ssh" / name
        if path.exists():
            texts.append(path.read_text().strip())
    return [t for t in dict.fromkeys(texts) if t]


def await_ssh(settings: Settings, key: Path, target: str, *, seconds: float = SSH_SECONDS) -> None:
    """Pass when a command ran over SSH. Raises `Unavailable` with SSH's last words after ``seconds``."""
    command = [
        "ssh", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        target, "true",
    ]  # fmt: skip
    said = _until(seconds, lambda: _try(command))
    if said:
        raise Unavailable(_("{target} does not answer: {reason}", target=target, reason=said))


def _until(seconds: float, attempt: Callable[[], str]) -> str:
    until = time.monotonic() + seconds
    while said := attempt():
        if time.monotonic() > until:
            return said
        time.sleep(0.5)
    return ""


def _try(command: list[str]) -> str:
    """Run once; empty where it succeeded, else the last words."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False,
            env=environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "time-out"
    return "" if done.returncode == 0 else (done.stderr.strip() or str(done.returncode))[-300:]
