"""hearth inside ComfyUI: wraps the stock loaders, records use, works between prompts.

`startup` composes the parts; `adapter` alone imports `comfy.*`.
"""
