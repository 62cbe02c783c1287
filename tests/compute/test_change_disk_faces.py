"""Limits and ways of disks by panel, REST and command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

from tests.compute.conftest import Lab
from tests.compute.test_api import asking
from tests.compute.test_cli import Run, parsed, run  # noqa: F401 (a fixture)
from tests.compute.test_pages import HTMX, browser, was  # noqa: F401 (fixtures)
from yun.drivers.hypervisor.port import IoLimits

RATES = IoLimits().rates


def live(lab: Lab, slot: str) -> Any:
    return {d.slot: d for d in lab.domain("web").live.disks}[slot]


def test_the_panel_limits_a_disk_and_shows_what_it_has(lab: Lab, browser: Callable[..., TestClient]) -> None:  # noqa: F811
    lab.create()
    page = browser()
    base = f"/instances/{lab.row().id}/disks"
    form = page.get(f"{base}/vda/change")
    assert form.status_code == 200, form.text
    assert "It reaches no disk of another instance" in form.text
    typed = {**dict.fromkeys(RATES, ""), "cache": "none", "discard": "true", "was": was(form.text)}
    wanted = {**typed, "total_bytes_sec": "10", "read_iops_sec": "50", "read_iops_sec_max": "90", "serial": "root"}
    plan = page.post(f"{base}/vda/change/preview", data=wanted, headers=HTMX)
    assert "Limit of vda: bytes: 10 MiB/s." in plan.text
    assert "The limits count at once, while the instance runs." in plan.text
    done = page.post(f"{base}/vda/change", data=wanted, headers=HTMX)
    assert done.status_code in (200, 202, 204), done.text
    lab.drain()
    assert live(lab, "vda").limits == IoLimits(total_bytes_sec=10 << 20, read_iops_sec=50, read_iops_sec_max=90)
    shown = page.get(base).text
    assert "bytes: 10 MiB/s" in shown
    assert "Serial waits for the next start" in shown
    again = page.get(f"{base}/vda/change").text
    assert 'value="10M"' in again
    crossed = page.post(f"{base}/vda/change", data={**typed, "total_bytes_sec": "30"}, headers=HTMX)
    assert crossed.status_code == 409, "somebody else has limited it since the form was shown"
    wrong = page.post(f"{base}/vda/change/preview", data={**typed, "read_iops_sec": "many"}, headers=HTMX)
    assert "many is no number." in wrong.text


def test_the_panel_adds_and_attaches_disks_with_all_they_can_have(
    lab: Lab, browser: Callable[..., TestClient]  # noqa: F811
) -> None:
    lab.create()
    page = browser()
    base = f"/instances/{lab.row().id}/disks"
    for path in (f"{base}/new", f"{base}/attach"):
        assert page.get(path).status_code == 200
    form = {"size_bytes": "1", "bus": "virtio", "cache": "directsync", "io": "native", "serial": "data",
            "total_iops_sec": "100", "limit_group": "slow"}  # fmt: skip
    plan = page.post(f"{base}/new/preview", data=form, headers=HTMX)
    assert "Limit: requests: 100/s." in plan.text
    assert "What its guest gives up is not given back to the pool." in plan.text
    page.post(base, data=form, headers=HTMX)
    lab.drain()
    disk = live(lab, "vdb")
    assert (disk.cache, disk.io, disk.serial, disk.discard) == ("directsync", "native", "data", False)
    assert disk.limits == IoLimits(total_iops_sec=100, group_name="slow")


def test_rest_changes_a_disk_and_tells_what_it_would_do(lab: Lab) -> None:
    lab.create()
    with asking(lab) as api:
        told = {"disk": "vda", "limits": {"read_iops_sec": 5}, "limit_group": "g"}
        plan = api.post("/instances/web/change-disk", params={"dry_run": True}, json=told)
        assert plan.status_code == 200, plan.text
        assert "Limit of vda: reads: 5/s." in plan.json()["effects"]
        assert api.post("/instances/web/change-disk", json=told).status_code == 202
        lab.drain()
        [disk] = api.get("/instances/web").json()["disks"]
        assert (disk["limits"], disk["limit_group"]) == ({"read_iops_sec": 5}, "g")
        refused = api.post("/instances/web/change-disk", json={"disk": "vda", "limits": {"read_iops_sec_max": 5}})
        assert refused.status_code == 422
        assert "read_iops_sec_max" in refused.text


def test_the_command_limits_a_disk_and_frees_it(lab: Lab, run: Run) -> None:  # noqa: F811
    lab.create()
    done = run("instance", "change-disk", "web", "vda", "--limit", "total-bytes=10M:20M:3", "--limit", "read-iops=50",
               "--limit-group", "slow", "--io", "threads")  # fmt: skip
    assert done.exit_code == 0, done.output
    limits = IoLimits(total_bytes_sec=10 << 20, total_bytes_sec_max=20 << 20, total_bytes_sec_max_length=3,
                      read_iops_sec=50, group_name="slow")  # fmt: skip
    assert live(lab, "vda").limits == limits
    added = run("instance", "add-disk", "web", "--size", "1G", "--limit-group", "slow", "--no-discard",
                "--serial", "d1")  # fmt: skip
    assert added.exit_code == 0, added.output
    assert (live(lab, "vdb").limits, live(lab, "vdb").discard, live(lab, "vdb").serial) == (limits, False, "d1")
    shown = parsed(run("-o", "json", "instance", "show", "web"))
    assert [disk["io"] for disk in shown["disks"]] == ["threads", ""]
    assert run("instance", "change-disk", "web", "vdb", "--no-limits").exit_code == 0
    assert live(lab, "vdb").limits == IoLimits()
    assert live(lab, "vda").limits == limits
    for wrong in ("reads=5", "read-iops", "read-iops=5:6:7:8", "read-iops=5M"):
        refused = run("instance", "change-disk", "web", "vda", "--limit", wrong)
        assert refused.exit_code != 0, wrong


def test_an_instance_is_created_with_a_limited_disk_by_each_face(
    lab: Lab, run: Run, browser: Callable[..., TestClient]  # noqa: F811
) -> None:
    lab.create("first")
    form = browser().get("/instances/new")
    assert form.status_code == 200
    assert 'name="read_iops_sec_max"' in form.text
    done = run("instance", "create", "web", "--image", "tiny", "--flavor", "tiny", "--disk-limit", "read-iops=7",
               "--disk-serial", "root", "--disk-no-discard")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (live(lab, "vda").limits, live(lab, "vda").serial) == (IoLimits(read_iops_sec=7), "root")
    assert not live(lab, "vda").discard
    typed = {"name": "by-panel", "image": "tiny", "flavor": "tiny", "read_iops_sec": "8", "cache": "none"}
    plan = browser().post("/instances/new/preview", data=typed, headers=HTMX)
    assert "Limit: reads: 8/s." in plan.text, plan.text
