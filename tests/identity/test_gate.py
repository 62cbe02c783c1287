"""Logging in: throttles, sessions that end, secrets that are kept hashed, and what the audit remembers of it."""

from __future__ import annotations

import statistics
import threading
import time

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from tests.identity.conftest import House
from yun.base.errors import Forbidden, Unauthenticated
from yun.identity import secret, service
from yun.identity.model import LoginAttempt, User, WebSession
from yun.identity.service import throttle
from yun.web.request import Credentials

GOOD = "correct horse battery"


def at(address: str, **rest: str) -> Credentials:
    return Credentials(address=address, **rest)


def fail(house: House, name: str = "li", address: str = "192.0.2.1", times: int = 1) -> str:
    text = ""
    for _n in range(times):
        with pytest.raises(Unauthenticated) as refused:
            house.gate.login(at(address), name, "wrong pass phrase")
        text = refused.value.message.text
    return text


def test_a_log_in_opens_a_session_that_is_kept_hashed(house: House) -> None:
    li = house.user("li", project="default")
    opened = house.gate.login(at("192.0.2.1"), " LI ", GOOD, "Browser/1")
    with house.database.read() as session:
        kept = session.scalars(sa.select(WebSession)).one()
    assert kept.secret_hash == secret.digest(opened.secret)
    assert (kept.address, kept.user_agent) == ("192.0.2.1", "Browser/1")
    asker = house.ask(session=opened.secret)
    assert (asker.actor.id, asker.session_id, asker.project_name) == (li.id, kept.id, "default")
    assert house.ask(bearer=opened.secret).actor.id == li.id


def test_wrong_name_wrong_password_and_disabled_user_sound_the_same(house: House) -> None:
    house.user("li")
    house.user("nopass2", password=None)  # type: ignore[arg-type]
    house.user("gone")
    house.do(service.disable_user, "gone")
    heard = {fail(house, name) for name in ("li", "unknown", "gone", "nopass2")}
    with pytest.raises(Unauthenticated) as refused:
        house.gate.login(at("192.0.2.1"), "gone", GOOD)
    assert heard == {refused.value.message.text}


def test_an_unknown_name_takes_as_long_as_a_wrong_password(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_HASHER", PasswordHasher(time_cost=2, memory_cost=8192, parallelism=1))
    secret._nobodys_hash.cache_clear()
    kept = secret.hash_password(GOOD)
    secret.verify_password(None, "warm up the dummy")

    def spent(target: str | None) -> float:
        start = time.process_time()
        secret.verify_password(target, "wrong")
        return time.process_time() - start

    known, unknown = (statistics.median(spent(target) for _n in range(15)) for target in (kept, None))
    secret._nobodys_hash.cache_clear()
    assert 0.5 < known / unknown < 2.0


def test_after_five_wrong_passwords_the_wait_grows(house: House) -> None:
    house.user("li")
    fail(house, times=5)
    waits = []
    for _round in range(4):
        with pytest.raises(Unauthenticated) as refused:
            house.gate.login(at("192.0.2.1"), "li", GOOD)
        waits.append(refused.value.details["retry_after"])
        house.clock.advance(waits[-1])
        fail(house)
    assert waits == sorted(waits)
    assert waits[-1] >= 2 * waits[0]
    house.clock.advance(400)
    assert house.gate.login(at("192.0.2.1"), "li", GOOD)
    fail(house, times=4)
    assert house.gate.login(at("192.0.2.1"), "li", GOOD)


def test_waiting_does_not_look_at_the_password_and_does_not_lengthen_the_wait(house: House) -> None:
    house.user("li")
    fail(house, times=5)
    with house.database.read() as session:
        before = session.scalar(sa.select(sa.func.count()).select_from(LoginAttempt))
    fail(house, times=20)
    with house.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(LoginAttempt)) == before


def test_a_stranger_cannot_lock_the_owner_out(house: House) -> None:
    house.user("li")
    house.gate.login(at("198.51.100.5"), "li", GOOD)
    for n in range(6):
        house.clock.advance(600)
        fail(house, address=f"192.0.2.{n}")
    fail(house, address="192.0.2.99")
    with pytest.raises(Unauthenticated):
        house.gate.login(at("192.0.2.99"), "li", GOOD)
    assert house.gate.login(at("198.51.100.5"), "li", GOOD)


def test_one_address_cannot_try_many_names(house: House) -> None:
    house.user("li")
    for n in range(20):
        fail(house, name=f"name{n}")
    with pytest.raises(Unauthenticated) as refused:
        house.gate.login(at("192.0.2.1"), "li", GOOD)
    assert refused.value.details["retry_after"] > 0
    assert house.gate.login(at("192.0.2.2"), "li", GOOD)


