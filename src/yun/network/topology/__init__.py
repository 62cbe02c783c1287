"""The picture of a project's networks: what is on it (`graph`), and where each thing stands (`layout`). Pure."""
