"use strict";
(() => {
  const script = document.getElementById("samples");
  if (!script) return;
  const samples = JSON.parse(script.textContent);
  const drawings = [...document.querySelectorAll(".drawing")];
  const readout = document.querySelector(".readout");
  const only = document.getElementById("only");
  // The dots of all paths, one after another, are the samples in their order.
  const places = drawings.map((drawing) =>
    [...drawing.querySelectorAll("path")].flatMap((path) =>
      [...path.getAttribute("d").matchAll(/M(-?\d+) (-?\d+)/g)].map((m) => [+m[1], +m[2]])));
  let shown = 0, chosen = -1;

  const passes = (i) => only.value === "" || samples.clusters[i] === +only.value;

  const nearest = (distance) => {
    let best = -1, least = Infinity;
    places[shown].forEach((place, i) => {
      const d = passes(i) ? distance(place, i) : Infinity;
      if (d < least) [best, least] = [i, d];
    });
    return best;
  };

  const line = (text, tag = "p") => {
    const element = document.createElement(tag);
    element.textContent = text;
    element.dir = "auto";
    return element;
  };

  const tell = (i) => {
    const parts = [];
    if (samples.sheet) {
      const { columns, rows } = samples.sheet;
      const share = (place, n) => (n > 1 ? (100 * place) / (n - 1) : 0);
      const picture = document.createElement("div");
      picture.className = "sample";
      picture.role = "img";
      picture.ariaLabel = samples.names[i];
      picture.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
      picture.style.backgroundPosition = `${share(i % columns, columns)}% ${share(Math.floor(i / columns), rows)}%`;
      parts.push(picture);
    }
    const name = line(samples.names[i]);
    name.style.fontWeight = "600";
    parts.push(name);
    const c = samples.clusters[i];
    const where = document.createElement("p");
    const link = line(samples.titles[c], "a");
    link.href = `#c${c}`;
    where.append(link, samples.confidence && c >= 0 ? `, ${samples.confidence[i]}%` : "");
    parts.push(where);
    if (samples.classes) parts.push(line(`class: ${samples.classes[i]}`));
    if (samples.texts) parts.push(line(samples.texts[i]));
    readout.replaceChildren(...parts);
  };

  const choose = (i) => {
    if (i < 0 || i === chosen) return;
    chosen = i;
    const ring = drawings[shown].querySelector(".ring");
    ring.setAttribute("cx", places[shown][i][0]);
    ring.setAttribute("cy", places[shown][i][1]);
    ring.removeAttribute("hidden");
    tell(i);
  };

  const pointed = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 1000, y = ((event.clientY - box.top) / box.height) * 1000;
    choose(nearest((place) => Math.hypot(place[0] - x, place[1] - y)));
  };

  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const pressed = (event) => {
    const to = directions[event.key];
    if (!to || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (chosen < 0 || !passes(chosen)) return choose(nearest((place) => Math.hypot(place[0] - 500, place[1] - 500)));
    const from = places[shown][chosen];
    choose(nearest((place, i) => {
      const along = (place[0] - from[0]) * to[0] + (place[1] - from[1]) * to[1];
      const aside = Math.abs((place[0] - from[0]) * to[1]) + Math.abs((place[1] - from[1]) * to[0]);
      return i === chosen || along <= 0 || aside > 2 * along ? Infinity : along + 2 * aside;
    }));
  };

  const dim = () => {
    document.querySelectorAll(".map [data-c]").forEach((element) =>
      element.classList.toggle("other", only.value !== "" && element.dataset.c !== only.value));
  };

  drawings.forEach((drawing) => {
    const svg = drawing.querySelector("svg");
    svg.addEventListener("pointermove", pointed);
    svg.addEventListener("pointerdown", pointed);
    svg.addEventListener("keydown", pressed);
  });
  only.addEventListener("change", dim);
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("input[name=projection]").forEach((input) => input.addEventListener("change", () => {
    shown = +input.value;
    drawings.forEach((drawing, i) => { drawing.hidden = i !== shown; });
    const again = chosen;
    chosen = -1;
    choose(again);
  }));
  dim();
})();
