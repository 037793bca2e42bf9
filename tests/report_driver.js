// Uses the report in the frame as a reader would, and leaves what came of it as the page's text.
const answers = {}, doc = document.getElementById("page").contentDocument, view = doc.defaultView;

answers.title = doc.title;
answers.overflow = doc.documentElement.scrollWidth - doc.documentElement.clientWidth;

const says = doc.getElementById("heat-says"), canvas = doc.querySelector("canvas.heat");
answers.canvas = [canvas.width > 100, canvas.height > 100];
answers.said = ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp"].map((key) => {
  canvas.dispatchEvent(new view.KeyboardEvent("keydown", { key, bubbles: true }));
  return says.textContent;
});
const box = canvas.getBoundingClientRect(), corner = { clientX: box.right - 12, clientY: box.bottom - 12 };
canvas.dispatchEvent(new view.PointerEvent("pointerdown", { ...corner, bubbles: true }));
answers.tapped = says.textContent;

const table = doc.querySelector('table[aria-label="classes"]'), filter = table.parentElement.previousElementSibling;
const names = () => [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[2].textContent);
const byAccuracy = table.tHead.rows[0].cells[4].querySelector("button");
byAccuracy.click();
answers.rising = names();
byAccuracy.click();
answers.falling = names();
filter.value = "DOG";
filter.dispatchEvent(new view.Event("input"));
answers.filtered = names();

const opens = doc.querySelector(".opens"), dialog = doc.getElementById("larger");
opens.click();
const same = dialog.querySelector("img").src === opens.querySelector("img").src;
answers.opened = [dialog.open, dialog.querySelector("p").textContent, same];

// Contrast as WCAG 2 defines it.
const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
function light(color) {
  const [red, green, blue] = color.match(/[\d.]+/g).map((part) => linear(part / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
const style = (one) => view.getComputedStyle(one);
answers.grounds = [];
answers.contrast = [];
for (let i = 0; i < 2; i++) {
  doc.getElementById("theme").click();
  const ground = style(doc.body).backgroundColor, card = style(doc.querySelector(".tile")).backgroundColor;
  const texts = [...doc.querySelectorAll(".soft, h1, summary, .tile span, td, [class^=series-]")];
  answers.grounds.push(ground);
  answers.contrast.push(Math.min(...texts.flatMap((one) => [ground, card].map((on) => contrast(style(one).color, on)))));
}
document.body.textContent = `ANSWERS${JSON.stringify(answers)}END`;
