"""Files of disks: the port, a directory of qcow2 files behind it, and a fake that passes the same contract."""
