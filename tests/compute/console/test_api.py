"""Pictures, log, keys and typed text over REST."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.compute.console.conftest import SmallCloud
from yun.compute.console.keys import KEYS, MOST_TEXT, TYPED, combination, strokes
from yun.compute.console.pictures import Pictures
from yun.compute.console.serial import missed, overlap, replay


def test_a_thumbnail_has_the_asked_width_and_keeps_its_proportions(client: TestClient, cloud: SmallCloud) -> None:
    path = f"/api/v1/instances/{cloud.machine().id}/screenshot"
    full, small = client.get(path), client.get(path, params={"width": 160})
    assert full.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(full.content)).size == (640, 400)
    assert Image.open(io.BytesIO(small.content)).size == (160, 100)


def test_many_who_look_cost_one_picture(client: TestClient, cloud: SmallCloud) -> None:
    path = f"/api/v1/instances/{cloud.machine().id}/screenshot?width=200"
    for _n in range(5):
        assert client.get(path).status_code == 200
    assert cloud.world.calls["screenshot"] == 1


def test_readers_see_pictures_and_log_but_strangers_do_not(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    for what in ("screenshot", "log"):
        path = f"/api/v1/instances/{instance.id}/{what}"
        assert client.get(path, headers={"Authorization": "Bearer reader"}).status_code == 200
        assert client.get(path, headers={"Authorization": "Bearer stranger"}).status_code == 404
        assert client.get(path, headers={"Authorization": ""}).status_code in (401, 404)


def test_a_stopped_machine_has_no_picture_and_takes_no_keys(client: TestClient, cloud: SmallCloud) -> None:
    path = f"/api/v1/instances/{cloud.machine(running=False).id}"
    assert client.get(path + "/screenshot").status_code == 409
    assert client.post(path + "/send-keys", json={}).status_code == 409
    assert client.post(path + "/type-text", json={"text": "x"}).status_code == 409


@pytest.mark.parametrize("width", ["0", "-1", "100000", "x"])
def test_an_absurd_width_is_refused(client: TestClient, cloud: SmallCloud, width: str) -> None:
    answer = client.get(f"/api/v1/instances/{cloud.machine().id}/screenshot", params={"width": width})
    assert answer.status_code == 422


def test_the_log_is_plain_text_whatever_the_guest_prints(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    cloud.world.domains[instance.uuid].guest.write("<script>alert(1)</script> 二\r\n".encode() + b"\xff")
    answer = client.get(f"/api/v1/instances/{instance.id}/log")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script>alert(1)</script> 二\r\n\ufffd" in answer.text
    assert len(client.get(f"/api/v1/instances/{instance.id}/log", params={"tail": 5}).content) <= 15


def test_ctrl_alt_del_is_the_combination_by_default(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    assert client.post(f"/api/v1/instances/{instance.id}/send-keys", json={}).status_code == 200
    assert cloud.world.domains[instance.uuid].guest.pressed == [(29, 56, 111)]


def test_text_is_typed_key_by_key(client: TestClient, cloud: SmallCloud) -> None:
    instance = cloud.machine()
    answer = client.post(f"/api/v1/instances/{instance.id}/type-text", json={"text": "aB1!\r\n"})
    assert answer.json() == {"typed": 5}
    assert cloud.world.domains[instance.uuid].guest.pressed == [(30,), (42, 48), (2,), (42, 2), (28,)]


@pytest.mark.parametrize("text", ["中文", "é", "x" * (MOST_TEXT + 1), "\x1b[A"])
def test_what_no_key_types_is_refused_before_anything_is_typed(
    client: TestClient, cloud: SmallCloud, text: str
) -> None:
    instance = cloud.machine()
    answer = client.post(f"/api/v1/instances/{instance.id}/type-text", json={"text": "ab" + text})
    assert answer.status_code == 422
    assert "text" in answer.json()["fields"]
    assert cloud.world.domains[instance.uuid].guest.pressed == []


@pytest.mark.parametrize("keys", [["nokey"], [], ["a"] * 9, ["ctrl", ""], ["é"]])
def test_a_combination_of_unknown_or_too_many_keys_names_the_field(
    client: TestClient, cloud: SmallCloud, keys: list[str]
) -> None:
    answer = client.post(f"/api/v1/instances/{cloud.machine().id}/send-keys", json={"keys": keys})
    assert answer.status_code == 422
    assert "keys" in answer.json()["fields"]


def test_readers_may_not_type(client: TestClient, cloud: SmallCloud) -> None:
    path = f"/api/v1/instances/{cloud.machine().id}/type-text"
    assert client.post(path, json={"text": "x"}, headers={"Authorization": "Bearer reader"}).status_code == 403


def test_every_printable_sign_of_ascii_has_its_key() -> None:
    assert [chr(c) for c in range(32, 127) if chr(c) not in TYPED] == []
    assert strokes("Az{~|_ \n") == [(42, 30), (44,), (42, 26), (42, 41), (42, 43), (42, 12), (57,), (28,)]
    assert len({keys for char, keys in TYPED.items()}) == len(TYPED)


def test_function_keys_have_the_codes_of_linux() -> None:
    assert [KEYS[f"f{n}"] for n in range(1, 13)] == [59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 87, 88]
    assert combination(["Ctrl", "Alt", "F2"]) == [29, 56, 60]
    assert combination(["ctrl", "c"]) == [29, 46]


def test_pictures_are_taken_again_when_they_are_old() -> None:
    import anyio

    now, taken = [0.0], []

    async def look() -> None:
        pictures = Pictures(anyio.CapacityLimiter(1), clock=lambda: now[0])
        for moment in (0.0, 4.0, 6.0):
            now[0] = moment
            await pictures.get("ins_1", None, lambda: taken.append(now[0]) or b"png")

    anyio.run(look)
    assert taken == [0.0, 6.0]


def test_a_replay_starts_with_a_whole_character() -> None:
    text = "二二".encode()
    assert replay(text[1:]) == text[3:]
    assert replay(text) == text


@pytest.mark.parametrize(
    ("known", "fresh", "size"), [(b"abc", b"bcd", 2), (b"abc", b"xyz", 0), (b"", b"a", 0), (b"aaa", b"aa", 2)]
)
def test_what_came_twice_is_found(known: bytes, fresh: bytes, size: int) -> None:
    assert overlap(known, fresh) == size


@pytest.mark.parametrize(
    ("shown", "logged", "news"),
    [
        (b"", b"boot", b"boot"),
        (b"boot", b"boot", b""),
        (b"boot", b"bootboot", b"boot"),
        (b"aabootbbbootcc", b"bootbbbootccboot", b"boot"),
        (b"old" * 200, b"old" * 150 + b"new", b"new"),
        (b"shown", b"another log", b""),
    ],
)
def test_news_of_the_log_are_what_follows_all_that_was_shown(shown: bytes, logged: bytes, news: bytes) -> None:
    assert missed(shown, logged) == news
