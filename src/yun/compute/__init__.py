"""Instances and flavors: virtual machines from their creation to the trash, their state, use and power.

This room owns what a machine *is* (size, image, names, policies) and what it does now. It does not own its disks
(`storage`), its ports (`network`), nor its past (`snapshots`); it walks their steps.
"""
