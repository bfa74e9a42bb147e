// What hearth's nodes say, on the nodes themselves: the editor shows `ui.text` of a few classes of its
// own only. Everything here is tested for before it is used: editors differ, and without this the
// nodes work all the same.
import { app } from "/scripts/app.js";

const CATEGORY = "hearth";
const TEXT_WIDGET = "hearth_text";
const MARK = "\u{1F525}";

app.registerExtension({
  name: "hearth.nodes",

  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.category !== CATEGORY) return;
    const before = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (output) {
      before?.apply(this, arguments);
      if (Array.isArray(output?.text)) show(this, output.text.join("\n"));
    };
  },

  nodeCreated(node) {
    if (node.constructor?.nodeData?.category !== CATEGORY) return;
    const Badge = window.LiteGraph?.LGraphBadge ?? window.LGraphBadge;
    if (typeof Badge === "function" && Array.isArray(node.badges)) {
      node.badges.push(new Badge({ text: MARK }));
    } else if (typeof node.title === "string" && !node.title.startsWith(MARK)) {
      node.title = `${MARK} ${node.title}`;
    }
  },
});

function show(node, text) {
  const widget = node.widgets?.find((each) => each.name === TEXT_WIDGET) ?? add(node);
  if (!widget) return;
  widget.value = text;
  const size = node.computeSize?.();
  if (size) node.setSize?.([Math.max(size[0], node.size[0]), Math.max(size[1], node.size[1])]);
  node.setDirtyCanvas?.(true, true);
}

function add(node) {
  if (typeof node.addDOMWidget !== "function") return null;
  const element = document.createElement("textarea");
  element.readOnly = true;
  element.rows = 4;
  element.className = "comfy-multiline-input";
  const widget = node.addDOMWidget(TEXT_WIDGET, "customtext", element, {
    serialize: false, // the text is of one run: neither the prompt nor the file is to carry it
    getValue: () => element.value,
    setValue: (value) => (element.value = value),
  });
  widget.serialize = false;
  return widget;
}
