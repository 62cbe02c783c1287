"""Machines on a host: the port, libvirt behind it, and a fake that passes the same contract."""
