"""A real ComfyUI in a process of its own, toy models, a spy on reads, and graphs to send."""
