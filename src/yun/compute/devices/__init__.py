"""Devices of hosts that machines are given for themselves."""
