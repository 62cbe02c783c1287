"""The steps of network functions."""

from yun.functions.steps.following import before_settings, follow_now, have_settings
from yun.functions.steps.looking import look_at_all, look_now

__all__ = ["before_settings", "follow_now", "have_settings", "look_at_all", "look_now"]
