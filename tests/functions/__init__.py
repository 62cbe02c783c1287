"""Tests of network functions."""
