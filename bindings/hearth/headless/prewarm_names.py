"""From a model's name, as the node Prewarm has it, to the loader node that it stands for."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from hearth.headless.faults import hint, quoted
from hearth.headless.loaders import LOADERS
from hearth.headless.model_lists import ModelLists
from hearth.headless.node_table import NODES
from hearth.headless.values import WrongValueError, check_choice

_BY_LIST = {loader.list_name: loader for loader in LOADERS}


def loader_of(model: str, options: str, models: ModelLists) -> tuple[str, dict[str, Any]]:
    """Class and inputs of the loader for `list/name`, or for a name that one list alone has.

    `options` are further inputs: `type=lumina2`. Throws WrongValueError.
    """
    list_name, name = _find(model, models)
    class_name, field = _BY_LIST[list_name].class_name, _BY_LIST[list_name].field
    known = {k: v for k, v in NODES[class_name].inputs.items() if k != field}
    inputs = {field: name} | {key: input_.default for key, input_ in known.items()}
    given = dict(parse_qsl(options, keep_blank_values=True))
    for key, value in given.items():
        if key not in known:
            near = hint(key, known) if known else "; it has no options"
            raise WrongValueError(f"{class_name} has no input {quoted(key)}{near}")
        check_choice(value, list(known[key].choices), f"possible for {key}")
        inputs[key] = value
    if "type" in known and "type" not in given:
        raise WrongValueError("the type of a text encoder has to be said: type=lumina2")
    return class_name, inputs


def _find(model: str, models: ModelLists) -> tuple[str, str]:
    list_name, slash, name = model.partition("/")
    if slash and list_name in _BY_LIST and name in models.names(list_name):
        return list_name, name
    lists = models.find(model)
    if len(lists) == 1:
        return lists[0], model
    if not lists:
        raise WrongValueError(f"{quoted(model)} is not in the lists of models")
    full = ", ".join(f"{each}/{model}" for each in lists)
    raise WrongValueError(f"{quoted(model)} stands in several lists; say which: {full}")
