// Looks for what makes a page hard to use for some people. Returns a list of findings; tests want it to be empty.
(() => {
  const findings = [];
  const found = (what, element) => findings.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  const visible = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest(".visually-hidden");

  // Of everything in front when a dialog is open, of everything otherwise.
  const scope = document.querySelector("dialog[open]") ?? document.body;

  // Colours, as [red, green, blue, alpha].
  const parse = (colour) => {
    const n = colour.match(/[\d.]+/g).map(Number);
    return [n[0], n[1], n[2], n[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const background = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };

  // Every text that can be seen, WCAG 1.4.3.
  const texts = document.createTreeWalker(scope, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node; (node = texts.nextNode());) {
    const element = node.parentElement;
    if (!node.data.trim() || !visible(element)) continue;
    seen++;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const behind = background(element);
    const ratio = contrast(over(parse(style.color), behind), behind);
    if (ratio < (large ? 3 : 4.5)) found(`contrast ${ratio.toFixed(2)} of "${node.data.trim().slice(0, 30)}"`, element);
  }
  if (seen < 3) findings.push(`only ${seen} texts were seen`);

  // What can be operated: its edge, WCAG 1.4.11, its size, 2.5.8, and that one sees the focus, 2.4.7.
  for (const element of scope.querySelectorAll("button, input")) {
    if (!visible(element)) continue;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const behind = background(element.parentElement);
    const edge = Math.max(contrast(parse(style.borderTopColor), behind), contrast(background(element), behind));
    if (edge < 3 && element.type !== "checkbox") found(`edge with contrast ${edge.toFixed(2)}`, element);
    if (element.type !== "checkbox" && (box.width < 24 || box.height < 24)) found(`${box.width}×${box.height} pixels`, element);
  }
  for (const bar of scope.querySelectorAll("progress, .bar")) {
    if (!visible(bar)) continue;
    const [of, on] = bar.tagName === "PROGRESS"
      ? [getComputedStyle(bar).color, getComputedStyle(bar).backgroundColor]
      : [getComputedStyle(bar.lastElementChild).fill, getComputedStyle(bar.firstElementChild).fill];
    if (contrast(parse(of), parse(on)) < 3) found("bar that is hard to see", bar);
  }

  // Structure.
  if (!document.documentElement.lang) findings.push("no language");
  if (!document.title) findings.push("no title");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) findings.push(`ID ${id} is there more than once`);
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(/\s+/)) {
        if (!document.getElementById(id)) found(`${attribute} names ${id}, which is not there`, element);
      }
    }
  }
  for (const image of document.querySelectorAll("img:not([alt])")) found("image without alt", image);
  for (const element of document.querySelectorAll('[tabindex]:not([tabindex="0"]):not([tabindex="-1"])')) found("order of focus", element);
  const headings = [...document.querySelectorAll("h1, h2, h3, h4")].filter(visible).map((e) => Number(e.tagName[1]));
  headings.forEach((level, i) => {
    if (level > (headings[i - 1] ?? 0) + 1) findings.push(`a heading of level ${level} after ${headings[i - 1] ?? "none"}`);
  });
  if (headings.filter((level) => level === 1).length !== 1) findings.push("there is not one heading of level 1");
  for (const table of scope.querySelectorAll("table")) {
    const columns = table.querySelectorAll("thead th[scope=col]").length;
    for (const row of table.querySelectorAll("tbody tr")) {
      if (row.children.length !== columns || !row.querySelector("th[scope=row]")) found("row that does not fit its table", row);
    }
  }
  for (const element of document.querySelectorAll("[style]")) found("inline style", element);

  // Nothing sticks out of the page, at any width.
  const page = document.scrollingElement;
  if (page.scrollWidth > page.clientWidth) {
    findings.push(`the page is ${page.scrollWidth} wide in a window of ${page.clientWidth}`);
    for (const element of document.querySelectorAll("body *")) {
      if (visible(element) && !element.closest(".scroll") && element.getBoundingClientRect().right > page.clientWidth + 1) found("sticks out", element);
    }
  }
  return findings;
})()
