"""The staircase: every change of the cloud is an operation made of journaled steps, run here and nowhere else.

This room gives the rooms above their intents, their engine, their history and their undo. It knows nothing of
machines or networks.
"""
