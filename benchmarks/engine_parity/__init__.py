"""hearth's Z-Image and ComfyUI's own modules on the same files: how far each is from float32."""
