"""Commands: users, projects, tokens, keys; logging in, and who one is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote as _quote

import click

from yun.base.messages import _
from yun.web.client import Client
from yun.web.command import Command, Failure, Group, failure, option, output, pass_client, say, searching
from yun.web.output import Column

ROLES = click.Choice(["reader", "member", "admin"])
USERS: list[Column] = [
    (_("NAME"), "name"),
    (_("DISPLAY NAME"), "display_name"),
    (_("STATE"), "state"),
    (_("ADMIN"), lambda u: (u.get("roles") or {}).get("*") == "admin"),
    (_("PROJECTS"), lambda u: len([p for p in u.get("roles") or {} if p != "*"])),
    (_("ID"), "id"),
]
USER: list[Column] = [
    (_("ID"), "id"),
    (_("NAME"), "name"),
    (_("DISPLAY NAME"), "display_name"),
    (_("E-MAIL"), "email"),
    (_("STATE"), "state"),
    (_("ROLES"), lambda u: ", ".join(f"{place} {role}" for place, role in (u.get("roles") or {}).items()) or None),
    (_("CREATED"), "created_at"),
]
PROJECTS: list[Column] = [
    (_("NAME"), "name"),
    (_("DESCRIPTION"), "description"),
    (_("YOUR ROLE"), "role"),
    (_("ID"), "id"),
]
PROJECT: list[Column] = [
    *PROJECTS,
    (_("MEMBERS"), lambda p: ", ".join(f"{m['name']} ({m['role']})" for m in p.get("members", [])) or None),
]
TOKENS: list[Column] = [
    (_("NAME"), "name"),
    (_("BEGINS WITH"), "hint"),
    (_("ROLE"), "role"),
    (_("PROJECT"), lambda t: t["project_id"] or "*"),
    (_("EXPIRES"), "expires_at"),
    (_("REVOKED"), "revoked_at"),
    (_("LAST USED"), "used_at"),
    (_("ID"), "id"),
]
KEYS: list[Column] = [
    (_("NAME"), "name"),
    (_("KIND"), "kind"),
    (_("BITS"), "bits"),
    (_("FINGERPRINT"), "fingerprint"),
    (_("ID"), "id"),
]


def quote(reference: str) -> str:
    """A reference as one segment of an address."""
    return _quote(reference, safe="")


def secret_from(file: TextIO | None, prompt: Any, *, twice: bool = False) -> str:
    """A password from a file's first line, else asked for on the terminal: never from the command line."""
    if file is not None:
        text = file.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        text = click.prompt(say(prompt), hide_input=True, confirmation_prompt=twice, err=True)
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise failure(_("A password is needed."), "invalid", _("Give it in --password-file or on standard input."))
    return str(text)


# ── users ──


@click.group("user", cls=Group, help=_("Users."))
def user() -> None:
    """The noun."""


@user.command("list", help=_("List users."))
@searching("role:admin project:lab text")
@pass_client
def list_users(client: Client, q: str | None) -> None:
    """List."""
    output(client.items("/users", q=q), USERS)


@user.command("show", help=_("Show a user."))
@click.argument("ref")
@pass_client
def show_user(client: Client, ref: str) -> None:
    """Show."""
    output(client.get(f"/users/{quote(ref)}"), USER)


@user.command("create", help=_("Create a user."))
@click.argument("name")
@option("--password-file", type=click.File(), help=_("File whose first line is the password; - for standard input."))
@option("--no-password", is_flag=True, help=_("Set no password: nobody can log in as this user yet."))
@option("--display-name", default="", help=_("The name people read."))
@option("--email", default="", help=_("The e-mail address."))
@option("--admin", is_flag=True, help=_("Administer the whole cloud."))
@option("--in-project", "in_project", help=_("Give a role in this project."))
@option("--role", type=ROLES, default="member", help=_("The role there."))
@pass_client
def create_user(
    client: Client, name: str, password_file: TextIO | None, no_password: bool, display_name: str, email: str,
    admin: bool, in_project: str | None, role: str,
) -> None:  # fmt: skip
    """Create."""
    dry = client.options.dry_run and password_file is None
    password = None if no_password or dry else secret_from(password_file, _("Password"), twice=True)
    body = {"name": name, "password": password, "display_name": display_name, "email": email, "admin": admin}
    client.change("POST", "/users", {**body, "project": in_project, "role": role})


@user.command("update", help=_("Change a user's profile."))
@click.argument("ref")
@option("--display-name", help=_("The name people read."))
@option("--email", help=_("The e-mail address."))
@pass_client
def update_user(client: Client, ref: str, display_name: str | None, email: str | None) -> None:
    """Change."""
    values = {"display_name": display_name, "email": email}
    client.change("PATCH", f"/users/{quote(ref)}", {k: v for k, v in values.items() if v is not None})


@user.command("delete", help=_("Disable a user; the name stays in the history."))
@click.argument("ref")
@pass_client
def disable_user(client: Client, ref: str) -> None:
    """Disable."""
    client.change("DELETE", f"/users/{quote(ref)}")


