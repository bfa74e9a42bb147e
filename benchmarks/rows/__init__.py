"""Measured rows: hearth beside ComfyUI's own ways of keeping models, one server per variant."""
