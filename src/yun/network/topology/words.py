"""What a topology says: the short lines on it, and the whole story of a thing, told on hover and read aloud."""

from __future__ import annotations

from dataclasses import dataclass

from yun.base.messages import Message, _
from yun.network.topology.graph import BALANCER, MACHINE, Bond, Net, Plug, Thing, Way


@dataclass(frozen=True)
class Words:
    """The words in one language."""

    locale: str

    def _say(self, *messages: Message | str) -> str:
        parts = (m.render(self.locale) if isinstance(m, Message) else m for m in messages)
        return "\n".join(p for p in parts if p)

    def no_subnet(self) -> str:
        """In place of a range."""
        return self._say(_("no subnet"))

    def more(self, count: int) -> str:
        """On the card that opens a network."""
        return self._say(_("{count} more", count=count))

    def too_many(self, count: int) -> str:
        """On the card for those that even an opened network does not show."""
        return self._say(_("{count} more in the list", count=count))

    def fewer(self) -> str:
        """On the card that closes a network."""
        return self._say(_("Show fewer"))

    def floating(self, used: int, idle: int) -> str:
        """How many floating IPs lead somewhere, and how many do not."""
        if idle:
            return self._say(_("Floating IPs: {used} in use, {idle} free", used=used, idle=idle))
        return self._say(_("Floating IPs: {used} in use", used=used))

    def router_line(self, router: Way) -> str:
        """The second line of a router."""
        nat = _("source NAT") if router.snat else _("routes without NAT")
        peers = self._say(_("peered: {names}", names=", ".join(router.peers))) if router.peers else ""
        return " · ".join(part for part in (self._say(nat if router.gateway else _("no way out")), peers) if part)

    def router(self, router: Way) -> str:
        """A router's story."""
        outside = _("Outside address: {address}", address=router.address) if router.address else ""
        chains = _("Service chains: {names}", names=", ".join(router.chains)) if router.chains else ""
        return self._say(_("Router {name}", name=router.name), outside, self.router_line(router), chains)

    def external(self, network: Net) -> str:
        """An external network's story."""
        return self._say(_("External network {name}", name=network.name), ", ".join(network.ranges))

    def network(self, network: Net) -> str:
        """A network's story."""
        return self._say(
            _("Network {name}", name=network.name), ", ".join(network.ranges) or self.no_subnet(),
            _("shared by the whole cloud") if network.shared else "",
            _("Machines on it: {count}", count=network.machines),
        )  # fmt: skip

    def thing(self, thing: Thing, groups: dict[str, str]) -> str:
        """A machine's, port's or balancer's story."""
        titles = {BALANCER: _("Load balancer {name}", name=thing.name), MACHINE: _("Instance {name}", name=thing.name)}
        addresses = ", ".join(a for plug in thing.plugs for a in plug.addresses)
        outside = ", ".join(address for _id, address in thing.outside)
        names = ", ".join(groups[g] for g in thing.groups if g in groups)
        told: list[Message | str] = [titles.get(thing.kind, _("Port {name}", name=thing.name)), addresses]
        if outside:
            told.append(_("Floating IP: {address}", address=outside))
        if thing.about:
            told.append(_("Listens on: {ports}", ports=thing.about))
        if thing.chains:
            told.append(_("Passes on for the service chains: {names}", names=", ".join(thing.chains)))
        if names:
            told.append(_("Security groups: {names}", names=names))
        if thing.kind != BALANCER and not thing.up:
            told.append(_("Its card is not connected now."))
        return self._say(*told)

    def rate(self, rate: tuple[float, float]) -> str:
        """What comes in and goes out."""
        return f"↓{short(rate[0])}/s ↑{short(rate[1])}/s"

    def plug(self, plug: Plug) -> str:
        """A card's story."""
        told: list[Message | str] = [", ".join(plug.addresses)]
        if plug.rate:
            into, out = (f"{short(r)}/s" for r in plug.rate)
            told.append(_("Receives {into}, sends {out}", into=into, out=out))
        return self._say(*told)

    def bond(self, bond: Bond) -> str:
        """A line's story."""
        if bond.kind == "member":
            return self._say(_("member") if bond.up else _("member that does not answer"))
        return self._say(_("peering"))


def short(size: float) -> str:
    """Bytes in a few letters: ``1.2 MiB``."""
    units = iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while size >= 999.5:
        size, unit = size / 1024, next(units, "TiB")
    return f"{size:.1f} {unit}" if size < 9.95 and unit != "B" else f"{size:.0f} {unit}"
