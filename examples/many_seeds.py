"""One workflow, many seeds: its models are loaded first, then every prompt is queued at once.

python examples/many_seeds.py WORKFLOW.json [--url http://127.0.0.1:8188] [--seeds 4] [--out out]
"""

from __future__ import annotations

import argparse
import copy
import sys

from hearth.client import Client, ClientError, Graph, load_workflow


def with_seed(graph: Graph, seed: int) -> Graph:
    """A copy of the graph in which every sampler has that seed."""
    changed = copy.deepcopy(graph)
    for node in changed.values():
        for name in ("seed", "noise_seed"):
            if isinstance(node["inputs"].get(name), int):
                node["inputs"][name] = seed
    return changed


def main() -> int:
    """Runs it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workflow", help="a file in API format")
    parser.add_argument("--url", default="http://127.0.0.1:8188")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", default="out")
    parser.add_argument("--wait", type=float, default=120.0, help="seconds, for the server's start")
    arguments = parser.parse_args()
    try:
        client, graph = Client(arguments.url), load_workflow(arguments.workflow)
        print(f"waiting for {arguments.url} to be ready", file=sys.stderr)
        client.wait_until_ready(arguments.wait)
        client.prewarm(workflow=graph, dummy_inference=False)
        prompts = [client.submit(with_seed(graph, seed)) for seed in range(arguments.seeds)]
        for prompt in prompts:
            for image in client.wait(prompt).images:
                print(image.save(arguments.out))
    except (ClientError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
