"""The main job: the same workflows through ComfyUI without and with hearth, and what it saved."""
