"""Measurements: each prints a table and, with ``--json``, one JSON document. Ratios come from one and the same run."""