@user.command("enable", help=_("Let a disabled user in again."))
@click.argument("ref")
@pass_client
def enable_user(client: Client, ref: str) -> None:
    """Enable."""
    client.change("POST", f"/users/{quote(ref)}/enable")


@user.command("set-password", help=_("Set a user's password, or without a name your own."))
@click.argument("ref", required=False)
@option("--password-file", type=click.File(), help=_("File whose first line is the password; - for standard input."))
@option("--old-password-file", type=click.File(), help=_("File whose first line is your old password."))
@pass_client
def set_password(
    client: Client, ref: str | None, password_file: TextIO | None, old_password_file: TextIO | None
) -> None:
    """Set a password."""
    if ref is not None:
        new = secret_from(password_file, _("New password"), twice=True)
        client.change("POST", f"/users/{quote(ref)}/password", {"password": new})
        return
    old = secret_from(old_password_file, _("Old password"))
    new = secret_from(password_file, _("New password"), twice=True)
    client.change("POST", "/whoami/password", {"old_password": old, "password": new})


@user.command("grant", help=_("Give a user a role in the whole cloud."))
@click.argument("ref")
@click.argument("role", type=ROLES)
@pass_client
def grant_in_cloud(client: Client, ref: str, role: str) -> None:
    """Grant."""
    client.change("PUT", f"/users/{quote(ref)}/role", {"role": role})


@user.command("revoke", help=_("Take a user's role in the whole cloud away."))
@click.argument("ref")
@pass_client
def revoke_in_cloud(client: Client, ref: str) -> None:
    """Revoke."""
    client.change("DELETE", f"/users/{quote(ref)}/role")


# ── projects ──


@click.group("project", cls=Group, help=_("Projects and their members."))
def project() -> None:
    """The noun."""


@project.command("list", help=_("List the projects in which you have a role."))
@searching("member:alice text")
@pass_client
def list_projects(client: Client, q: str | None) -> None:
    """List."""
    output(client.items("/projects", q=q), PROJECTS)


@project.command("show", help=_("Show a project with its members."))
@click.argument("ref")
@pass_client
def show_project(client: Client, ref: str) -> None:
    """Show."""
    output(client.get(f"/projects/{quote(ref)}"), PROJECT)


@project.command("create", help=_("Create a project."))
@click.argument("name")
@option("--description", default="", help=_("What it is for."))
@pass_client
def create_project(client: Client, name: str, description: str) -> None:
    """Create."""
    client.change("POST", "/projects", {"name": name, "description": description})


@project.command("update", help=_("Rename or describe a project."))
@click.argument("ref")
@option("--name", help=_("The new name."))
@option("--description", help=_("What it is for."))
@pass_client
def update_project(client: Client, ref: str, name: str | None, description: str | None) -> None:
    """Change."""
    values = {"name": name, "description": description}
    client.change("PATCH", f"/projects/{quote(ref)}", {k: v for k, v in values.items() if v is not None})


@project.command("delete", help=_("Delete an empty project."))
@click.argument("ref")
@pass_client
def delete_project(client: Client, ref: str) -> None:
    """Delete."""
    client.change("DELETE", f"/projects/{quote(ref)}")


@project.command("grant", help=_("Give a user a role in a project."))
@click.argument("ref")
@click.argument("user")
@click.argument("role", type=ROLES)
@pass_client
def grant_in_project(client: Client, ref: str, user: str, role: str) -> None:
    """Grant."""
    client.change("PUT", f"/projects/{quote(ref)}/members/{quote(user)}", {"role": role})


@project.command("revoke", help=_("Take a user's role in a project away."))
@click.argument("ref")
@click.argument("user")
@pass_client
def revoke_in_project(client: Client, ref: str, user: str) -> None:
    """Revoke."""
    client.change("DELETE", f"/projects/{quote(ref)}/members/{quote(user)}")


# ── tokens ──


@click.group("token", cls=Group, help=_("API tokens."))
def token() -> None:
    """The noun."""


@token.command("list", help=_("List your API tokens."))
@option("--user", help=_("Another user's, or * for everybody's (administrators)."))
@pass_client
def list_tokens(client: Client, user: str | None) -> None:
    """List."""
    output(client.get("/tokens", user=user)["items"], TOKENS)


@token.command("create", help=_("Create an API token and print its secret, this once."))
@click.argument("name")
@option("--role", type=ROLES, default="member", help=_("The most it may do."))
@option("--in-project", "in_project", help=_("Hold in this project only."))
@option("--days", type=float, default=90.0, help=_("Expire after so many days."))
@option("--for-ever", is_flag=True, help=_("Never expire."))
@pass_client
def create_token(
    client: Client, name: str, role: str, in_project: str | None, days: float, for_ever: bool
) -> None:
    """Create."""
    body = {"name": name, "role": role, "project": in_project, "days": None if for_ever else days}
    made = client.change("POST", "/tokens", body, show=False)
    if client.options.format != "table":
        output(made)
        return
    click.echo(say(_("This is the only time the secret is shown:")), err=True)
    click.echo(made["secret"])


