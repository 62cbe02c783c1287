// Who presses Ctrl-K while a page still loads gets the palette all the same: it opens as soon as it stands in the page,
// and the palette's own module takes up what was typed by then.
const early = { wanted: false, enter: false, stop };
globalThis.yunEarly = early;
let held = "";

const palette = () => document.getElementById("palette");

function open() {
  const dialog = palette();
  if (!dialog) return;
  const input = dialog.querySelector("input");
  if (!dialog.open) {
    dialog.showModal();
    input.value = held;
    held = "";
  }
  input.focus();
}

function pressed(event) {
  const chord = event.ctrlKey || event.metaKey || event.altKey;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    if (document.readyState !== "loading" && !palette()) return;
    event.preventDefault();
    early.wanted = true;
    open();
  } else if (!early.wanted || event.isComposing) {
    return;
  } else if (event.key === "Escape") {
    early.wanted = early.enter = false;
    held = "";
  } else if (event.key === "Enter") {
    event.preventDefault();
    early.enter = true;
  } else if (event.key.length === 1 && !chord) {
    open();
    if (palette()) return;
    event.preventDefault();
    held += event.key;
  }
}

const came = () => early.wanted && open();
function stop() {
  removeEventListener("keydown", pressed, true);
  document.removeEventListener("readystatechange", came);
}
addEventListener("keydown", pressed, true);
document.addEventListener("readystatechange", came);
