"""The main job where no ComfyUI is: Z-Image workflows through `hearth run`, and what it saved."""
