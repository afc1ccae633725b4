// All works without this. An embedded page looks again when its window is done, a page with a running sync every 10 s.
"use strict";
const page = document.getElementById("page");
if (page) {
  if (page.dataset.embedded === "yes") {
    let left = false;
    window.addEventListener("blur", () => { left = true; });
    window.addEventListener("focus", () => { if (left) location.reload(); });
  }
  if (page.dataset.busy === "yes") {
    setTimeout(() => location.replace(location.pathname), 10000);
  }
}
