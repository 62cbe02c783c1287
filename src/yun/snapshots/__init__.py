"""The tree of an instance's past: what its disks, its memory and its definition were at a moment, and the ways back.

A node holds frozen files (`storage` keeps them) and never changes; the instance's present grows from one of them. Not
here: copies of an instance as it is now (`compute`), and the merging of frozen files that no node needs any more.
"""