def test_an_account_of_ones_own_buys_no_tries_at_others(house: House) -> None:
    house.user("mine")
    house.user("li")
    for n in range(19):
        fail(house, name=f"name{n}")
    assert house.gate.login(at("192.0.2.1"), "mine", GOOD)
    fail(house, name="li")
    for name in ("li", "mine"):
        with pytest.raises(Unauthenticated) as refused:
            house.gate.login(at("192.0.2.1"), name, GOOD)
        assert refused.value.details["retry_after"] > 0
    house.clock.advance(3700)
    assert house.gate.login(at("192.0.2.1"), "li", GOOD)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("testclient", "testclient"), ("", ""),
    ],
)  # fmt: skip
def test_one_attacker_is_an_address_or_a_64(address: str, network: str) -> None:
    assert throttle.network_of(address) == network


def test_many_tries_at_once_do_not_slip_through(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.user("li")
    looked = []
    real = secret.verify_password

    def slow(kept: str | None, password: str) -> bool:
        looked.append(password)
        time.sleep(0.05)
        return real(kept, password)

    monkeypatch.setattr(secret, "verify_password", slow)

    def attempt() -> None:
        with pytest.raises(Unauthenticated):
            house.gate.login(at("192.0.2.1"), "li", "wrong pass phrase")

    threads = [threading.Thread(target=attempt) for _n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == 5


def test_a_planted_session_ends_with_the_log_in(house: House) -> None:
    house.user("victim")
    house.user("attacker")
    planted = house.gate.login(at("192.0.2.66"), "attacker", GOOD)
    opened = house.gate.login(at("192.0.2.1", session=planted.secret), "victim", GOOD)
    assert opened.secret != planted.secret
    assert house.ask(session=planted.secret).actor.kind == "nobody"
    fresh = house.gate.login(at("192.0.2.1", session="chosen by somebody else"), "victim", GOOD)
    assert fresh.secret != "chosen by somebody else"


def test_a_session_ends_when_unused_and_at_the_latest_after_its_days(house: House) -> None:
    house.user("li")
    hours = house.settings.session_idle_hours
    opened = house.gate.login(at("192.0.2.1"), "li", GOOD)
    house.clock.advance(hours * 3600 - 60)
    assert house.ask(session=opened.secret).actor.kind == "user"
    house.clock.advance(hours * 3600 - 60)
    assert house.ask(session=opened.secret, write=True).actor.kind == "user"
    house.clock.advance(hours * 3600 + 60)
    assert house.ask(session=opened.secret).actor.kind == "nobody"
    with pytest.raises(Unauthenticated):
        house.ask(bearer=opened.secret)
    busy = house.gate.login(at("192.0.2.1"), "li", GOOD)
    for _hour in range(int(house.settings.session_days * 24) - 1):
        house.clock.advance(3600)
        if _hour % 8 == 0:
            assert house.ask(session=busy.secret).actor.kind == "user"
    house.clock.advance(3700)
    assert house.ask(session=busy.secret).actor.kind == "nobody"


def test_logging_out_ends_the_session_and_logging_out_everywhere_all_of_them(house: House) -> None:
    li = house.user("li")
    one, two = (house.gate.login(at("192.0.2.1"), "li", GOOD) for _n in range(2))
    house.gate.logout(at("192.0.2.1", session=one.secret))
    house.gate.logout(at("192.0.2.1", session=one.secret))
    house.gate.logout(at("192.0.2.1"))
    assert house.ask(session=one.secret).actor.kind == "nobody"
    assert house.ask(session=two.secret).actor.kind == "user"
    assert len(house.read(service.list_sessions, actor=li)) == 1
    assert house.write(service.logout_everywhere, actor=li)[1] == 1
    assert house.ask(session=two.secret).actor.kind == "nobody"


def test_a_new_password_ends_the_other_sessions_and_cannot_be_undone(house: House) -> None:
    li = house.user("li")
    here, there = (house.gate.login(at("192.0.2.1"), "li", GOOD) for _n in range(2))
    done = house.do(
        service.set_own_password, actor=li, old=GOOD, new="an entirely new one", keep_session=here.session_id
    )
    assert house.ask(session=here.secret).actor.kind == "user"
    assert house.ask(session=there.secret).actor.kind == "nobody"
    assert not done.undoable
    assert done.no_undo
    fail(house)
    assert house.gate.login(at("192.0.2.1"), "li", "an entirely new one")
    house.do(service.set_password, "li", "the administrator's choice")
    assert house.ask(session=here.secret).actor.kind == "nobody"


def test_a_stolen_session_cannot_guess_the_old_password(house: House) -> None:
    li = house.user("li")
    for _n in range(5):
        with pytest.raises(Forbidden) as refused:
            house.do(service.set_own_password, actor=li, old="wrong", new="an entirely new one")
        assert "old_password" in refused.value.fields
    with pytest.raises(Forbidden) as refused:
        house.do(service.set_own_password, actor=li, old=GOOD, new="an entirely new one")
    assert "Wait" in refused.value.message.render()


def test_an_outdated_hash_is_made_anew_at_the_log_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    li = house.user("li")
    monkeypatch.setattr(secret, "_HASHER", PasswordHasher(time_cost=2, memory_cost=128, parallelism=1))
    house.gate.login(at("192.0.2.1"), "li", GOOD)
    with house.database.read() as session:
        assert "m=128,t=2,p=1" in (session.get_one(User, li.id).password_hash or "")
    assert house.gate.login(at("192.0.2.1"), "li", GOOD)


def test_the_shipped_parameters_are_those_of_the_standard() -> None:
    hasher = PasswordHasher()
    assert (hasher.type.name, hasher.memory_cost >= 19456, hasher.time_cost >= 2) == ("ID", True, True)


def test_the_root_token_opens_everything_and_another_one_nothing(house: House) -> None:
    plain = secret.root_token_path(house.settings).read_text().strip()
    asker = house.ask(bearer=plain)
    assert (asker.actor.kind, asker.actor.is_admin, asker.project_name) == ("root", True, "default")
    with pytest.raises(Unauthenticated):
        house.ask(bearer=plain[:-1] + ("a" if plain[-1] != "a" else "b"))
    path = secret.root_token_path(house.settings)
    path.chmod(0o644)
    assert secret.ensure_root_token(house.settings) == plain
    assert path.stat().st_mode & 0o077 == 0
    path.unlink()
    for wrong in (plain, "yun_r_"):
        with pytest.raises(Unauthenticated):
            house.ask(bearer=wrong)


def test_a_bearer_that_wishes_for_a_strange_project_is_told_and_a_cookie_falls_back(house: House) -> None:
    from yun.base.errors import NotFound

    house.do(service.create_project, name="secret lab")
    li = house.user("li", project="default")
    opened = house.gate.login(at("192.0.2.1"), "li", GOOD)
    with pytest.raises(NotFound):
        house.ask(bearer=house.token(li), project="secret lab")
    assert house.ask(session=opened.secret, project="secret lab").project_name == "default"


def test_the_audit_tells_log_ins_failures_refusals_and_changes_in_one_order(house: House) -> None:
    li = house.user("li", project="default")
    house.clock.advance(1)
    fail(house, address="203.0.113.1")
    house.clock.advance(1)
    opened = house.gate.login(at("203.0.113.2"), "li", GOOD)
    house.clock.advance(1)
    with house.database.read() as session:
        ctx = house.ctx(session, li, address="203.0.113.3")
        with pytest.raises(Forbidden) as refused:
            service.list_users(ctx)
    house.gate.refused(ctx, refused.value)
    house.clock.advance(1)
    house.gate.logout(at("203.0.113.2", session=opened.secret))
    lines = house.read(service.list_audit).items
    seen = [(line.action, line.actor_name, line.address, line.outcome) for line in lines]
    assert seen[:4] == [
        ("session.logout", "li", "203.0.113.2", "succeeded"),
        ("permission.refused", "li", "203.0.113.3", "refused"),
        ("session.login", "li", "203.0.113.2", "succeeded"),
        ("session.login_failed", "li", "203.0.113.1", "failed"),
    ]
    assert lines[1].subject.name == "user.list"
    assert ("user.create", "root", "192.0.2.7", "succeeded") in seen
    assert [line.action for line in house.read(service.list_audit, action="session.login_").items] == [
        "session.login_failed"
    ]


def test_the_audit_pages_without_loss_or_repetition(house: House) -> None:
    for n in range(6):
        house.user(f"u{n}")
        fail(house, name=f"u{n}", address=f"203.0.113.{n}")
    whole = [line.position for line in house.read(service.list_audit).items]
    paged, cursor = [], None
    while True:
        page = house.read(service.list_audit, cursor=cursor, limit=5)
        paged += [line.position for line in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert paged == whole
    assert len(set(paged)) == 12


@pytest.mark.parametrize("cursor", ["x", "!!!", "MjAyNg", "\u00e9", "MjAyNi0wMS0wMSAxIDE"])
def test_a_made_up_audit_cursor_is_refused(house: House, cursor: str) -> None:
    from yun.base.errors import Invalid

    with pytest.raises(Invalid):
        house.read(service.list_audit, cursor=cursor)


def test_a_flood_of_log_ins_is_turned_away_and_does_not_take_all_threads(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yun.base.errors import Unavailable

    house.user("li")
    monkeypatch.setattr(secret, "_SLOTS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(secret, "WAIT_SECONDS", 0.05)
    secret._SLOTS.acquire()
    with pytest.raises(Unavailable):
        house.gate.login(at("192.0.2.1"), "li", GOOD)
    secret._SLOTS.release()
    assert house.gate.login(at("192.0.2.1"), "li", GOOD)


def test_the_database_file_is_for_its_owners_eyes_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    from yun.base.db import Database

    path = tmp_path_factory.mktemp("private") / "yun.db"
    database = Database(f"sqlite:///{path}")
    database.create()
    with database.write() as session:
        session.execute(sa.text("SELECT 1"))
        modes = {p.name: p.stat().st_mode & 0o077 for p in path.parent.iterdir()}
    database.close()
    assert modes
    assert not any(modes.values()), modes
