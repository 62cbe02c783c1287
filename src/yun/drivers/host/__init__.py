"""The host itself: services, inventory, probes and the outside leg of its networks; real and fake."""
