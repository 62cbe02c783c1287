"""REST of reachability."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from yun.base.messages import Message
from yun.network.service.reach import Answer, Question, Summary
from yun.network.service.reach import reach as ask
from yun.web.api import Ctx, Route

router = APIRouter(route_class=Route, tags=["networks"])
Number = Annotated[int | None, Query(ge=-(2**53), le=2**53, description="A port of TCP or UDP.")]


@router.get("/network/reach", summary="Ask whether A can talk to B")
def reach(
    ctx: Ctx,
    source: str = Query(alias="from", max_length=400, description="A port, a host name, an instance's id, an address "
                                                                  "or `anywhere`."),
    target: str = Query(alias="to", max_length=400, description="The same."),
    protocol: str | None = Query(None, max_length=20, description="tcp, udp, icmp, ping or any"),
    port: Number = None,
) -> dict[str, Any]:  # fmt: skip
    """The answer with what decides it: the way, the rules of both sides, the answers back."""
    return shown(ask(ctx, Question(source, target, protocol, port)), ctx.locale)


def text(value: str | Message, locale: str) -> str:
    """Words, or a message in a language."""
    return value.render(locale) if isinstance(value, Message) else value


def shown(answer: Answer, locale: str) -> dict[str, Any]:
    """An answer as JSON."""
    verdict = answer.verdict
    missing = answer.missing
    return {
        "reachable": answer.ok,
        "text": answer.text.render(locale),
        "from": text(answer.source.title, locale),
        "to": text(answer.target.title, locale),
        "asked": text(answer.want.text, locale),
        "obstacle": verdict.code or ("not_running" if verdict.off else None),
        "passes": [text(p, locale) for p in answer.passes],
        "sent_to": verdict.sent or None,
        "seen_as": verdict.seen or None,
        "not_running": [{"id": p.id, "name": p.name} for p in verdict.off],
        "steps": [
            {"ok": s.ok, "text": s.text.render(locale), "kind": s.kind or None, "id": s.id or None,
             "name": s.name or None}
            for s in answer.steps
        ],
        "missing_rule": None if missing is None else {
            "security_group_id": missing.group_id, "security_group_name": missing.group_name,
            "direction": missing.direction, "family": missing.family, "protocol": missing.protocol,
            **numbers(missing.protocol, missing.number), "remote": missing.remote,
        },
    }  # fmt: skip


def numbers(protocol: str, number: int | None) -> dict[str, int | None]:
    """Port, or type and code, of a rule that is lacking."""
    icmp = protocol == "icmp" and number is not None
    port = number if protocol in ("tcp", "udp") else None
    return {
        "port_min": port, "port_max": port, "icmp_type": number // 256 if icmp and number is not None else None,
        "icmp_code": None,
    }  # fmt: skip


def summary(found: Summary, locale: str) -> dict[str, list[str]]:
    """What can reach a machine, as JSON."""
    return {
        "in": [m.render(locale) for m in found.inward],
        "out": [m.render(locale) for m in found.outward],
        "outside": [m.render(locale) for m in found.outside],
        "notes": [m.render(locale) for m in found.notes],
    }
