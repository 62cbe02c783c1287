"""The API's client behind every command: finds the cloud and a credential, speaks JSON, turns problems to failures."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import click
import httpx

from yun.base.messages import _
from yun.web.command import Failure, Shell, failure, language, say
from yun.web.output import ENDED, document, preview, wait_for

if TYPE_CHECKING:
    import ssl

__all__ = ["Client", "Target", "find_target", "login_file", "quote"]

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LOCAL_TOKEN = "root.token"
ENDPOINT = "endpoint"


@dataclass(frozen=True)
class Target:
    """Where the cloud is and what opens it; ``ca`` is a PEM file to trust besides the system's."""

    url: str
    token: str = ""
    ca: str = ""


def login_file() -> Path:
    """Where ``yun login`` keeps address and token (TOML: url, token, ca), mode 0600."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "yun" / "login.toml"


def find_target() -> Target:
    """``YUN_URL`` and ``YUN_TOKEN``; else this machine's own cloud by its root token; else the login.

    The server writes ``root.token`` (mode 0600) and ``endpoint`` (its address, and on a second line the certificate
    authority's file if it serves TLS of its own) to the state directory. Raises `Failure` where there is none.
    """
    environ = os.environ
    if url := environ.get("YUN_URL"):
        return Target(url.rstrip("/"), environ.get("YUN_TOKEN", ""), environ.get("YUN_CA", ""))
    state = Path(environ.get("YUN_STATE_DIR", "/var/lib/yun"))
    try:
        token = (state / LOCAL_TOKEN).read_text().strip()
        lines = [*(state / ENDPOINT).read_text().split("\n"), ""]
        return Target(lines[0].strip().rstrip("/"), token, lines[1].strip())
    except OSError:
        pass
    try:
        saved = tomllib.loads(login_file().read_text())
        return Target(str(saved["url"]).rstrip("/"), str(saved["token"]), str(saved.get("ca", "")))
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        pass
    raise failure(
        _("No cloud was found: none runs here and nobody has logged in."),
        "unauthenticated",
        _("Start one with `yun up` as root, or use `yun login URL`, or set YUN_URL and YUN_TOKEN."),
    )


class Client:
    """Calls of ``/api/v1``; every method raises `Failure` with the problem's text and exit code."""

    def __init__(self, target: Target, options: Shell | None = None, transport: Any = None) -> None:
        self.target = target
        self.options = options or Shell()
        headers = {"Accept-Language": language(), "User-Agent": "yun"}
        if target.token:
            headers["Authorization"] = f"Bearer {target.token}"
        if self.options.project:
            headers["X-Yun-Project"] = quote(self.options.project)
        self.http = httpx.Client(
            base_url=target.url + "/api/v1",
            headers=headers,
            timeout=httpx.Timeout(60.0, connect=10.0),
            verify=_trust(target),
            trust_env=False,
            transport=transport,
        )

    @classmethod
    def found(cls, options: Shell) -> Client:
        """The client of the cloud that `find_target` finds."""
        return cls(find_target(), options)

    def trust(self) -> ssl.SSLContext | bool:
        """What vouches for the cloud's certificate: for connections that do not go through `send`."""
        return _trust(self.target)

    def close(self) -> None:
        """Give the connection back."""
        self.http.close()

    def send(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """One request; ``rest`` goes to httpx. Query values of None are left out.

        With ``--dry-run`` nothing is sent that could change something, but questions for a preview.
        """
        if params := rest.get("params"):
            rest["params"] = {k: v for k, v in params.items() if v is not None}
        if self.options.dry_run and method not in SAFE and not (rest.get("params") or {}).get("dry_run"):
            raise failure(
                _("This command cannot show beforehand what it does; nothing was done."), "invalid",
                _("Repeat it without --dry-run to do it."),
            )  # fmt: skip
        try:
            response = self.http.request(method, path, **rest)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise failure(
                _("The cloud at {url} does not answer: {reason}", url=self.target.url, reason=reason),
                "unavailable",
                _("See whether it runs with `yun doctor`, or start it with `yun up`."),
            ) from error
        if response.is_error:
            raise Failure(_problem(response))
        return response

    def get(self, path: str, **params: Any) -> Any:
        """GET as parsed JSON."""
        return self.send("GET", path, params=params).json()

    def items(self, path: str, *, limit: int | None = None, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page, at most ``limit``."""
        cursor, left = None, limit
        while True:
            size = min(left, 1000) if left is not None else 1000
            page = self.get(path, cursor=cursor, limit=size, **params)
            yield from page["items"]
            cursor = page.get("next")
            if left is not None:
                left -= len(page["items"])
            if not cursor or (left is not None and left <= 0):
                return

    def change(
        self, method: str, path: str, body: Any = None, *, show: bool = True, key: str | None = None, **params: Any
    ) -> dict[str, Any]:
        """A changing request: with ``--dry-run`` prints the preview, else waits for its operation and prints the end.

        Returns the answer's JSON, its ``operation`` as it ended. ``show=False`` leaves the printing to the caller.
        ``key`` is an Idempotency-Key.
        """
        if self.options.dry_run:
            preview(self.plan(method, path, body, **params))
            raise click.exceptions.Exit(0)
        headers = {"Idempotency-Key": key} if key else {}
        response = self.send(method, path, json=body, params=params, headers=headers)
        answer: dict[str, Any] = response.json() if response.content else {}
        operation = answer.get("operation")
        if operation and self.options.wait:
            ended = operation["state"] in ENDED
            answer["operation"] = operation = wait_for(self, operation)
            if not ended:
                answer = {**self._now(path, answer), "operation": operation}
        if show:
            self.told(answer, operation)
        return answer

    def plan(self, method: str, path: str, body: Any = None, **params: Any) -> dict[str, Any]:
        """What a changing request would do, as the API's preview; nothing is changed."""
        shown: dict[str, Any] = self.send(method, path, json=body, params={**params, "dry_run": "true"}).json()
        return shown

    def _now(self, path: str, answer: dict[str, Any]) -> dict[str, Any]:
        """The thing of a change as it is after the change; as it was before where it cannot be asked for by its id."""
        if "id" not in answer:
            return answer
        collection, *rest = path.strip("/").split("/")
        try:
            found: dict[str, Any] = self.get(f"/{collection}/{quote(str(answer['id']), safe='')}")
        except Failure as error:
            # Purged, so that nothing more can be said of it than which one it was.
            gone = error.problem.get("code") == "not_found" and rest and unquote(rest[0]) in (
                answer["id"], answer.get("name")
            )  # fmt: skip
            return {k: answer[k] for k in ("id", "name") if k in answer} if gone else answer
        return {**answer, **found} if found.get("id") == answer["id"] else answer

    def told(self, answer: dict[str, Any], operation: dict[str, Any] | None) -> None:
        """Print how a change ended, or the answer itself where a document is wanted."""
        title, identifier = (operation["title"], operation["id"]) if operation else ("", "")
        if self.options.format != "table":
            document(answer)
        elif operation is None:
            click.echo(say(_("Done.")))
        elif operation["state"] == "succeeded":
            click.echo(say(_("{title}: done.", title=title)))
            if (operation.get("undo") or {}).get("possible"):
                click.echo(say(_("Undo with: yun undo {id}", id=identifier)), err=True)
        else:
            told = _("{title}: under way. Follow it with: yun operation watch {id}", title=title, id=identifier)
            click.echo(say(told))


def _trust(target: Target) -> ssl.SSLContext | bool:
    if not target.url.startswith("https:"):
        return False
    import ssl as tls

    context = tls.create_default_context()
    if target.ca:
        context.load_verify_locations(target.ca)
    return context


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
        if isinstance(body, dict) and "code" in body:
            return body
    except ValueError:
        pass
    text = _("The cloud answered {status} without a reason.", status=response.status_code)
    return {"detail": say(text), "status": response.status_code, "code": "http"}
