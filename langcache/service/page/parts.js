// Pieces of the page. Text is put in as text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; a child that is no element is text. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

export function number(similarity) {
  return similarity.toFixed(3);
}

/** How many searches had a nearest entry of which similarity, in bars from 0.5 to 1. */
export function histogram(asked, threshold) {
  const bars = Array.from({ length: 20 }, () => ({ hit: 0, miss: 0 }));
  for (const each of asked) {
    if (each.similarity === undefined || each.similarity === null) continue;
    const at = Math.min(Math.max(Math.floor((each.similarity - 0.5) * 40 + 1e-9), 0), 19);
    bars[at][each.hit ? "hit" : "miss"] += 1;
  }
  const most = Math.max(1, ...bars.map((bar) => bar.hit + bar.miss));
  const said = bars
    .map((bar, at) => [bar, 0.5 + at / 40])
    .filter(([bar]) => bar.hit + bar.miss)
    .map(([bar, from]) => `${from === 0.5 ? "below 0.525" : from.toFixed(3)}: ${bar.hit} hit, ${bar.miss} missed`);
  const picture = drawn("svg", { viewBox: "0 0 420 150", role: "img", "aria-label":
    `Searches by similarity, from 0.5 to 1. ${said.join("; ") || "None yet."}` });
  bars.forEach((bar, at) => {
    const miss = (bar.miss / most) * 110, hit = (bar.hit / most) * 110;
    if (miss) picture.append(drawn("rect", { class: "bar", x: 11 + at * 20, y: 125 - miss, width: 18, height: miss }));
    if (hit) picture.append(drawn("rect", { class: "bar hit", x: 11 + at * 20, y: 125 - miss - hit, width: 18, height: hit }));
  });
  picture.append(drawn("path", { class: "axis", d: "M10 125.5H410" }));
  for (const mark of [0.5, 0.6, 0.7, 0.8, 0.9, 1])
    picture.append(drawn("text", { x: 10 + (mark - 0.5) * 800, y: 142, "text-anchor": "middle" }, mark === 0.5 ? "≤0.5" : mark.toFixed(1)));
  const x = 10 + (Math.max(threshold, 0.5) - 0.5) * 800;
  picture.append(drawn("path", { class: "limit", d: `M${x} 4V125` }));
  return picture;
}
