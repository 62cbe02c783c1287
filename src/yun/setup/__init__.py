"""Bringing the cloud up on a machine, taking it down, finding what is wrong: a root that may see everything."""
