"""Hosts: the machines that carry instances. Their inventory, health and services, and where a new instance fits.

Not here: disks of a host (storage), its networks (network), the instances on it (compute).
"""
