"""Consoles of instances: screen (VNC) and serial port over WebSockets, pictures, typed text, and the terminal's side.

A console is a stream, not a change: it is the one place where a face reaches a driver. Everything else about an
instance goes through the room's verbs and the journal.
"""
