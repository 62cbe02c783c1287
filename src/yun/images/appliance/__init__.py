"""Appliances: whole machines in one file, as other hypervisors give them out and take them in (OVA: a tar of an OVF
description, a manifest of checksums and disks). Read where they lie, never unpacked by the names they contain."""

from yun.images.appliance.archive import is_archive
from yun.images.appliance.descriptor import BUSES, CARDS, Appliance, ApplianceDisk
from yun.images.appliance.reading import read
from yun.images.appliance.taking import take

__all__ = ["BUSES", "CARDS", "Appliance", "ApplianceDisk", "is_archive", "read", "take"]
