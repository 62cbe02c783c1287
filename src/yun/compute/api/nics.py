"""REST of network cards: one more, one less, and what may change of one."""

from __future__ import annotations

from dataclasses import replace

from fastapi.responses import JSONResponse
from pydantic import Field

from yun.compute import service
from yun.compute.api.shared import Body, Edit, Word, instances, row_of
from yun.operations.answer import answer
from yun.web.api import Ctx, Match


class CardBody(Body):
    """How a network card is to be."""

    network: str | None = Field(None, max_length=200, description="Network by name or id.")
    address: str | None = Field(None, max_length=60, description="A certain address; the lowest free one by default.")
    security_groups: list[Word] | None = Field(None, max_length=50, description="Names or ids.")
    model: str | None = Field(None, max_length=20, description="virtio, e1000, e1000e or rtl8139")
    mac: str | None = Field(None, max_length=40, description="A certain MAC address.")
    link_up: bool | None = Field(None, description="Whether its cable is in.")

    def card_wish(self) -> service.Card:
        """As the verbs want it."""
        return service.Card(
            network=self.network, address=self.address, groups=self.security_groups, model=self.model, mac=self.mac,
            link_up=self.link_up,
        )  # fmt: skip


class NewCard(CardBody):
    """A card to be added: a new one, or a port that is there already."""

    port: str | None = Field(None, max_length=200, description="A port that is in no instance, by id, name, address…")

    def card_wish(self) -> service.Card:
        """As the verbs want it."""
        return replace(super().card_wish(), port=self.port)


class ChangedCard(CardBody, Edit):
    """A card of the instance, and what is to change of it; what is left out stays."""

    card_reference: Word = Field(alias="card", description="The card's id, MAC or address.")


class CardRemoval(Body):
    """A card of the instance, and how patiently its guest is asked."""

    card: Word = Field(description="The card's id, MAC or address.")
    timeout: int = Field(30, description="Seconds a running guest has to let go of the card.")
    keep_port: bool = Field(False, description="The port stays, for another instance.")


@instances.post("/{ref}/add-nic", summary="Add a network card to an instance", status_code=202)
def add_nic(ctx: Ctx, ref: str, body: NewCard, match: Match, dry_run: bool = False) -> JSONResponse:
    """At once where the instance runs."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.add_nic(ctx, found, body.card_wish())
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/remove-nic", summary="Remove a network card from an instance", status_code=202)
def remove_nic(ctx: Ctx, ref: str, body: CardRemoval, match: Match, dry_run: bool = False) -> JSONResponse:
    """A running guest is asked for it; undo puts it back with its address and MAC."""
    found = service.get(ctx, ref)
    match.check(found)
    intent = service.remove_nic(
        ctx, found, body.card, timeout=body.timeout, keep_port=body.keep_port
    )
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))


@instances.post("/{ref}/change-nic", summary="Change a network card of an instance", status_code=202)
def change_nic(ctx: Ctx, ref: str, body: ChangedCard, match: Match, dry_run: bool = False) -> JSONResponse:
    """Network, address, groups and cable at once; the model from the next start on; the MAC while it is off."""
    found = service.get(ctx, ref)
    card = service.card(ctx, found, body.card_reference)
    wish, now = body.card_wish(), service.card_told(ctx, card)
    wanted = service.wish_told(ctx, found, wish)
    kept = match.edit(found, wanted, now, service.CARD_TITLES, body.was)
    intent = service.change_nic(ctx, found, card.id, service.only(wish, kept))
    return answer(ctx, intent, dry_run=dry_run, row=lambda: row_of(ctx, found))
