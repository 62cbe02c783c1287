"""The only code that speaks to a daemon: one port per kind of daemon, a real driver and a fake behind each."""
