"""Logical networks: the port, OVN's northbound database behind it, and a fake that passes the same contract."""
