"""What the verbs of identity do, refuse and take back."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest
import sqlalchemy as sa

from tests.identity.conftest import House
from yun.base.context import Actor
from yun.base.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from yun.identity import holdings, secret, service
from yun.identity.model import ApiToken, Grant, Project, User, WebSession
from yun.identity.service.asking import ROOT
from yun.identity.service.first import password_path
from yun.operations.model import Event, Operation, OperationStep
from yun.operations.service import submit

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGDVPBxYIDQXzGyBLdMlkAe1Tt0vHFvO5kIKlqxwYxY6 li@laptop"


def test_the_first_start_makes_a_project_and_an_administrator_once(house: House) -> None:
    with house.database.write() as session:
        service.ensure_first(session, house.settings)
        assert service.default_project(session).name == "default"
        assert [u.name for u in session.scalars(sa.select(User))] == ["admin"]
    path = password_path(house.settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    root = secret.root_token_path(house.settings)
    assert stat.S_IMODE(root.stat().st_mode) == 0o600
    assert path.read_text().strip() == house.password


def test_a_password_is_kept_as_argon2id_and_appears_nowhere_else(house: House) -> None:
    li = house.user("li", "a good pass phrase")
    with house.database.read() as session:
        kept = session.get_one(User, li.id).password_hash or ""
        journal = [o.arguments for o in session.scalars(sa.select(Operation))]
        outputs = [s.output for s in session.scalars(sa.select(OperationStep))]
        told = [e.data for e in session.scalars(sa.select(Event))]
    assert kept.startswith("$argon2id$")
    text = json.dumps([journal, outputs, told])
    assert "a good pass phrase" not in text
    assert kept not in text


def test_a_user_can_be_made_changed_and_all_of_it_undone(house: House) -> None:
    made = house.do(service.create_user, service.NewUser("Wang.Wei", "correct horse", display_name="王伟"))
    assert house.read(service.get_user, "wang.wei").display_name == "王伟"
    changed = house.do(service.update_user, "wang.wei", display_name="小王", locale="zh")
    with pytest.raises(Conflict):
        house.do(service.create_user, service.NewUser("wang.wei"))
    house.undo(changed)
    assert house.read(service.get_user, "wang.wei").display_name == "王伟"
    house.undo(made)
    with pytest.raises(NotFound):
        house.read(service.get_user, "wang.wei")


@pytest.mark.parametrize(
    "name", ["", "a b", "../x", "<b>", "名字", "a" * 65, "-x", "usr_01hx0000000000000000000000", "x\n"[:2] + "y"]
)
def test_a_bad_user_name_is_refused_and_names_the_field(house: House, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        house.intend(service.create_user, service.NewUser(name))
    assert set(refused.value.fields) == {"name"}


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaa", "x" * 1025, "linlinlinlin"])
def test_a_weak_password_is_refused(house: House, password: str) -> None:
    with pytest.raises(Invalid) as refused:
        house.intend(service.create_user, service.NewUser("linlinlinlin", password))
    assert set(refused.value.fields) == {"password"}


@pytest.mark.parametrize("name", ["", "a/b", "x\u202ey", "a\nb", "n" * 65, "prj_01hx0000000000000000000000"])
def test_a_bad_project_name_is_refused(house: House, name: str) -> None:
    with pytest.raises(Invalid):
        house.intend(service.create_project, name=name)


def test_a_preview_writes_nothing(house: House) -> None:
    intent = house.intend(service.create_user, service.NewUser("li", admin=True))
    preview = intent.render("en", now=house.clock.now(), undo_days=7)
    assert any("administer the whole cloud" in line for line in preview["effects"])
    assert len(house.read(service.list_users).items) == 1


def test_the_last_administrator_stays(house: House) -> None:
    for verb in (service.disable_user, service.revoke_in_cloud):
        with pytest.raises(Conflict):
            house.intend(verb, "admin")
    with pytest.raises(Conflict):
        house.intend(service.grant_in_cloud, "admin", "member")
    house.user("second", admin=True)
    house.do(service.disable_user, "admin")
    with pytest.raises(Conflict):
        house.intend(service.disable_user, "second")


def test_undoing_a_promotion_never_leaves_the_cloud_without_administrator(house: House) -> None:
    house.user("second")
    promoted = house.do(service.grant_in_cloud, "second", "admin")
    demoted = house.do(service.revoke_in_cloud, "admin")
    with pytest.raises(Conflict):
        house.undo(promoted)
    house.undo(promoted, through=True)
    assert house.actor(demoted.subject_id).roles == {"*": "admin"}


def test_a_disabled_user_is_out_at_once_and_an_undo_lets_him_in(house: House) -> None:
    li = house.user("li", admin=True)
    token = house.token(li)
    opened = house.gate.login(_from(), "li", "correct horse battery")
    disabled = house.do(service.disable_user, "li")
    with pytest.raises(Unauthenticated):
        house.ask(bearer=token)
    assert house.ask(session=opened.secret).actor.kind == "nobody"
    house.undo(disabled)
    assert house.ask(bearer=token).actor.id == li.id
    assert house.ask(session=opened.secret).actor.kind == "nobody"


def _from(address: str = "192.0.2.7"):  # type: ignore[no-untyped-def]
    from yun.web.request import Credentials

    return Credentials(address=address)


def test_projects_hide_from_strangers(house: House) -> None:
    house.do(service.create_project, name="实验室")
    stranger = house.user("stranger")
    with pytest.raises(NotFound):
        house.read(service.get_project, "实验室", actor=stranger)
    with pytest.raises(NotFound):
        house.do(service.grant_in_project, "实验室", "stranger", "admin", actor=stranger)
    assert house.read(service.list_projects, actor=stranger).items == []


def test_a_project_administrator_adds_members_but_makes_no_projects(house: House) -> None:
    house.do(service.create_project, name="lab")
    boss = house.user("boss", project="lab", role="admin")
    house.user("li")
    granted = house.do(service.grant_in_project, "lab", "li", "member", actor=boss)
    assert [(m.user.name, m.role) for m in house.read(service.list_members, "lab", actor=boss)] == [
        ("admin", "admin"), ("boss", "admin"), ("li", "member"),
    ]  # fmt: skip
    li = house.actor(house.read(service.get_user, "li").id)
    with pytest.raises(Forbidden):
        house.do(service.grant_in_project, "lab", "li", "admin", actor=li)
    for verb, arguments in (
        (service.create_project, {"name": "x"}), (service.delete_project, {"reference": "lab"}),
        (service.create_user, {"new": service.NewUser("x")}), (service.list_users, {}), (service.list_audit, {}),
    ):  # fmt: skip
        with pytest.raises(Forbidden):
            house.read(verb, actor=boss, **arguments)
    house.undo(granted)
    assert house.actor(li.id).roles == {}


def test_only_an_empty_project_can_be_deleted_and_its_name_is_free_then(house: House) -> None:
    made = house.do(service.create_project, name="lab")
    table = sa.Table("content_of_a_project", sa.MetaData(), sa.Column("project_id", sa.String(40)))
    with house.database.write() as session:
        holdings.contents(session, made.subject_id)
        assert table.name not in holdings.contents(session, made.subject_id)
    removed = house.do(service.delete_project, "lab")
    with pytest.raises(NotFound):
        house.read(service.get_project, "lab")
    again = house.do(service.create_project, name="lab")
    with pytest.raises(Conflict):
        house.undo(removed)
    house.undo(again)
    house.undo(removed)
    assert house.read(service.get_project, "lab").id == made.subject_id


def test_renaming_a_project_is_undone_unless_the_name_was_taken(house: House) -> None:
    house.do(service.create_project, name="old")
    renamed = house.do(service.update_project, "old", name="new")
    taken = house.do(service.create_project, name="old")
    with pytest.raises(Conflict):
        house.undo(renamed)
    house.undo(taken)
    house.undo(renamed)
    assert house.read(service.get_project, "old")


# ── tokens ──


def test_a_token_is_kept_hashed_and_shown_once(house: House) -> None:
    li = house.user("li", project="default")
    plain = house.token(li, role="reader")
    with house.database.read() as session:
        kept = session.scalars(sa.select(ApiToken)).one()
        journal = json.dumps([o.arguments for o in session.scalars(sa.select(Operation))])
    assert plain.startswith("yun_t_")
    assert len(plain) >= 6 + 43
    assert kept.secret_hash == secret.digest(plain) != plain
    assert plain not in journal
    assert kept.hint in plain


def test_a_token_is_never_stronger_than_its_role_its_project_or_its_owner(house: House) -> None:
    house.do(service.create_project, name="lab")
    lab = house.read(service.get_project, "lab").id
    default = house.read(service.get_project, "default").id
    li = house.user("li", project="lab", role="admin")
    house.do(service.grant_in_project, "default", "li", "reader")
    li = house.actor(li.id)
    assert house.ask(bearer=house.token(li, role="member", project="lab")).actor.roles == {lab: "member"}
    assert house.ask(bearer=house.token(li, role="admin")).actor.roles == {lab: "admin", default: "reader"}
    with pytest.raises(Forbidden):
        house.token(li, role="member", project="default")
    with pytest.raises(NotFound):
        house.token(house.user("stranger"), role="reader", project="lab")


def test_an_administrators_token_for_one_project_rules_only_there(house: House) -> None:
    admin = house.actor(house.read(service.get_user, "admin").id)
    default = house.read(service.get_project, "default").id
    asker = house.ask(bearer=house.token(admin, role="admin", project="default"))
    assert asker.actor.roles == {default: "admin"}
    assert not asker.actor.is_admin


def test_a_token_follows_what_its_owner_loses(house: House) -> None:
    li = house.user("li", project="default", role="admin")
    plain = house.token(li, role="admin", project="default")
    house.do(service.revoke_in_project, "default", "li")
    assert house.ask(bearer=plain).actor.roles == {}


def test_an_expired_or_revoked_or_unknown_token_does_not_hold(house: House) -> None:
    li = house.user("li", project="default")
    brief, revoked = house.token(li, "brief", days=1), house.token(li, "revoked", days=None)
    house.clock.advance(86399)
    assert house.ask(bearer=brief).actor.id == li.id
    house.clock.advance(2)
    house.do(service.revoke_token, "revoked", actor=li)
    for plain in (brief, revoked, "yun_t_" + "x" * 43, "nonsense", "yun_r_" + "x" * 43, "yun_s_" + "x" * 43, "\udcff"):
        with pytest.raises(Unauthenticated):
            house.ask(bearer=plain)
    with pytest.raises(Conflict):
        house.do(service.revoke_token, "revoked", actor=li)


def test_a_token_cannot_make_itself_at_home(house: House) -> None:
    li = house.user("li", project="default")
    token = house.ask(bearer=house.token(li, "narrow", role="member", project="default")).actor
    wide = house.ask(bearer=house.token(li, "wide", role="admin")).actor
    for actor in (token, wide):
        for verb, arguments in (
            (service.create_token, {"new": service.NewToken("x")}),
            (service.set_own_password, {"old": "correct horse battery", "new": "another pass phrase"}),
            (service.update_profile, {"display_name": "x"}), (service.logout_everywhere, {}),
        ):  # fmt: skip
            with pytest.raises(Forbidden):
                house.write(verb, actor=actor, **arguments)
    with pytest.raises(Forbidden):
        house.intend(service.add_key, service.NewKey(ED25519), actor=token)
    assert house.intend(service.add_key, service.NewKey(ED25519), actor=wide)


def test_a_token_gives_nobody_what_outlives_it(house: House) -> None:
    chief = house.user("chief", admin=True)
    house.user("gone", admin=True)
    house.user("plain")
    for name in ("gone", "plain"):
        house.do(service.disable_user, name)
    token = house.ask(bearer=house.token(chief, "wide", role="admin")).actor
    assert token.is_admin
    lasting: list[tuple[Any, tuple[Any, ...]]] = [
        (service.set_password, ("chief", "another pass phrase")), (service.set_password, ("plain", "another phrase!")),
        (service.create_user, (service.NewUser("eve", password="another pass phrase"),)),
        (service.create_user, (service.NewUser("eve", admin=True),)),
        (service.grant_in_cloud, ("chief", "admin")), (service.grant_in_cloud, ("plain", "reader")),
        (service.enable_user, ("gone",)),
    ]  # fmt: skip
    for verb, arguments in lasting:
        with pytest.raises(Forbidden):
            house.intend(verb, *arguments, actor=token)
        assert house.intend(verb, *arguments, actor=chief)
    assert house.intend(service.create_user, service.NewUser("eve"), actor=token)
    assert house.intend(service.enable_user, "plain", actor=token)


def test_a_role_is_named_in_the_readers_language(house: House) -> None:
    li = house.user("li", project="default", role="member")
    with pytest.raises(Forbidden) as refused:
        house.intend(service.create_project, name="x", actor=li)
    assert "管理员" in refused.value.message.render("zh")
    intent = house.intend(service.create_user, service.NewUser("new", project="default", role="reader"))
    assert "只读" in intent.effects[0].render("zh")


def test_a_token_may_revoke_itself_and_no_other(house: House) -> None:
    li = house.user("li", project="default")
    house.token(li, "other")
    plain = house.token(li, "mine")
    actor = house.ask(bearer=plain).actor
    with pytest.raises(Forbidden):
        house.intend(service.revoke_token, "other", actor=actor)
    house.do(service.revoke_token, "mine", actor=actor)
    with pytest.raises(Unauthenticated):
        house.ask(bearer=plain)


def test_the_tokens_of_others_do_not_exist_for_me(house: House) -> None:
    li, other = house.user("li"), house.user("other")
    house.token(li, "t")
    identifier = house.read(service.list_tokens, actor=li)[0][0].id
    for reference in ("t", identifier):
        with pytest.raises(NotFound):
            house.intend(service.revoke_token, reference, actor=other)
    assert house.read(service.list_tokens, actor=other) == []
    with pytest.raises(Forbidden):
        house.read(service.list_tokens, "li", actor=other)
    assert [t.id for t, _owner in house.read(service.list_tokens, "*")] == [identifier]


def test_the_use_of_a_token_is_noted_also_by_a_reading_request(house: House) -> None:
    plain = house.token(house.user("li"))
    for write in (False, True):
        house.clock.advance(120)
        house.ask(bearer=plain, address="203.0.113.9", write=write)
        with house.database.read() as session:
            token = session.scalars(sa.select(ApiToken)).one()
        assert token.used_at == house.clock.now()
        assert token.used_from == "203.0.113.9"
        assert token.revision == 1


def test_creating_a_token_can_be_undone_and_it_is_gone_then(house: House) -> None:
    li = house.user("li")
    with house.database.write() as session:
        from yun.operations.service import submit

        intent, plain = service.create_token(house.ctx(session, li), service.NewToken("t"))
        made = submit(house.ctx(session, li), intent)
    house.undo(made)
    with pytest.raises(Unauthenticated):
        house.ask(bearer=plain)


# ── keys ──


def test_a_key_is_added_deleted_and_brought_back(house: House) -> None:
    li = house.user("li")
    made = house.do(service.add_key, service.NewKey(ED25519), actor=li)
    key = house.read(service.get_key, "li@laptop", actor=li)
    assert key.fingerprint.startswith("SHA256:")
    with pytest.raises(Conflict):
        house.intend(service.add_key, service.NewKey(ED25519, name="again"), actor=li)
    removed = house.do(service.delete_key, "li@laptop", actor=li)
    assert house.read(service.list_keys, actor=li) == []
    house.undo(removed)
    assert house.read(service.get_key, key.fingerprint, actor=li).id == key.id
    house.undo(made)
    assert house.read(service.list_keys, actor=li) == []


def test_the_keys_of_others_are_theirs(house: House) -> None:
    li, other = house.user("li"), house.user("other")
    made = house.do(service.add_key, service.NewKey(ED25519), actor=li)
    with pytest.raises(NotFound):
        house.intend(service.delete_key, made.subject_id, actor=other)
    with pytest.raises(Forbidden):
        house.intend(service.add_key, service.NewKey(ED25519, user="li"), actor=other)
    house.do(service.add_key, service.NewKey(ED25519, user="other"))
    assert len(house.read(service.list_keys, actor=other)) == 1


def test_the_machines_root_acts_for_the_oldest_administrator(house: House) -> None:
    house.do(service.add_key, service.NewKey(ED25519))
    admin = house.read(service.get_user, "admin")
    assert [k.user_id for k in house.read(service.list_keys)] == [admin.id]


def test_nobody_reads_or_changes_anything(house: House, nobody: Actor) -> None:
    for verb in (
        service.list_users, service.list_projects, service.list_tokens, service.list_keys, service.list_sessions,
        service.list_audit, service.logout_everywhere,
    ):  # fmt: skip
        with pytest.raises(Unauthenticated):
            house.read(verb, actor=nobody)


def test_a_grant_exists_once_for_each_place(house: House) -> None:
    house.user("li", project="default")
    house.do(service.grant_in_project, "default", "li", "reader")
    house.do(service.grant_in_cloud, "li", "reader")
    house.do(service.grant_in_cloud, "li", "member")
    with house.database.read() as session:
        grants = session.scalars(sa.select(Grant).join(User).where(User.name == "li")).all()
        assert sorted((g.project_id is None, g.role) for g in grants) == [(False, "reader"), (True, "member")]
        assert session.scalar(sa.select(sa.func.count()).select_from(Project)) == 1
        assert session.scalar(sa.select(sa.func.count()).select_from(WebSession)) == 0


def test_of_two_who_change_a_user_or_a_project_at_once_the_second_is_told(house: House) -> None:
    """Both have read it before either changed it."""
    li = house.user("li")
    changes: list[tuple[Any, tuple[str, ...], Actor, str]] = [
        (service.update_user, ("li",), ROOT, "display_name"),
        (service.update_profile, (), li, "display_name"),
        (service.update_project, ("default",), ROOT, "description"),
    ]
    for verb, reference, actor, field in changes:
        slow = house.intend(verb, *reference, actor=actor, **{field: "slow"})
        house.do(verb, *reference, actor=actor, **{field: "quick"})
        with pytest.raises(Conflict, match="changed by somebody else"), house.database.write() as session:
            submit(house.ctx(session, actor), slow)
        house.do(verb, *reference, actor=actor, **{field: "slow, once more"})
    assert house.read(service.get_user, "li").display_name == "slow, once more"
    assert house.read(service.get_project, "default").description == "slow, once more"
