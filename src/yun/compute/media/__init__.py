"""Removable media of instances: CD drives and what lies in them."""
