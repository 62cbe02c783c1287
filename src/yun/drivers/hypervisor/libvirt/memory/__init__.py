"""Images of guests' memory as libvirt writes them: taken with the disks, read, compared, and gone on from."""
