// All works without this. An embedded page looks again when its window is done, a page with a running sync every 10 s,
// and who types an address has chosen it.
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
for (const typed of document.querySelectorAll("[data-goes-with]")) {
  typed.addEventListener("input", () => {
    typed.form.querySelector(`[type=radio][value="${typed.dataset.goesWith}"]`).checked = true;
  });
}
