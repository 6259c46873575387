"""What the tests ask a page of the demo."""

# From where to where the bars go, in percent of the turn.
BARS = """[...document.querySelectorAll("#steps .bar")].map((bar) =>
  [parseFloat(bar.style.marginLeft), parseFloat(bar.style.marginLeft) + parseFloat(bar.style.width)])"""

# Milliseconds from the moment in which a form is sent until the timeline shows its text.
STOPWATCH = """([device, said]) => {
  window.took = null;
  let started;
  document.querySelector(`#${device} form`).addEventListener("submit",
    () => { started = performance.now(); }, { capture: true, once: true });
  const watching = new MutationObserver(() => {
    const texts = [...document.querySelectorAll("#timeline .text")].map((e) => e.textContent);
    if (!texts.includes(said)) return;
    window.took = performance.now() - started;
    watching.disconnect();
  });
  watching.observe(document.querySelector("#timeline"), { childList: true, subtree: true });
}"""

# Texts whose contrast with what is behind them is under 4.5 (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const words = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  return [...document.body.querySelectorAll("*")].filter((e) => words(e) && e.checkVisibility() &&
    !e.closest(".fresh")).filter((e) => {
      const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort();
      return (b + 0.05) / (a + 0.05) < 4.5;
    }).map((e) => e.outerHTML.slice(0, 80));
}"""
