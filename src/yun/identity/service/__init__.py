"""The verbs of identity. What changes returns an `Intent`; what reads returns rows; `Gate` is the door of the faces."""

from yun.identity.service.asking import authenticate
from yun.identity.service.audit import AuditLine, list_audit
from yun.identity.service.first import default_project, ensure_first
from yun.identity.service.gate import Gate, Opened
from yun.identity.service.keys import NewKey, add_key, delete_key, get_key, list_keys
from yun.identity.service.projects import (
    create_project,
    delete_project,
    find_project,
    get_project,
    grant_in_project,
    list_members,
    list_projects,
    revoke_in_project,
    update_project,
)
from yun.identity.service.sessions import list_sessions, logout_everywhere, logout_session, prefer
from yun.identity.service.tokens import NewToken, create_token, get_token, list_tokens, revoke_token
from yun.identity.service.users import (
    NewUser,
    create_user,
    disable_user,
    enable_user,
    get_user,
    grant_in_cloud,
    list_users,
    me,
    revoke_in_cloud,
    roles_of,
    set_own_password,
    set_password,
    update_profile,
    update_user,
)

__all__ = [
    "AuditLine", "Gate", "NewKey", "NewToken", "NewUser", "Opened", "add_key", "authenticate",
    "create_project", "create_token", "create_user", "default_project", "delete_key", "delete_project",
    "disable_user", "enable_user", "ensure_first", "find_project", "get_key", "get_project", "get_token", "get_user",
    "grant_in_cloud", "grant_in_project", "list_audit", "list_keys", "list_members", "list_projects", "list_sessions",
    "list_tokens", "list_users", "logout_everywhere", "logout_session", "me", "prefer", "revoke_in_cloud",
    "revoke_in_project", "revoke_token", "roles_of", "set_own_password", "set_password", "update_profile",
    "update_project", "update_user",
]  # fmt: skip
