"""Yun (云): a private cloud in one process, with a history that can be previewed, forked and undone."""

__version__ = "0.1.0"
