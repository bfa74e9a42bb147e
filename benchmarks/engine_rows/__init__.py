"""Measured rows of the engine: ComfyUI in three ways beside `hearth run`, latency and load."""
