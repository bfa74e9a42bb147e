"""Runs ComfyUI workflows in API format where no ComfyUI is, on hearth's own engine.

What refuses a workflow needs no torch and loads nothing: `faults`, `graph`, `node_table`, `checks`,
`settings`, `model_lists`. What computes imports torch: `executor` and the `nodes_*`.
"""