@token.command("revoke", help=_("End an API token at once and for good."))
@click.argument("ref")
@pass_client
def revoke_token(client: Client, ref: str) -> None:
    """Revoke."""
    client.change("DELETE", f"/tokens/{quote(ref)}")


# ── keys ──


@click.group("key", cls=Group, help=_("SSH keys."))
def key() -> None:
    """The noun."""


@key.command("list", help=_("List your SSH keys."))
@option("--user", help=_("Another user's (administrators)."))
@pass_client
def list_keys(client: Client, user: str | None) -> None:
    """List."""
    output(client.get("/keys", user=user)["items"], KEYS)


@key.command("show", help=_("Show an SSH key."))
@click.argument("ref")
@pass_client
def show_key(client: Client, ref: str) -> None:
    """Show."""
    output(client.get(f"/keys/{quote(ref)}"))


@key.command("add", help=_("Add a public SSH key from a file, such as ~/.ssh/id_ed25519.pub."))
@click.argument("file", type=click.File())
@option("--name", default="", help=_("How to call it; the key's comment by default."))
@option("--user", help=_("Add it for another user (administrators)."))
@pass_client
def add_key(client: Client, file: TextIO, name: str, user: str | None) -> None:
    """Add."""
    client.change("POST", "/keys", {"public_key": file.read(20000), "name": name, "user": user})


@key.command("delete", help=_("Delete an SSH key; instances that hold it keep it."))
@click.argument("ref")
@pass_client
def delete_key(client: Client, ref: str) -> None:
    """Delete."""
    client.change("DELETE", f"/keys/{quote(ref)}")


# ── logging in ──


@click.command("login", cls=Command, help=_("Log in to a cloud on another machine and remember it."))
@click.argument("url")
@option("--user", prompt=False, help=_("Your user name."))
@option("--password-file", type=click.File(), help=_("File whose first line is the password; - for standard input."))
@option("--ca", type=click.Path(exists=True, dir_okay=False), help=_("PEM file of the authority to trust."))
def login(url: str, user: str | None, password_file: TextIO | None, ca: str | None) -> None:
    """Log in."""
    from yun.web.client import Target, login_file
    from yun.web.command import shell

    if not url.startswith(("http://", "https://")):
        raise failure(_("{url} is not the address of a cloud.", url=url), "invalid", _("It begins with https://"))
    name = user or click.prompt(say(_("User name")), err=True)
    password = secret_from(password_file, _("Password"))
    authority = str(Path(ca).resolve()) if ca else ""
    client = Client(Target(url.rstrip("/"), "", authority), shell())
    try:
        opened = client.send("POST", "/sessions", json={"name": name, "password": password}).json()
    except Failure as error:
        error.problem.setdefault("code", "unauthenticated")
        raise
    finally:
        client.close()
    _remember(login_file(), url.rstrip("/"), opened["token"], authority)
    told = _("Logged in to {url} as {name} until {until}.", url=url, name=name, until=opened["expires_at"])
    click.echo(say(told), err=True)


def _remember(path: Path, url: str, token: str, authority: str) -> None:
    import json
    import os

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        # A JSON string is a TOML basic string.
        for key_name, value in (("url", url), ("token", token), ("ca", authority)):
            file.write(f"{key_name} = {json.dumps(value)}\n")
    os.replace(draft, path)


# ── audit ──


@click.group("audit", cls=Group, help=_("The audit: every change, log-in and refusal."))
def audit() -> None:
    """The noun."""


@audit.command("list", help=_("List the audit, newest first."))
@option("--limit", type=int, default=50, help=_("At most so many."))
@searching("action:session. outcome:failed at<1d text")
@pass_client
def list_audit(client: Client, limit: int, q: str | None) -> None:
    """List."""
    columns: list[Column] = [
        (_("WHEN"), "at"),
        (_("WHO"), lambda line: line["actor"]["name"]),
        (_("ADDRESS"), "address"),
        (_("WHAT"), lambda line: f"{line['title']} {line['subject']['name']}".strip() if not line["operation_id"]
         else line["title"]),
        (_("OUTCOME"), lambda line: say(_(str(line["outcome"])))),
    ]  # fmt: skip
    output(client.items("/audit", limit=limit, q=q), columns)


@click.command("whoami", cls=Command, help=_("Who you are to the cloud."))
@pass_client
def whoami(client: Client) -> None:
    """Who."""
    columns: list[Column] = [
        (_("NAME"), "name"),
        (_("KIND"), "kind"),
        (_("ADMIN"), "admin"),
        (_("PROJECT"), "project"),
        (_("YOUR ROLE"), "role"),
        (_("ID"), "id"),
    ]
    output(client.get("/whoami"), columns)
