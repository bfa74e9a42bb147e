"""Images by stock ComfyUI, ComfyUI compiled, ComfyUI with hearth, and hearth without ComfyUI."""
