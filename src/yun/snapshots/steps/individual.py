"""The step that makes a running copy an individual from inside: names, keys, clock, network."""

from __future__ import annotations

from typing import Any

from yun.base.errors import DriverError
from yun.base.log import logger
from yun.compute.steps import set_clock
from yun.compute.steps.inside import AGENT_SECONDS
from yun.compute.steps.nics import cards
from yun.compute.steps.shared import load, place
from yun.drivers.hypervisor.port import Hypervisor
from yun.operations.events import emit
from yun.operations.flow import Op, step
from yun.operations.intent import Subject

log = logger(__name__)
AGENT_WAIT, LOOK_EVERY, SCRIPT_SECONDS = 10.0, 0.1, 60.0
RENEW = r"""
name=$1; shift
again() {  # the program called $1 begins anew, with the words that it was started with; without one it is false
  found=1
  for one in /proc/[0-9]*; do
    [ "$(cat "$one/comm" 2>/dev/null)" = "$1" ] || continue
    words=$(tr '\000' ' ' <"$one/cmdline")
    kill "${one#/proc/}"; sleep 0.2
    $words >/dev/null 2>&1 </dev/null &
    found=0
  done
  return $found
}
was=$(cat /etc/hostname 2>/dev/null || hostname)
echo "$name" >/etc/hostname
hostname "$name" 2>/dev/null || echo "$name" >/proc/sys/kernel/hostname
[ -n "$was" ] && [ -w /etc/hosts ] && sed -i "s/\<$was\>/$name/g" /etc/hosts
if [ -e /etc/machine-id ]; then
  rm -f /etc/machine-id /var/lib/dbus/machine-id /var/lib/systemd/random-seed
  tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
  [ -d /var/lib/dbus ] && ln -sf /etc/machine-id /var/lib/dbus/machine-id
fi
if ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1 && command -v ssh-keygen >/dev/null; then
  rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
  ssh-keygen -A >/dev/null
  systemctl try-restart ssh sshd 2>/dev/null || { [ -f /run/sshd.pid ] && kill -HUP "$(cat /run/sshd.pid)"; }
fi
if ls /etc/dropbear/dropbear_*_host_key >/dev/null 2>&1; then
  rm -f /etc/dropbear/dropbear_*_host_key
  again dropbear
fi
for mac in "$@"; do
  for card in /sys/class/net/*; do
    [ "$(cat "$card/address" 2>/dev/null)" = "$mac" ] || continue
    card=${card##*/}
    ip link set "$card" up
    if networkctl status "$card" 2>/dev/null | grep -q '(configured)'; then :
    elif again udhcpc || again dhclient || again dhcpcd; then :
    elif command -v udhcpc >/dev/null; then udhcpc -b -i "$card" >/dev/null 2>&1 </dev/null &
    elif command -v dhclient >/dev/null; then dhclient -nw "$card" >/dev/null 2>&1 </dev/null &
    elif command -v dhcpcd >/dev/null; then dhcpcd -b "$card" >/dev/null 2>&1 </dev/null &
    fi
  done
done
exit 0
"""
"""Told the host name and the MACs of its cards. What is not there is left out: every Linux has some of it. What
cloud-init configures it does anew at the next boot, of a seed that names another instance."""


@step(retries=1)
def be_oneself(op: Op, instance_id: str) -> dict[str, Any]:
    """The guest of a copy that was woken has names and keys of its own, as far as it lets its agent do that; ``done``
    tells whether, ``why`` why not. A guest that does not is no failure: it runs, and can be changed inside."""
    row, hypervisor = place(op, instance_id)
    macs = [nic.mac.lower() for nic in cards(op, instance_id).values()]
    try:
        if not _answers(op, hypervisor, row.uuid):
            return _told(op, instance_id, "silent")
        set_clock.call(op, instance_id)
        words = {"path": "/bin/sh", "arg": ["-c", RENEW, "sh", row.hostname, *macs], "capture-output": True}
        answer = hypervisor.agent(row.uuid, "guest-exec", words, timeout=AGENT_SECONDS)
        code = _ended(op, hypervisor, row.uuid, int(answer["pid"]))  # type: ignore[index]
    except DriverError as error:
        log.info("the guest of %s was not renewed: %s", instance_id, error)
        return _told(op, instance_id, "refused")
    return _told(op, instance_id, "" if code == 0 else "failed")


def _answers(op: Op, hypervisor: Hypervisor, uuid: str) -> bool:
    end = op.clock.monotonic() + AGENT_WAIT
    while not hypervisor.state(uuid).agent:
        if op.clock.monotonic() >= end:
            return False
        op.sleep(LOOK_EVERY)
    return True


def _ended(op: Op, hypervisor: Hypervisor, uuid: str, pid: int) -> int | None:
    end = op.clock.monotonic() + SCRIPT_SECONDS
    while op.clock.monotonic() < end:
        told = hypervisor.agent(uuid, "guest-exec-status", {"pid": pid}, timeout=AGENT_SECONDS)
        if isinstance(told, dict) and told.get("exited"):
            return int(told.get("exitcode", 1))
        op.sleep(LOOK_EVERY)
    return None


def _told(op: Op, instance_id: str, why: str) -> dict[str, Any]:
    with op.write() as session:
        row = load(session, instance_id)
        emit(
            session, "instance.renewed", subject=Subject("instance", row.id, row.name), project_id=row.project_id,
            operation_id=op.id, data={"done": not why, "why": why},
        )  # fmt: skip
    return {"done": not why, "why": why}
