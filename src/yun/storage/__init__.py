"""Storage: pools, the graph of frozen layers and running heads, volumes, what they may promise, and the trash.

Frozen files (layers) are read-only, named by their content, and never written again; heads are writable and stand on
a layer or on nothing. Not here: images (a layer with a name, `images`), snapshots (`snapshots`), instances.
"""
