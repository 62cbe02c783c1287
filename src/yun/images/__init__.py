"""Bootable images: bringing them in (upload, file, address, catalogue, own build), judging them, keeping and giving
them out. An image is a frozen layer of `storage` with a name and properties; disks made of it belong to `storage`."""
