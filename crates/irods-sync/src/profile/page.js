"use strict";
// What is under the pointer, in words.
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg"), cursor = figure.querySelector("line.cursor"), said = figure.querySelector("output");
  const { seconds, lanes } = JSON.parse(figure.querySelector("script").textContent);
  const columns = Object.values(lanes)[0].length;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 0.999999);
    const column = Math.floor(share * columns);
    const x = String(share * 1000);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", "visible");
    const values = Object.entries(lanes).map(([lane, all]) => lane + " " + all[column].toLocaleString("en", { maximumFractionDigits: 2 }));
    said.textContent = (column * seconds).toFixed(3) + " s: " + values.join(", ");
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    said.textContent = "";
  });
}
