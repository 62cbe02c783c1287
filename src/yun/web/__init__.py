"""The shell of every face: routes with a transaction each, errors, pages, the live stream, the command's frame.

It knows no room: rooms hand it their templates, navigation entries and routers, the root hands it the `Cloud`.
"""
