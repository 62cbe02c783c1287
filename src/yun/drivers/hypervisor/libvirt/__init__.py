"""The hypervisor port on libvirt; the binding is imported only when a connection is opened."""
