// The drawing by arrow keys: the focus moves to the nearest box in that direction. A drawing larger than its frame opens
// at the lot that was asked about, not in an empty corner. Everything works without this file.
(() => {
  "use strict";
  const graph = document.querySelector(".graph");
  if (!graph) return;
  const first = graph.querySelector(".tree-start");
  if (first) {
    const box = first.getBoundingClientRect();
    const frame = graph.getBoundingClientRect();
    graph.scrollTop += box.top + box.height / 2 - frame.top - frame.height / 2;
    if (box.right > frame.right) graph.scrollLeft += box.right - frame.right + 12;
  }
  const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const centre = (link) => {
    const box = link.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  graph.addEventListener("keydown", (event) => {
    const way = keys[event.key];
    const here = event.target.closest && event.target.closest("a");
    if (!way || !here || event.ctrlKey || event.metaKey || event.altKey) return;
    const [x, y] = centre(here);
    let best = null;
    let least = Infinity;
    graph.querySelectorAll("svg a").forEach((link) => {
      const [a, b] = centre(link);
      const along = (a - x) * way[0] + (b - y) * way[1];
      const aside = Math.abs((a - x) * way[1]) + Math.abs((b - y) * way[0]);
      if (link === here || along < 4) return;
      const cost = along + 2 * aside;
      if (cost < least) [best, least] = [link, cost];
    });
    if (best) {
      event.preventDefault();
      best.focus();
      best.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  });
})();
