"""Who may do what: users, projects, roles, sessions, API tokens, SSH keys, and the audit of all changes.

It knows nothing of machines, networks or disks: the rooms above hang their things on a project's id.
"""
